"""Encode the pixels of a page as TIFF strips, one after another: a coloured page is never in memory as a whole.

Sources: TIFF 6.0, sections 3 (strips), 9 (PackBits), 13 (LZW) and 14 (differencing); Adobe Photoshop TIFF Technical
Notes, 2002 (deflate).
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import imagecodecs
import numpy as np

from colorbatch.pixels.picture import Frame, Pixels

STRIP_BYTES = 2**18
"""Approximate number of pixel bytes in a strip."""
_ENCODERS: dict[str, Callable[[Any], bytes | bytearray]] = {
    "none": np.ndarray.tobytes,
    "lzw": imagecodecs.lzw_encode,
    "zlib": partial(imagecodecs.zlib_encode, level=6),
    "packbits": partial(imagecodecs.packbits_encode, axis=-2),
    "lzma": imagecodecs.lzma_encode,
    "zstd": imagecodecs.zstd_encode,
}
"""Encoders by the name of the compression in tifffile."""
DIFFERENCED = frozenset({"lzw", "zlib", "zstd"})
"""Compressions with horizontal differencing: each pixel minus the previous one in the row."""


def shape_of(frame: Frame) -> tuple[int, int, int]:
    """Return height, width and number of channels of a page, including alpha."""
    colors = 1 if frame.pixels.ndim == 2 and frame.chroma is None else 3
    return frame.height, frame.width, colors + len(extra_channels_of(frame))


def extra_channels_of(frame: Frame) -> list[str]:
    """Return the kinds of the channels of a page that are no colours, with their names in tifffile."""
    return ["unassalpha"] * (frame.alpha is not None) + ["unspecified"] * (frame.unnamed is not None)


def rows_of(frame: Frame) -> int:
    """Return the number of rows of a strip."""
    height, width, channels = shape_of(frame)
    return max(1, min(height, STRIP_BYTES // (width * channels * frame.pixels.itemsize)))


def encoded_strips(frame: Frame, compression: str, byte_order: Literal["<", ">"]) -> Iterator[bytes]:
    """Yield the strips of a page, of :func:`rows_of` rows each, the last one with the remaining rows.

    Args:
        frame: the page; its chroma is merged here.
        compression: a key of ``_ENCODERS``.
        byte_order: of the file.

    """
    rows, encode = rows_of(frame), _ENCODERS[compression]
    for strip in _strips(frame, rows):
        for top in range(0, len(strip), rows):
            part = strip[top : top + rows]
            if compression in DIFFERENCED:
                part = imagecodecs.delta_encode(part, axis=-2)
            yield bytes(encode(np.ascontiguousarray(part, part.dtype.newbyteorder(byte_order))))


def _strips(frame: Frame, rows: int) -> Iterator[Pixels]:
    """Yield ``[R, W, C]`` from top to bottom; the rows of each but the last are a multiple of ``rows``."""
    strips = [frame.pixels] if frame.chroma is None else frame.merged_strips(rows)
    extra = [channel for channel in (frame.alpha, frame.unnamed) if channel is not None]
    top = 0
    for strip in strips:
        planes = np.atleast_3d(strip)
        bottom = top + len(planes)
        yield np.dstack([planes, *(channel[top:bottom] for channel in extra)]) if extra else planes
        top = bottom
