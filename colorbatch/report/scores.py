"""Which pictures to look at first: measures of typical faults of colouring, combined into one score.

Each measure becomes a concern from 0 to 1, along a ramp from where it becomes noticeable to where it cannot be missed.
They are combined like independent probabilities, 1 - (1 - a)(1 - b)(1 - c) ...: one strong concern is enough for a high
score, and several weak ones add up without exceeding 1. Only colours that can be seen are a concern: nothing is wrong
with a pale picture, however unsure its model. docs/report.md gives the reasons.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colorbatch.inference.contract import expected_ciede2000
from colorbatch.pixels import color
from colorbatch.pixels.color import Plane
from colorbatch.pixels.metrics import colourfulness

RGB = NDArray[np.uint8]
"""8-bit RGB, ``[H, W, 3]``."""
Concern = Literal[
    "unsure of its colours",
    "purple",
    "stains",
    "more colourful than the rest",
    "colours cut off",
    "flat colour",
]

_DOUBT = (1.9, 4)
"""Value of :func:`doubt`: where the concern begins, and where it is 1."""
_PURPLE = (0.005, 0.06)
_STAINS = (0.005, 0.05)
_DEVIATION = (2, 3.5)
_CUT_OFF = (0.05, 0.30)
_FLAT = (0.25, 0.60)
"""Likewise, for the other concerns."""
_MIN_SPREAD = 0.25
"""Minimum spread of the root of colourfulness, about 3 at 30: more uniform batches have no outliers worth a look."""
_PURPLE_HUES = math.radians(20), math.radians(100)
"""Hues of purple, as angles from Cb to Cr: sRGB's blue is at -9 degrees, its magenta at 52, its red at 109."""
_COLORED = 8 / 255
"""Minimum length of chroma of a visible colour."""
_STAIN_SIDE, _STAIN_WINDOW = 96, 5
"""Longest side in pixels at which stains are searched, and the side of the square in which colours are compared."""
_STAIN_LEVELS = 10
"""Minimum difference of chroma in levels."""
_NEAR_LIMIT = 3 + round(color.HEADROOM * 255)
"""Distance in levels from 0 or 255 within which a channel counts as at its limit; 3 are for the noise of JPEG."""
_CLEAR_RANGE = 40
"""Minimum difference in levels between the largest and the smallest channel of a clearly coloured pixel."""
_SATURATED = 0.15
"""Minimum length of chroma of a strong colour; chroma is in -0.5..0.5."""
_SMOOTH = 3 / 255
"""Maximum difference of chroma between neighbouring pixels of a flat area."""
_HUES = 24
"""Number of sectors of the hue circle; two neighbouring ones together, 30 degrees, count as one colour."""


@dataclass(frozen=True)
class Measures:
    """Measures of one coloured picture, computed from its small preview."""

    colourfulness: float
    vividness: float
    purple: float
    stains: float
    cut_off: float
    flat: float


@dataclass(frozen=True)
class Typical:
    """Typical square roots of colourfulness in a batch; the root makes both ends equally far away."""

    median: float
    spread: float
    """The standard deviation of a normal distribution with this median deviation."""


def measure(rgb: RGB) -> Measures:
    """Return all measures of an image."""
    chroma = color.chroma_of(rgb)
    return Measures(
        colourfulness(rgb),
        vividness(chroma),
        purple_share(chroma),
        stained_share(rgb),
        cut_off_share(rgb),
        flat_share(chroma),
    )


def vividness(chroma: Plane) -> float:
    """Return the length of chroma ``[2, H, W]`` that a tenth of all pixels exceeds: 0 is grey."""
    return math.sqrt(np.quantile(_squared_length(chroma), 0.9))


def purple_share(chroma: Plane) -> float:
    """Return the share of pixels of chroma ``[2, H, W]`` whose hue is between blue and red.

    Things of these colours are rare. A model that hesitates between red and blue shows their mean, which is purple.
    """
    cb, cr = chroma
    first, last = _PURPLE_HUES
    is_after_first = cr * math.cos(first) > cb * math.sin(first)
    is_before_last = cb * math.sin(last) > cr * math.cos(last)
    return float(np.mean(is_after_first & is_before_last & (_squared_length(chroma) > _COLORED**2)))


def stained_share(rgb: RGB) -> float:
    """Return the share of places around which chroma differs clearly, and by more than luma does.

    The borders of things are seen in luma. A model sees nothing else, so it has no reason for colours that change where
    luma does not.
    """
    image = Image.fromarray(rgb)
    image.thumbnail((_STAIN_SIDE, _STAIN_SIDE), Image.Resampling.BOX, reducing_gap=None)
    luma, cb, cr = _local_range(np.moveaxis(np.asarray(image.convert("YCbCr")), -1, 0))
    of_chroma = np.hypot(cb, cr)
    return float(np.mean((of_chroma > _STAIN_LEVELS) & (of_chroma > luma)))


def _local_range(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the difference of the largest and the smallest level, ``[3, h, w]``, in the square around each pixel."""
    margin = _STAIN_WINDOW // 2
    largest = smallest = np.pad(levels, ((0, 0), (margin, margin), (margin, margin)), mode="edge")
    for axis in (1, 2):
        largest, smallest = _over_window(np.maximum, largest, axis), _over_window(np.minimum, smallest, axis)
    return largest.astype(np.float32) - smallest.astype(np.float32)


def _over_window(function: np.ufunc, levels: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """Return a function of each run of neighbours along an axis, which gets shorter by the window less 1."""
    size = levels.shape[axis] - _STAIN_WINDOW + 1
    shifted = [np.take(levels, range(start, start + size), axis=axis) for start in range(_STAIN_WINDOW)]
    result: NDArray[np.uint8] = function.reduce(shifted)
    return result


def cut_off_share(rgb: RGB) -> float:
    """Return the share of clearly coloured pixels at a limit of RGB, where the colour of the model was clipped."""
    red, green, blue = np.moveaxis(rgb.astype(np.int16), -1, 0)  # NumPy is slow along an axis of 3
    largest = np.maximum(np.maximum(red, green), blue)
    smallest = np.minimum(np.minimum(red, green), blue)
    is_at_limit = (largest >= 255 - _NEAR_LIMIT) | (smallest <= _NEAR_LIMIT)
    return float(np.mean(is_at_limit & (largest - smallest >= _CLEAR_RANGE)))


def flat_share(chroma: Plane) -> float:
    """Return the share of pixels that have the most common strong colour and differ little from their neighbours.

    Args:
        chroma: ``[2, H, W]``.

    """
    right = np.diff(chroma, axis=2, append=chroma[:, :, -1:])
    down = np.diff(chroma, axis=1, append=chroma[:, -1:])
    is_even = (_squared_length(right) <= _SMOOTH**2) & (_squared_length(down) <= _SMOOTH**2)
    is_flat = is_even & (_squared_length(chroma) >= _SATURATED**2)
    cb, cr = chroma[:, is_flat]
    turn = (np.arctan2(cr, cb) / (2 * np.pi)) % 1
    counts = np.bincount((turn * _HUES).astype(int) % _HUES, minlength=_HUES)
    return float((counts + np.roll(counts, -1)).max() / is_flat.size)


def _squared_length(chroma: Plane) -> Plane:
    """Return the squared length, ``[H, W]``, of chroma ``[2, H, W]``: NumPy's ``hypot`` takes several times as long."""
    squared: Plane = chroma[0] * chroma[0] + chroma[1] * chroma[1]
    return squared


def typical(colorfulness_values: Sequence[float]) -> Typical:
    """Return the median of the roots of colourfulness, and 1.4826 times their median absolute deviation from it.

    Iglewicz and Hoaglin 1993, "How to detect and handle outliers", regard values over 3.5 spreads away as outliers.
    """
    if not colorfulness_values:
        return Typical(0.0, _MIN_SPREAD)
    values = np.sqrt(np.asarray(colorfulness_values, dtype=np.float64))
    median = float(np.median(values))
    return Typical(median, max(_MIN_SPREAD, 1.4826 * float(np.median(np.abs(values - median)))))


def doubt(measures: Measures, confidence: float | None) -> float:
    """Return how wrong the colours can be, weighted by how vivid they are; 0 if the model has no confidence.

    That is the mean CIEDE2000 that the model expects of its own colours, times :func:`vividness`.
    """
    return measures.vividness * expected_ciede2000(confidence) if confidence else 0.0


def concerns(measures: Measures, batch: Typical, confidence: float | None) -> dict[Concern, float]:
    """Return the reasons to look at a picture, each above 0 and up to 1, strongest first.

    Args:
        measures: measures of the picture.
        batch: typical colourfulness of all pictures.
        confidence: confidence of the model, above 0 and up to 1; ``None``: it has none.

    """
    deviation = (math.sqrt(measures.colourfulness) - batch.median) / batch.spread
    found: dict[Concern, float] = {
        "unsure of its colours": _ramp(doubt(measures, confidence), *_DOUBT),
        "purple": _ramp(measures.purple, *_PURPLE),
        "stains": _ramp(measures.stains, *_STAINS),
        "more colourful than the rest": _ramp(deviation, *_DEVIATION),
        "colours cut off": _ramp(measures.cut_off, *_CUT_OFF),
        "flat colour": _ramp(measures.flat, *_FLAT),
    }
    strongest_first = sorted([each for each in found.items() if each[1] > 0], key=lambda each: -each[1])
    return dict(strongest_first)


def score(found: Mapping[Any, float]) -> float:
    """Return the combined score of concerns, 0 to 1."""
    return 1 - math.prod(1 - value for value in found.values())


def _ramp(value: float, start: float, end: float) -> float:
    """Return 0 up to ``start``, 1 from ``end`` on, and a linear interpolation between."""
    return min(1.0, max(0.0, (value - start) / (end - start)))
