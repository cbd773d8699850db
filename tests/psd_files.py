"""PSD and PSB files, written as the Adobe Photoshop File Formats Specification has it."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

BITMAP, GREY, INDEXED, RGB, CMYK, MULTICHANNEL, DUOTONE, LAB = 0, 1, 2, 3, 4, 7, 8, 9
NO_LAYERS = b""


def psd(
    channels: Sequence[NDArray[Any]],
    mode: int,
    *,
    bits: int = 8,
    compression: int = 1,
    is_big: bool = False,
    palette: bytes = b"",
    resources: Mapping[int, bytes] | None = None,
    layers: bytes = NO_LAYERS,
) -> bytes:
    """Return a file with a composite.

    Args:
        channels: each ``[H, W]``, as stored: uint8, uint16, or for 1 bit of 0 and 1.
        mode: of the colours.
        bits: per channel.
        compression: 0 to 3: none, PackBits, zlib, zlib of differences.
        is_big: whether it is a PSB.
        palette: the colour mode data.
        resources: data by number.
        layers: the layer and mask section.

    """
    height, width = channels[0].shape
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1 + is_big, len(channels), height, width, bits, mode)
    blocks = b"".join(resource(number, data) for number, data in (resources or {}).items())
    length = struct.pack(">Q" if is_big else ">I", len(layers))
    sections = struct.pack(">I", len(palette)) + palette + struct.pack(">I", len(blocks)) + blocks + length + layers
    rows = [_bytes_of(row, bits, is_differenced=compression == 3) for channel in channels for row in channel]
    return header + sections + struct.pack(">H", compression) + _compressed(rows, compression, is_big=is_big)


def layers_of(count: int, *, is_big: bool = False, blocks: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """Return a layer and mask section that claims some layers, and has blocks behind them."""
    content = struct.pack(">h2x", count) if count else b""
    long = ">Q" if is_big else ">I"
    parts = [struct.pack(long, len(content)), content, bytes(4)]
    for key, data in blocks:
        parts += [b"8BIM", key, struct.pack(long, len(data)), data, bytes(-len(data) % 4)]
    return b"".join(parts)


def resource(number: int, data: bytes) -> bytes:
    """Return an image resource without a name."""
    return b"8BIM" + struct.pack(">H2xI", number, len(data)) + data + bytes(len(data) % 2)


def _bytes_of(row: NDArray[Any], bits: int, *, is_differenced: bool) -> bytes:
    if bits == 1:
        return np.packbits(row).tobytes()
    if is_differenced:
        row = np.diff(row, prepend=row.dtype.type(0))
    return row.astype(">u2").tobytes() if bits == 16 else row.astype(np.uint8).tobytes()


def _compressed(rows: Sequence[bytes], compression: int, *, is_big: bool) -> bytes:
    if compression == 0:
        return b"".join(rows)
    if compression == 1:
        packed = [bytes(imagecodecs.packbits_encode(row)) for row in rows]
        lengths = struct.pack(f">{len(packed)}{'I' if is_big else 'H'}", *map(len, packed))
        return lengths + b"".join(packed)
    return bytes(imagecodecs.zlib_encode(b"".join(rows)))
