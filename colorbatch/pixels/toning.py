"""Tell colour pictures from black-and-white ones that are toned, yellowed or unevenly faded.

Toning is a curve: each luma has one chroma, so the residual chroma after subtracting the mean for its luma is noise, or
uneven fading of that one tone, which lies along one line. Colours differ at the same luma, and in more than one
direction. Both measures are in 8-bit levels, taken at a small size, where grain and JPEG noise vanish.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colorbatch.pixels import color, resize
from colorbatch.pixels.chroma import Pixels
from colorbatch.pixels.color import Plane

SMALL_SIDE = 128
"""Short side in pixels at which pictures are measured."""
LUMA_BINS = 24
"""Number of bins of luma for which the mean chroma is computed."""
MAX_NEUTRAL = 2.0
"""Limit of the chroma of a neutral picture at that size, in 8-bit levels: less cannot be seen."""
MAX_ALONG, MAX_ACROSS = 5.0, 1.5
"""Limits of the two measures; a picture beyond either is in colour."""
DOUBTFUL_ALONG, DOUBTFUL_ACROSS = 4.5, 1.1
"""A picture beyond either, but within the limits, might be in colour. ``benchmarks/README.md`` says how many toned
photographs are, and how many of the colour photographs within the limits."""


@dataclass(frozen=True)
class ToneMeasure:
    """Distance of a picture from a single tone, as root mean squares in 8-bit levels of chroma."""

    along: float
    """Root mean square of the whole residual."""
    across: float
    """Root mean square of the residual perpendicular to its main direction."""

    @property
    def is_color(self) -> bool:
        """Whether the distance is too large for a toned photograph."""
        return self.along > MAX_ALONG or self.across > MAX_ACROSS

    @property
    def is_doubtful(self) -> bool:
        """Whether the distance is unusual for a toned photograph, but not too large."""
        return not self.is_color and (self.along > DOUBTFUL_ALONG or self.across > DOUBTFUL_ACROSS)


def measure_tone(luma: Plane, chroma: Plane) -> ToneMeasure:
    """Measure pixels of luma ``[N]`` in 0..1 and chroma ``[2, N]`` in 8-bit levels."""
    residual = _residual_chroma(luma, chroma)
    across, along = np.sqrt(np.clip(np.linalg.eigvalsh(residual @ residual.T / residual.shape[1]), 0, None))
    return ToneMeasure(float(np.hypot(along, across)), float(across))


def is_neutral(pixels: Pixels) -> bool:
    """Return whether an image, grey ``[H, W]`` or RGB ``[H, W, 3]``, has no visible chroma anywhere."""
    if pixels.ndim == 2:
        return True
    _, chroma = shrunk_planes(pixels)
    return bool(np.abs(chroma).max() <= MAX_NEUTRAL)


def shrunk_planes(pixels: Pixels, short_side: int = SMALL_SIDE) -> tuple[Plane, Plane]:
    """Return luma ``[h, w]`` in 0..1 and chroma ``[2, h, w]`` in 8-bit levels of RGB pixels ``[H, W, 3]``.

    Pictures with a longer short side are reduced to ``short_side`` by averaging.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, short_side / min(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = resize.shrink_levels(pixels, size, Image.Resampling.BOX)
    return color.luma_of(small), color.chroma_of(small) * 255


def _residual_chroma(luma: Plane, chroma: Plane) -> NDArray[np.float64]:
    """Return chroma ``[2, N]`` minus the mean chroma for its luma ``[N]``, interpolated linearly between bins."""
    bins = np.minimum((luma * LUMA_BINS).astype(int), LUMA_BINS - 1)
    count = np.bincount(bins, minlength=LUMA_BINS)
    used = count > 0
    middle = ((np.arange(LUMA_BINS) + 0.5) / LUMA_BINS)[used]
    means = (np.bincount(bins, plane, LUMA_BINS)[used] / count[used] for plane in chroma)
    return np.stack([plane - np.interp(luma, middle, mean) for plane, mean in zip(chroma, means, strict=True)])
