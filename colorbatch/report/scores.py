"""Which pictures to look at first: measures of typical faults of colouring, combined into one score.

Each measure becomes a concern from 0 to 1, along a ramp from where it becomes noticeable to where it cannot be missed.
They are combined like independent probabilities, 1 - (1 - a)(1 - b)(1 - c)(1 - d)(1 - e): one strong concern is enough
for a high score, and several weak ones add up without exceeding 1. docs/report.md gives the reasons.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from colorbatch.inference.contract import expected_ciede2000
from colorbatch.pixels import color
from colorbatch.pixels.metrics import colourfulness

RGB = NDArray[np.uint8]
"""8-bit RGB, ``[H, W, 3]``."""
Concern = Literal[
    "unsure of its colours",
    "low contrast",
    "more colourful than the rest",
    "paler than the rest",
    "colours cut off",
    "flat colour",
]

_DIFFERENCE = (13, 20)
"""Mean CIEDE2000 that the model expects of its own colours: where the concern begins, and where it is 1."""
_CONTRAST = (0.15, 0.05)
_DEVIATION = (1.5, 3.5)
_CUT_OFF = (0.05, 0.30)
_FLAT = (0.25, 0.60)
"""Likewise, for the other concerns."""
_MIN_SPREAD = 0.25
"""Minimum spread of the root of colourfulness, about 3 at 30: more uniform batches have no outliers worth a look."""
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

    contrast: float
    colourfulness: float
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
    return Measures(contrast(rgb), colourfulness(rgb), cut_off_share(rgb), flat_share(rgb))


def contrast(rgb: RGB) -> float:
    """Return the root mean square contrast of Peli 1990, the standard deviation of luma: 0 to 0.5."""
    return float(color.luma_of(rgb).std(dtype=np.float64))


def cut_off_share(rgb: RGB) -> float:
    """Return the share of clearly coloured pixels at a limit of RGB, where the colour of the model was clipped."""
    red, green, blue = np.moveaxis(rgb.astype(np.int16), -1, 0)  # NumPy is slow along an axis of 3
    largest = np.maximum(np.maximum(red, green), blue)
    smallest = np.minimum(np.minimum(red, green), blue)
    is_at_limit = (largest >= 255 - _NEAR_LIMIT) | (smallest <= _NEAR_LIMIT)
    return float(np.mean(is_at_limit & (largest - smallest >= _CLEAR_RANGE)))


def flat_share(rgb: RGB) -> float:
    """Return the share of pixels that have the most common strong colour and differ little from their neighbours."""
    chroma = color.chroma_of(rgb)
    right = np.diff(chroma, axis=2, append=chroma[:, :, -1:])
    down = np.diff(chroma, axis=1, append=chroma[:, -1:])
    is_flat = (np.hypot(*right) <= _SMOOTH) & (np.hypot(*down) <= _SMOOTH) & (np.hypot(*chroma) >= _SATURATED)
    cb, cr = chroma[:, is_flat]
    turn = (np.arctan2(cr, cb) / (2 * np.pi)) % 1
    counts = np.bincount((turn * _HUES).astype(int) % _HUES, minlength=_HUES)
    return float((counts + np.roll(counts, -1)).max() / is_flat.size)


def typical(colorfulness_values: Sequence[float]) -> Typical:
    """Return the median of the roots of colourfulness, and 1.4826 times their median absolute deviation from it.

    Iglewicz and Hoaglin 1993, "How to detect and handle outliers", regard values over 3.5 spreads away as outliers.
    """
    if not colorfulness_values:
        return Typical(0.0, _MIN_SPREAD)
    values = np.sqrt(np.asarray(colorfulness_values, dtype=np.float64))
    median = float(np.median(values))
    return Typical(median, max(_MIN_SPREAD, 1.4826 * float(np.median(np.abs(values - median)))))


def concerns(measures: Measures, batch: Typical, confidence: float | None) -> dict[Concern, float]:
    """Return the reasons to look at a picture, each above 0 and up to 1, strongest first.

    Args:
        measures: measures of the picture.
        batch: typical colourfulness of all pictures.
        confidence: confidence of the model, above 0 and up to 1; ``None``: it has none.

    """
    deviation = (math.sqrt(measures.colourfulness) - batch.median) / batch.spread
    found: dict[Concern, float] = {
        "unsure of its colours": 0.0 if not confidence else _ramp(expected_ciede2000(confidence), *_DIFFERENCE),
        "low contrast": _ramp(measures.contrast, *_CONTRAST),
        "more colourful than the rest": _ramp(deviation, *_DEVIATION),
        "paler than the rest": _ramp(-deviation, *_DEVIATION),
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
