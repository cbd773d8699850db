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
    """Return luma float32 ``[H, W]`` in 0..1 of unsigned integer pixels, grey ``[H, W]`` or RGB ``[H, W, 3]``.

    Luma, which is float32 already, is returned as it is.
    """
    if pixels.dtype == np.float32:
        return pixels
    unit = _unit(pixels)
    return unit if unit.ndim == 2 else unit @ LUMA_WEIGHTS.astype(np.float32)


def chroma_of(pixels: NDArray[Any]) -> Plane:
    """Return chroma float32 ``[2, H, W]`` in -0.5..0.5 of unsigned integer RGB pixels ``[H, W, 3]``."""
    chroma: Plane = np.moveaxis(_unit(pixels) @ CHROMA_WEIGHTS.T.astype(np.float32), -1, 0)
    return chroma


def limited(luma: Plane, chroma: Plane) -> Plane:
    """Return chroma ``[2, H, W]`` that no channel of RGB clips with.

    Where a channel would come closer than ``HEADROOM`` to 0 or 1, the chroma of that pixel is shrunk towards grey, hue
    kept, until it fits.

    Args:
        luma: ``[H, W]`` in 0..1.
        chroma: ``[2, H, W]``; may lie outside -0.5..0.5.

    """
    red, green, blue = _offsets(chroma)
    up = np.maximum(red, green)
    np.maximum(up, blue, out=up)
    down = np.minimum(red, green, out=red)
    np.minimum(down, blue, out=down)
    # The offsets of a colour have both signs or are all 0, so both limits are needed and neither divides by 0.
    tiny = np.float32(np.finfo(np.float32).tiny)
    np.maximum(up, tiny, out=up)
    np.minimum(down, -tiny, out=down)
    share = np.subtract(np.float32(1 - HEADROOM), luma, out=green)
    share /= up
    share_down = np.subtract(np.float32(HEADROOM), luma, out=blue)
    share_down /= down
    np.minimum(share, share_down, out=share)
    np.clip(share, 0, 1, out=share)
    held_back: Plane = chroma * share
    return held_back


def merge(luma: Plane, chroma: Plane) -> Plane:
    """Return RGB float32 ``[H, W, 3]`` in 0..1 that has exactly this luma, and this chroma as far as RGB has room.

    Args:
        luma: ``[H, W]`` in 0..1.
        chroma: ``[2, H, W]``; :func:`limited` is applied to it.

    """
    rgb = np.stack(_offsets(limited(luma, chroma)))  # a plane for each channel: NumPy is slow along an axis of 3
    rgb += luma
    return np.moveaxis(rgb, 0, -1)


def to_levels(unit: Plane, dtype: type[np.unsignedinteger[Any]] = np.uint8) -> NDArray[np.unsignedinteger[Any]]:
    """Round values in 0..1 to the levels of an unsigned type, same shape."""
    top = np.float32(np.iinfo(dtype).max)
    levels: NDArray[np.unsignedinteger[Any]] = (unit * top + np.float32(0.5)).astype(dtype)
    return levels


def chroma_levels(chroma: Plane) -> NDArray[np.uint8]:
    """Round chroma in -0.5..0.5 to levels around 128, as JFIF stores them (ITU-T T.871, section 7), same shape."""
    levels = chroma * np.float32(255)
    levels += np.float32(128.5)
    np.clip(levels, 0, 255, out=levels)
    rounded: NDArray[np.uint8] = levels.astype(np.uint8)
    return rounded


def _offsets(chroma: Plane) -> tuple[Plane, Plane, Plane]:
    """Return what chroma ``[2, H, W]`` adds to luma in red, green and blue, ``[H, W]`` each."""
    cb, cr = chroma
    green = cb * np.float32(GREEN_OF_CB)
    green += np.float32(GREEN_OF_CR) * cr
    return cr * np.float32(CR_SCALE), green, cb * np.float32(CB_SCALE)


def _unit(pixels: NDArray[Any]) -> Plane:
    """Scale unsigned integers to 0..1 by the largest value of their type."""
    scaled: Plane = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return scaled
