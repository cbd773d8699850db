"""How close a coloured picture is to the true one, and how colourful it is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from colorbatch.extras import needs_extra

RGB = NDArray[np.unsignedinteger[Any]]
"""uint8 ``[H, W, 3]``."""


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
