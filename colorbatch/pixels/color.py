"""The only luma and chroma arithmetic: BT.601 full range, as JFIF stores it and Pillow's mode "L" computes it.

Sources: ITU-R BT.601-7 section 2.5.1 (the weights), ITU-T T.871 (JFIF) section 7 (the full-range transform).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

RED_WEIGHT, GREEN_WEIGHT, BLUE_WEIGHT = 0.299, 0.587, 0.114
LUMA_WEIGHTS = np.array([RED_WEIGHT, GREEN_WEIGHT, BLUE_WEIGHT])
"""Weights of R, G and B in luma, ``[3]``."""

CB_SCALE = 2 * (1 - BLUE_WEIGHT)
CR_SCALE = 2 * (1 - RED_WEIGHT)
CHROMA_WEIGHTS = np.array(
    [
        (np.array([0, 0, 1]) - LUMA_WEIGHTS) / CB_SCALE,
        (np.array([1, 0, 0]) - LUMA_WEIGHTS) / CR_SCALE,
    ]
)
"""Weights of R, G and B in Cb and Cr, ``[2, 3]``."""

HEADROOM = 4 / 255
"""Margin of coloured channels to 0 and 1: JPEG rounds chroma, and a channel that leaves the range by that would be
clipped, which changes luma."""

GREEN_OF_CB = -CB_SCALE * BLUE_WEIGHT / GREEN_WEIGHT
GREEN_OF_CR = -CR_SCALE * RED_WEIGHT / GREEN_WEIGHT


def luma_of(pixels: NDArray[Any]) -> Plane:
    """Return luma float32 ``[H, W]`` in 0..1 of unsigned integer pixels, grey ``[H, W]`` or RGB ``[H, W, 3]``.

    Luma, which is float32 already, is returned unchanged.
    """
    if pixels.dtype == np.float32:
        return pixels
    scaled = to_unit(pixels)
    return scaled if scaled.ndim == 2 else scaled @ LUMA_WEIGHTS.astype(np.float32)


def chroma_of(pixels: NDArray[Any]) -> Plane:
    """Return chroma float32 ``[2, H, W]`` in -0.5..0.5 of unsigned integer RGB pixels ``[H, W, 3]``."""
    chroma: Plane = np.moveaxis(to_unit(pixels) @ CHROMA_WEIGHTS.T.astype(np.float32), -1, 0)
    return chroma


def offsets_of(chroma: Plane) -> Plane:
    """Return the offsets ``[3, H, W]`` of red, green and blue from luma, given chroma ``[2, H, W]``."""
    cb, cr = chroma
    green = np.float32(GREEN_OF_CB) * cb + np.float32(GREEN_OF_CR) * cr
    return np.stack([np.float32(CR_SCALE) * cr, green, np.float32(CB_SCALE) * cb])


def room_for(offsets: Plane, darkest: Plane, lightest: Plane) -> Plane:
    """Return the largest factor of the offsets, ``[H, W]`` in 0..1, with which no channel clips.

    Where a channel would come closer than ``HEADROOM`` to 0 or 1, scaling all three offsets moves the colour of that
    pixel towards grey and keeps its hue.

    Args:
        offsets: ``[3, H, W]``, as :func:`offsets_of` returns them.
        darkest: the lowest luma, ``[H, W]`` in 0..1, of the pixels that show the colour.
        lightest: the highest; the same if one pixel shows it.

    """
    red, green, blue = offsets
    up = np.maximum(red, green)
    np.maximum(up, blue, out=up)
    down = np.minimum(red, green)
    np.minimum(down, blue, out=down)
    # The offsets of a colour have both signs or are all 0, so both limits are needed and neither divides by 0.
    tiny = np.float32(np.finfo(np.float32).tiny)
    np.maximum(up, tiny, out=up)
    np.minimum(down, -tiny, out=down)
    np.divide(np.float32(1 - HEADROOM) - lightest, up, out=up)
    np.divide(np.float32(HEADROOM) - darkest, down, out=down)
    share: Plane = np.minimum(up, down, out=up)
    np.clip(share, 0, 1, out=share)
    return share


def merge(luma: Plane, offsets: Plane) -> Plane:
    """Return RGB float32 ``[H, W, 3]`` in 0..1 that has exactly this luma.

    Args:
        luma: ``[H, W]`` in 0..1.
        offsets: ``[3, H, W]``, to be scaled by :func:`room_for`.

    """
    rgb = offsets * room_for(offsets, luma, luma)  # a plane for each channel: NumPy is slow along an axis of 3
    rgb += luma
    return np.moveaxis(rgb, 0, -1)


def to_unit(pixels: NDArray[Any]) -> Plane:
    """Return unsigned integers as float32 in 0..1, scaled by the largest value of their type, same shape."""
    scaled: Plane = pixels.astype(np.float32)
    scaled *= np.float32(1 / np.iinfo(pixels.dtype).max)
    return scaled


def to_levels(unit: Plane, dtype: type[np.unsignedinteger[Any]] = np.uint8) -> NDArray[np.unsignedinteger[Any]]:
    """Round values in 0..1 to the levels of an unsigned type, same shape."""
    top = np.float32(np.iinfo(dtype).max)
    levels: NDArray[np.unsignedinteger[Any]] = (unit * top + np.float32(0.5)).astype(dtype)
    return levels


def to_8_bits(pixels: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.uint8]:
    """Return the upper 8 bits of levels of an unsigned type, same shape."""
    return (pixels >> (8 * (pixels.dtype.itemsize - 1))).astype(np.uint8, copy=False)


def rounded_to_8_bits(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the nearest levels of 8 bits, same shape: 65,535 is 257 times 255."""
    nearest = np.round(np.arange(2**16) / 257).astype(np.uint8)
    return nearest[pixels]


def chroma_levels(offsets: Plane, darkest: Plane, lightest: Plane) -> NDArray[np.uint8]:
    """Return Cb and Cr ``[2, H, W]`` as JFIF stores them, in levels around 128, scaled so that no channel clips.

    If one pixel shows each colour, they are those of the result of :func:`merge`. Source: ITU-T T.871, section 7. The
    chroma of RGB that does not clip is within -0.5..0.5.

    Args:
        offsets: ``[3, H, W]``.
        darkest: as for :func:`room_for`.
        lightest: likewise.

    """
    share = room_for(offsets, darkest, lightest)
    share *= np.float32(255)
    levels = np.empty((2, *share.shape), np.uint8)
    for plane, offset, scale in ((levels[0], offsets[2], CB_SCALE), (levels[1], offsets[0], CR_SCALE)):
        chroma = offset * share
        chroma *= np.float32(1 / scale)
        chroma += np.float32(128.5)
        plane[:] = chroma
    return levels
