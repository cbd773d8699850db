"""Resizing between the size of the source and the size that the network sees."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colorbatch.pixels import color
from colorbatch.pixels.color import Plane

PIXELS_AT_ONCE = 2**18
"""Approximate number of pixels in a strip of a full-size plane: strips keep memory use low. Smaller ones would fit the
cache better, but threads would pass Python's lock to each other so often that two took 1.6 times as long as one."""

MAX_ASPECT = 8
"""Largest aspect ratio of pictures that the network sees whole; longer ones are tiled."""
_MAX_LENGTH = 64
"""Maximum long side that the network sees, over all tiles, as a multiple of the working size."""
_MAX_WEIGHTS = 2**20
"""Maximum number of weights in memory when rows are enlarged."""
_REDUCING_GAP = 3
"""Minimum ratio of the averaged size to the size that the network sees; bicubic resampling does the rest."""


def network_size(height: int, width: int, working_size: int) -> tuple[int, int]:
    """Return the height and width, 1 or more, at which the network sees a picture.

    The short side becomes ``working_size``, larger or smaller than before, since a network recognises things at the
    scale it was trained at. A picture longer than ``MAX_ASPECT`` is not enlarged beyond that length: it would take much
    time for a few rows of pixels.
    """
    short, long = sorted((height, width))
    scale = working_size / short
    if scale > 1:
        scale = max(1.0, min(scale, MAX_ASPECT * working_size / long))
    scale = min(scale, _MAX_LENGTH * working_size / long)
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink_luma(pixels: NDArray[Any], size: tuple[int, int]) -> Plane:
    """Return the luma of ``pixels`` at ``size`` (height, width), antialiased, in 0..1.

    Much larger pictures are first reduced by averaging, to no less than ``_REDUCING_GAP`` times ``size``, strip by
    strip, so that neither luma in float32 nor a copy of the whole picture is held in memory.

    Args:
        pixels: as for :func:`colorbatch.pixels.color.luma_of`.
        size: of the result; may be larger than the pixels.

    """
    height, width = pixels.shape[:2]
    down, across = (
        max(1, int(full / (_REDUCING_GAP * small))) for full, small in zip((height, width), size, strict=True)
    )
    rows = down * max(1, 4 * PIXELS_AT_ONCE // (width * down))
    reduced = np.concatenate(
        [_averaged_luma(pixels[top : top + rows], (across, down)) for top in range(0, height, rows)]
    )
    box = (0, 0, width / across, height / down)  # the last row and column may represent fewer pixels than the others
    luma = np.asarray(Image.fromarray(reduced).resize(size[::-1], Image.Resampling.BICUBIC, box))
    clipped: Plane = np.clip(luma, 0, 1)  # bicubic overshoots at edges
    return clipped


def _averaged_luma(pixels: NDArray[Any], factors: tuple[int, int]) -> Plane:
    """Return the luma of pixels, averaged over ``factors`` (columns, rows).

    Pillow averages 8-bit pixels in integers, rounded once: several times as fast, and within half a level.
    """
    levels = pixels if pixels.dtype == np.uint8 else color.luma_of(pixels)
    return color.luma_of(np.asarray(Image.fromarray(levels).reduce(factors)))


def shrink_levels(pixels: NDArray[Any], size: tuple[int, int], resample: Image.Resampling) -> NDArray[np.uint8]:
    """Return unsigned integer pixels, grey ``[H, W]`` or RGB ``[H, W, 3]``, in 8-bit levels at ``size``."""
    height, width = size
    return np.asarray(Image.fromarray(color.to_8_bits(pixels)).resize((width, height), resample))


def pad_to_multiple(plane: Plane, multiple: int) -> Plane:
    """Return ``plane`` ``[H, W]`` with its last row and column repeated until both sides are multiples."""
    height, width = plane.shape
    return np.pad(plane, ((0, -height % multiple), (0, -width % multiple)), mode="edge")


class Enlarged:
    """Small planes enlarged by bicubic interpolation, of which only the requested rows are computed.

    The same as Pillow's bicubic (Keys 1981, "Cubic convolution interpolation", a = -0.5; widened when shrinking).
    Rows are weighted sums of a few others, so a matrix product computes them several times as fast as Pillow.
    """

    def __init__(self, planes: Plane, size: tuple[int, int]) -> None:
        """Enlarge ``planes`` ``[C, h, w]`` to ``size``, the full height and width."""
        self._height, self._width = size
        self._widened = np.stack([_resize(plane, (plane.shape[0], self._width)) for plane in planes])  # [C, h, W]

    def rows(self, top: int, bottom: int) -> Plane:
        """Return the rows from ``top`` to ``bottom``, ``[C, bottom - top, W]``."""
        starts = range(top, bottom, self._rows_at_once)
        parts = [self._product(start, min(bottom, start + self._rows_at_once)) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    @property
    def _rows_at_once(self) -> int:
        """Number of rows with less than ``_MAX_WEIGHTS`` weights, most of which are 0 in tall, narrow pictures."""
        scale = self._widened.shape[1] / self._height
        return max(1, int(min(math.sqrt(_MAX_WEIGHTS / (2 * scale)), _MAX_WEIGHTS / (10 * max(1.0, scale)))))

    def _product(self, top: int, bottom: int) -> Plane:
        weights, first = _bicubic_weights(top, bottom, self._height, self._widened.shape[1])
        rows: Plane = weights @ self._widened[:, first : first + weights.shape[1]]
        return rows


def _bicubic_weights(top: int, bottom: int, height: int, source: int) -> tuple[Plane, int]:
    """Return the weights ``[bottom - top, K]`` of K source rows in rows of the result, and the first source row."""
    scale = source / height
    spread = max(1.0, scale)
    centers = (np.arange(top, bottom) + 0.5) * scale
    first = max(0, math.floor(centers[0] - 2 * spread))
    last = min(source, math.ceil(centers[-1] + 2 * spread))
    distance = np.abs((np.arange(first, last) + 0.5 - centers[:, None]) / spread)
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), first


def _resize(plane: Plane, size: tuple[int, int]) -> Plane:
    if plane.shape == size:
        return plane
    height, width = size
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))
