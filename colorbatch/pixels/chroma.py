"""Merge small chroma with the luma of full-size pixels, strip by strip: memory use stays low whatever the size."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colorbatch.pixels import color, resize
from colorbatch.pixels.color import Plane

Pixels = NDArray[np.unsignedinteger[Any]]
"""uint8 or uint16."""
REACH = 4
"""Number of pixels, down and across, that one chroma sample of half the size affects."""


def merged(pixels: Pixels, chroma: Plane, own_color: Plane | None = None) -> Pixels:
    """Return RGB ``[H, W, 3]`` of the same type, with the luma of ``pixels`` and the colours of ``chroma``.

    Args:
        pixels: grey ``[H, W]`` or RGB ``[H, W, 3]``, uint8 or uint16.
        chroma: ``[2, h, w]`` of any size.
        own_color: weight in 0..1 with which RGB pixels keep their own colours, ``[h, w]`` of any size; ``None``: 0.

    """
    result = np.empty((*pixels.shape[:2], 3), pixels.dtype)
    top = 0
    for strip in merged_strips(pixels, chroma, own_color):
        result[top : top + len(strip)] = strip
        top += len(strip)
    return result


def merged_strips(
    pixels: Pixels, chroma: Plane, own_color: Plane | None = None, multiple_of: int = 1
) -> Iterator[Pixels]:
    """Yield the result of :func:`merged` in strips ``[R, W, 3]``, from top to bottom.

    Args:
        pixels: as there.
        chroma: likewise.
        own_color: likewise.
        multiple_of: what the number of rows of each strip but the last is a multiple of.

    """
    weights = None if own_color is None else resize.Enlarged(own_color[None], pixels.shape[:2])
    for strip, offsets in _strips(chroma, pixels.shape[:2], multiple_of):
        rgb = color.merge(color.luma_of(pixels[strip]), offsets)
        if weights is not None:
            rgb = _with_own_color(rgb, pixels[strip], weights.rows(strip.start, strip.stop)[0])
        yield color.to_levels(rgb, pixels.dtype.type)


def _with_own_color(rgb: Plane, pixels: Pixels, weights: Plane) -> Plane:
    """Return the weighted mean of colours and pixels of the same luma, ``[R, W, 3]``: it has that luma too."""
    if not weights.any():
        return rgb
    weights = np.clip(weights, 0, 1)[..., None]
    mean: Plane = rgb + weights * (color.to_unit(pixels) - rgb)
    return mean


def chroma_planes(levels: NDArray[np.uint8], chroma: Plane, slope: Plane | None = None) -> NDArray[np.uint8]:
    """Return Cb and Cr, ``[2, H, W]`` in levels around 128, to be stored with unchanged luma.

    Args:
        levels: luma ``[H, W]``.
        chroma: ``[2, h, w]`` of any size.
        slope: factor of chroma by level, ``[256]``: how fast the levels grow with those that the network saw, if they
            have another tone curve; ``None``: 1.

    """
    planes = np.empty((2, *levels.shape), np.uint8)
    for strip, offsets in _strips(chroma, levels.shape):
        luma, factor = color.luma_of(levels[strip]), 1 if slope is None else slope[levels[strip]]
        planes[:, strip] = color.chroma_levels(offsets * factor, luma, luma)
    return planes


def halved_chroma_planes(levels: NDArray[np.uint8], chroma: Plane, slope: Plane | None = None) -> NDArray[np.uint8]:
    """Return Cb and Cr of half the size, ``[2, ceil(H / 2), ceil(W / 2)]``, that fit the luma too.

    A decoder enlarges them, so that a pixel shows a mixture of nearby samples (ITU-T T.871, section 8: samples are
    centred among their pixels). Each sample is reduced until its colour fits every pixel that it affects. So does the
    mixture, since the colours that fit a luma are a convex set: no decoder has to clip, whether it repeats samples or
    interpolates between them.

    Args:
        levels: luma ``[H, W]``.
        chroma: ``[2, h, w]`` of any size.
        slope: as for :func:`chroma_planes`.

    """
    height, width = (-(-side // 2) for side in levels.shape)
    planes = np.empty((2, height, width), np.uint8)
    for strip, offsets in _strips(chroma, (height, width)):
        darkest, lightest = (_extreme_within_reach(levels, strip, extreme) for extreme in (np.minimum, np.maximum))
        factor = 1 if slope is None else (slope[darkest] + slope[lightest]) / 2
        planes[:, strip] = color.chroma_levels(offsets * factor, color.luma_of(darkest), color.luma_of(lightest))
    return planes


def _strips(chroma: Plane, size: tuple[int, ...], multiple_of: int = 1) -> Iterator[tuple[slice, Plane]]:
    """Yield slices of the rows of planes of ``size``, and the offsets ``[3, R, W]`` of their colours.

    Offsets are linear in chroma, so they are computed at the small size and then enlarged.
    """
    height, width = size
    enlarged = resize.Enlarged(color.offsets_of(chroma), (height, width))
    rows = max(1, resize.PIXELS_AT_ONCE // (width * multiple_of)) * multiple_of
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        yield slice(top, bottom), enlarged.rows(top, bottom)


def _extreme_within_reach(pixels: Pixels, strip: slice, extreme: Callable[[Pixels, Pixels], Pixels]) -> Pixels:
    """Return the minimum or maximum of the pixels that each chroma sample of half the size affects.

    Sample j lies between pixels 2j and 2j + 1; with linear interpolation it affects 2j - 1 to 2j + 2.
    """
    top, bottom = 2 * strip.start - 1, 2 * strip.stop + 1
    rows = pixels[max(0, top) : bottom]
    height, width = pixels.shape
    beyond = ((max(0, -top), max(0, bottom - height)), (1, 1 + width % 2))
    rows = np.pad(rows, beyond, mode="edge")
    pairs = extreme(rows[:-1], rows[1:])
    rows = extreme(pairs[:-2:2], pairs[2::2])
    pairs = extreme(rows[:, :-1], rows[:, 1:])
    return extreme(pairs[:, :-2], pairs[:, 2:])[:, ::2]
