"""Between the source's size and the size the network sees."""

import numpy as np
from PIL import Image

from colorbatch.color import Plane

MAX_ASPECT = 8
"""The network sees a picture whole up to this ratio of its sides; longer ones go in tiles."""
_MAX_LENGTH = 64
"""The long side the network sees, in all tiles together, is at most this many times the working size."""


def network_size(height: int, width: int, working_size: int) -> tuple[int, int]:
    """Return the height and width, 1 or more, at which the network sees a picture.

    The short side becomes ``working_size``, larger or smaller than it was, since a network knows things at the scale
    it was trained at. A picture longer than ``MAX_ASPECT`` is not enlarged beyond that length: it would cost much time
    for a few rows of pixels.
    """
    short, long = sorted((height, width))
    scale = working_size / short
    if scale > 1:
        scale = max(1.0, min(scale, MAX_ASPECT * working_size / long))
    scale = min(scale, _MAX_LENGTH * working_size / long)
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink_luma(luma: Plane, size: tuple[int, int]) -> Plane:
    """Return ``luma`` ``[H, W]`` at ``size`` (height, width), antialiased, still in 0..1."""
    return np.clip(_resize(luma, size, Image.Resampling.BICUBIC), 0, 1)  # bicubic overshoots at edges


def pad_to_multiple(plane: Plane, multiple: int) -> Plane:
    """Return ``plane`` ``[H, W]`` with its last row and column repeated until both sides are multiples."""
    height, width = plane.shape
    return np.pad(plane, ((0, -height % multiple), (0, -width % multiple)), mode="edge")


def enlarge_chroma(chroma: Plane, size: tuple[int, int]) -> Plane:
    """Return ``chroma`` ``[2, h, w]`` at ``size`` (height, width): ``[2, H, W]``."""
    return np.stack([_resize(plane, size, Image.Resampling.BICUBIC) for plane in chroma])


def _resize(plane: Plane, size: tuple[int, int], resampling: Image.Resampling) -> Plane:
    if plane.shape == size:
        return plane
    height, width = size
    return np.asarray(Image.fromarray(plane).resize((width, height), resampling))
