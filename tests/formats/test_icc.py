"""Grey ICC profiles, compared with the formulas of their curves and of sRGB (IEC 61966-2-1)."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from colorbatch.formats.icc import to_srgb

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


def dot_gain(percent: float) -> tuple[bytes, Curve]:
    """Return a sampled curve: paper under dots that grow by so much at half tone."""
    ink = 1 - np.linspace(0, 1, 256)
    grown = np.minimum(1, ink + 4 * percent / 100 * ink * (1 - ink))
    samples = np.round((1 - grown) * 65535)
    curve = b"curv" + bytes(4) + struct.pack(">I", 256) + samples.astype(">u2").tobytes()
    return grey_profile(curve), lambda level: np.interp(level, np.linspace(0, 1, 256), samples / 65535)


PROFILES = {
    "linear": gamma(1.0),
    "1.8": gamma(1.8),
    "2.2": gamma(2.2),
    "2.4": gamma(2.4),
    "dot gain 15 %": dot_gain(15),
    "dot gain 30 %": dot_gain(30),
}


@pytest.mark.parametrize("name", PROFILES)
def test_every_grey_of_16_bits_is_within_3_levels(name: str) -> None:
    profile, curve = PROFILES[name]
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    warnings: list[str] = []
    found = to_srgb(levels, profile, warnings).astype(np.float64)
    assert warnings == []
    assert found.shape == (256, 256, 3)
    expected = encoded(curve(levels / 65535)) * 65535
    # light has 16 bits in a sampled curve; half a step of it is 6.5 levels of sRGB near black, where that is steepest
    assert np.abs(found - expected[..., None]).max() <= (8 if "gain" in name else 3)


@pytest.mark.parametrize("name", PROFILES)
def test_every_grey_of_8_bits_is_the_nearest_level(name: str) -> None:
    profile, curve = PROFILES[name]
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    warnings: list[str] = []
    found = to_srgb(levels, profile, warnings).astype(np.float64)
    assert warnings == []
    expected = encoded(curve(levels / 255)) * 255
    assert np.abs(found - expected[..., None]).max() <= 0.51
