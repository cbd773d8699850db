"""Grey ICC profiles made by hand, with the formulas of their curves."""

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def encoded(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the level 0..1 of sRGB for light 0..1 (IEC 61966-2-1, section 5.2)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def grey_profile(curve: bytes) -> bytes:
    """Return a grey profile of version 2 with one curve (ICC.1:2001-04, sections 6 and 8.2)."""
    white = b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(4 + 4 + 2 + 1 + 67)
    tags = {b"desc": text, b"wtpt": white, b"kTRC": curve, b"cprt": b"text" + bytes(4) + b"none\0"}
    place = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">2I", place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I", place + len(body)) + bytes(4) + bytes.fromhex("02400000") + b"mntrGRAYXYZ "
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(24)
    head += bytes(4) + struct.pack(">3i", 63190, 65536, 54061)  # rendering intent, the illuminant D50
    return head.ljust(128, b"\0") + table + body


def gamma(value: float) -> tuple[bytes, Curve]:
    count = 0 if value == 1 else 1
    curve = b"curv" + bytes(4) + struct.pack(">I", count) + struct.pack(">H", round(value * 256)) * count
    return grey_profile(curve), lambda level: level ** (round(value * 256) / 256)
