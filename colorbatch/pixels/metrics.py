"""Metrics of coloured pictures: difference from the true one, colourfulness and blotchiness."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colorbatch.extras import needs_extra
from colorbatch.pixels import color

RGB = NDArray[np.unsignedinteger[Any]]
"""uint8 ``[H, W, 3]``."""

_SIDE = 192
"""Side in pixels of the square in which flat regions are searched."""
_STRIDE = 4
"""Side of a cell in pixels."""
_MAX_FLAT_SLOPE = 0.64
"""Maximum slope of blurred luma in a flat region, in levels per pixel."""
_LUMA_BLUR, _CHROMA_BLUR = 4.0, 1.0
"""Standard deviations, in pixels for luma and in cells for chroma: the same in the picture."""
_MIN_REGION = 16
"""Minimum number of cells of a region; smaller ones say nothing about blotches."""


def psnr(result: RGB, truth: RGB) -> float:
    """Return the peak signal-to-noise ratio over all channels in dB; infinite for equal pictures."""
    mean_square = np.mean((result.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return float("inf") if mean_square == 0 else float(10 * np.log10(255**2 / mean_square))


def ssim(result: RGB, truth: RGB) -> float:
    """Return the structural similarity of Wang et al. 2004, mean over channels, as scikit-image computes it.

    Raises:
        MissingExtraError: scikit-image is not installed.

    """
    with needs_extra("evaluate"):
        from skimage.metrics import structural_similarity

    return float(structural_similarity(result, truth, channel_axis=2, data_range=255))


def mean_ciede2000(result: RGB, truth: RGB) -> float:
    """Return the mean colour difference CIEDE2000 over all pixels, as scikit-image computes it (sRGB, D65).

    Raises:
        MissingExtraError: scikit-image is not installed.

    """
    with needs_extra("evaluate"):
        from skimage.color import deltaE_ciede2000, rgb2lab

    return float(np.mean(deltaE_ciede2000(rgb2lab(result), rgb2lab(truth))))


def colourfulness(image: RGB) -> float:
    """Return the colourfulness M of Hasler and Suesstrunk 2003, "Measuring colourfulness in natural images", eq. 3.

    0 is grey; about 40 is an ordinary colour photograph; over 80 is garish.
    """
    red, green, blue = np.moveaxis(image.astype(np.float64), -1, 0)
    red_green = red - green
    yellow_blue = (red + green) / 2 - blue
    deviation = np.hypot(red_green.std(), yellow_blue.std())
    mean = np.hypot(red_green.mean(), yellow_blue.mean())
    return float(deviation + 0.3 * mean)


class Blotches(NamedTuple):
    """Deviation of chroma from the mean of its flat region, summed over the cells of a picture."""

    squares: float
    """Sum of the squared deviations of Cb and Cr, in 8-bit levels."""
    places: int
    """Number of cells."""


def flat_regions(luma: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the connected regions of a picture where luma hardly changes: walls, skies, backdrops.

    Args:
        luma: ``[H, W]``.

    Returns:
        The number of the region of each cell, ``[48, 48]``; 0 where there is none.

    Raises:
        MissingExtraError: SciPy is not installed.

    """
    with needs_extra("evaluate"):
        from scipy import ndimage

    small = np.asarray(Image.fromarray(luma).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), np.float32)
    slopes = np.gradient(ndimage.gaussian_filter(small, _LUMA_BLUR))
    is_flat = (np.hypot(*slopes) < _MAX_FLAT_SLOPE)[_STRIDE // 2 :: _STRIDE, _STRIDE // 2 :: _STRIDE]
    regions, count = ndimage.label(is_flat)
    places = np.bincount(regions.ravel(), minlength=count + 1)
    kept: NDArray[np.int32] = np.where(places[regions] >= _MIN_REGION, regions, 0)
    return kept


def blotches(image: RGB, regions: NDArray[np.int32]) -> Blotches:
    """Return how blotchy an image is in the flat regions of its luma, found by :func:`flat_regions`.

    Chroma is blurred first, so that grain and JPEG noise do not count.

    Raises:
        MissingExtraError: SciPy is not installed.

    """
    with needs_extra("evaluate"):
        from scipy import ndimage

    small = Image.fromarray(image.astype(np.uint8, copy=False)).resize(regions.shape[::-1], Image.Resampling.BILINEAR)
    inside = regions > 0
    numbers = regions[inside]
    places = np.bincount(numbers)
    squares = 0.0
    for plane in 255 * color.chroma_of(np.asarray(small)):
        values = ndimage.gaussian_filter(plane, _CHROMA_BLUR)[inside].astype(np.float64)
        means = np.bincount(numbers, values) / np.maximum(places, 1)
        squares += float(((values - means[numbers]) ** 2).sum())
    return Blotches(squares, len(numbers))


def blotchiness(found: list[Blotches]) -> float:
    """Return the root mean square deviation over all flat cells of several pictures, in 8-bit levels."""
    places = sum(each.places for each in found)
    return float(np.sqrt(sum(each.squares for each in found) / places)) if places else 0.0
