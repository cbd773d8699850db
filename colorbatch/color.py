"""The only luma and chroma arithmetic: BT.601 full range, as JFIF stores it and Pillow's mode "L" computes it.

Sources: ITU-R BT.601-7 section 2.5.1 (the weights), ITU-T T.871 (JFIF) section 7 (the full-range transform).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

RED_WEIGHT, GREEN_WEIGHT, BLUE_WEIGHT = 0.299, 0.587, 0.114
LUMA_WEIGHTS = np.array([RED_WEIGHT, GREEN_WEIGHT, BLUE_WEIGHT])
"""Luma of RGB, ``[3]``."""

CB_SCALE = 2 * (1 - BLUE_WEIGHT)
CR_SCALE = 2 * (1 - RED_WEIGHT)
CHROMA_WEIGHTS = np.array(
    [
        (np.array([0, 0, 1]) - LUMA_WEIGHTS) / CB_SCALE,
        (np.array([1, 0, 0]) - LUMA_WEIGHTS) / CR_SCALE,
    ]
)
"""Cb and Cr of RGB, ``[2, 3]``."""

HEADROOM = 4 / 255
"""Distance that coloured channels keep from 0 and 1: JPEG rounds chroma, and a channel pushed over the end by that
would be clipped, which changes luma."""

GREEN_OF_CB = -CB_SCALE * BLUE_WEIGHT / GREEN_WEIGHT
GREEN_OF_CR = -CR_SCALE * RED_WEIGHT / GREEN_WEIGHT


def luma_of(pixels: NDArray[Any]) -> Plane:
    """Return luma float32 ``[H, W]`` in 0..1 of unsigned integer pixels, grey ``[H, W]`` or RGB ``[H, W, 3]``."""
    unit = _unit(pixels)
    return unit if unit.ndim == 2 else unit @ LUMA_WEIGHTS.astype(np.float32)


def chroma_of(pixels: NDArray[Any]) -> Plane:
    """Return chroma float32 ``[2, H, W]`` in -0.5..0.5 of unsigned integer RGB pixels ``[H, W, 3]``."""
    chroma: Plane = np.moveaxis(_unit(pixels) @ CHROMA_WEIGHTS.T.astype(np.float32), -1, 0)
    return chroma


def merge(luma: Plane, chroma: Plane) -> Plane:
    """Return RGB float32 ``[H, W, 3]`` in 0..1 that has exactly this luma.

    Where a channel would come closer than ``HEADROOM`` to 0 or 1, the chroma of that pixel is shrunk towards grey, hue
    kept, until it fits: luma is never changed.

    Args:
        luma: ``[H, W]`` in 0..1.
        chroma: ``[2, H, W]``; may lie outside -0.5..0.5.

    """
    cb, cr = chroma
    offsets = np.empty((3, *luma.shape), np.float32)  # a plane for each channel: NumPy is slow along an axis of 3
    np.multiply(cr, np.float32(CR_SCALE), out=offsets[0])
    np.multiply(cb, np.float32(GREEN_OF_CB), out=offsets[1])
    offsets[1] += np.float32(GREEN_OF_CR) * cr
    np.multiply(cb, np.float32(CB_SCALE), out=offsets[2])

    # The offsets of a colour have both signs or are all 0, so both limits are needed and neither divides by a negative.
    tiny = np.float32(np.finfo(np.float32).tiny)
    up = np.maximum(np.maximum(offsets[0], offsets[1]), offsets[2])
    down = -np.minimum(np.minimum(offsets[0], offsets[1]), offsets[2])
    shrink = (np.float32(1 - HEADROOM) - luma) / np.maximum(up, tiny)
    np.minimum(shrink, (luma - np.float32(HEADROOM)) / np.maximum(down, tiny), out=shrink)
    np.clip(shrink, 0, 1, out=shrink)
    offsets *= shrink
    offsets += luma
    return np.moveaxis(offsets, 0, -1)


def to_levels(unit: Plane, dtype: type[np.unsignedinteger[Any]] = np.uint8) -> NDArray[np.unsignedinteger[Any]]:
    """Round values in 0..1 to the levels of an unsigned type, same shape."""
    top = np.float32(np.iinfo(dtype).max)
    levels: NDArray[np.unsignedinteger[Any]] = (unit * top + np.float32(0.5)).astype(dtype)
    return levels


def _unit(pixels: NDArray[Any]) -> Plane:
    """Scale unsigned integers to 0..1 by the largest value of their type."""
    scaled: Plane = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return scaled
