"""Lay small chroma over the luma of full-size pixels, strip by strip: memory stays low whatever the size."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colorbatch import color, resize
from colorbatch.color import Plane

Pixels = NDArray[np.unsignedinteger[Any]]
"""uint8 or uint16."""


def merged(pixels: Pixels, chroma: Plane) -> Pixels:
    """Return RGB ``[H, W, 3]`` of the same type, with the luma of ``pixels`` and the colours of ``chroma``.

    Args:
        pixels: grey ``[H, W]`` or RGB ``[H, W, 3]``, uint8 or uint16.
        chroma: ``[2, h, w]`` of any size.

    """
    result = np.empty((*pixels.shape[:2], 3), pixels.dtype)
    for strip, luma, offsets in _strips(pixels, chroma):
        result[strip] = color.to_levels(color.merge(luma, offsets), pixels.dtype.type)
    return result


def chroma_planes(pixels: Pixels, chroma: Plane) -> NDArray[np.uint8]:
    """Return Cb and Cr, ``[2, H, W]`` in levels around 128, to be laid over the luma of ``pixels`` as they are."""
    planes = np.empty((2, *pixels.shape[:2]), np.uint8)
    for strip, luma, offsets in _strips(pixels, chroma):
        planes[:, strip] = color.chroma_levels(luma, offsets)
    return planes


def _strips(pixels: Pixels, chroma: Plane) -> Iterator[tuple[slice, Plane, Plane]]:
    """Yield the place of some rows, their luma ``[R, W]`` and the offsets ``[3, R, W]`` of their colours.

    Offsets are linear in chroma, so they are computed small and then enlarged.
    """
    height, width = pixels.shape[:2]
    enlarged = resize.Enlarged(color.offsets_of(chroma), (height, width))
    rows = max(1, resize.PIXELS_AT_ONCE // width)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        yield slice(top, bottom), color.luma_of(pixels[top:bottom]), enlarged.rows(top, bottom)
