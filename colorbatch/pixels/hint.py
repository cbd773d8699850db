"""Colours that a person knows, at places of a picture, as an input of a network."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import numpy as np
from PIL import Image

from colorbatch.job import refuse_other_type
from colorbatch.pixels import color
from colorbatch.pixels.color import Plane

_COLOR = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)
MAX_RADIUS = 0.5
"""Largest radius of a hint: it covers the short side."""
DEFAULT_RADIUS = 0.02
"""About the size of the hints that the built-in network was trained with."""
DIFFUSE, LOCAL = 0.1, 0.5
"""Changes of chroma, relative to that at the nearest hints: up to the first, they are left out, since the hint is on
another thing; from the second on, they are kept. ``benchmarks/hints.py`` measures both."""
LUMA_SPREAD, CHROMA_SPREAD = 0.25, 15 / 255
"""Differences from the place of a hint, in luma and in the chroma without hints, at which a place takes part in its
effect by a factor of exp(-0.5): the further apart two places are, the less likely are they the same thing."""
_UNLIKE = 0.15
"""Factor for places that are wholly unlike those of all hints."""
_NEAREST = 0.02
"""Distance from a hint, as a share of the short side, within which no other one counts."""
_EXPECTED_SIDE = 512
"""Short side in pixels for which the expected change is computed at most: a tenth of ``_NEAREST`` is about a pixel."""
_MIN_STRENGTH = 0.05
"""Strength of the colours below which hints are not raised any further."""


@dataclass(frozen=True)
class Hint:
    """A place in a picture, and the colour that a person says it has."""

    x: float
    """Distance of its centre from the left edge, as a share of the width of the upright picture: 0..1."""
    y: float
    """Distance from the upper edge, as a share of the height: 0..1."""
    color: str
    """``#rrggbb`` in sRGB. Only its chroma counts: the luma stays that of the photograph."""
    radius: float = DEFAULT_RADIUS
    """As a share of the short side: above 0, up to 0.5."""

    def __post_init__(self) -> None:
        """Check the types and the ranges.

        Raises:
            TypeError: a value has another type; the message begins with the name of the field.
            ValueError: a value is out of range; the message begins with the name of the field.

        """
        for name in ("x", "y", "radius"):
            refuse_other_type(name, getattr(self, name), Real)
        refuse_other_type("color", self.color, str)
        for name in ("x", "y"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a number from 0 to 1, found {getattr(self, name)!r}")
        if not 0 < self.radius <= MAX_RADIUS:
            raise ValueError(f"radius: expected a number above 0, up to {MAX_RADIUS}, found {self.radius!r}")
        if _COLOR.fullmatch(self.color) is None:
            raise ValueError(f"color: expected '#' and six hexadecimal digits, found {self.color!r}")

    @cached_property
    def chroma(self) -> tuple[float, float]:
        """Cb and Cr of the colour, -0.5..0.5."""
        rgb = np.array([[list(bytes.fromhex(self.color[1:]))]], np.uint8)
        blue, red = color.chroma_of(rgb).ravel()
        return float(blue), float(red)


def hint_planes(hints: Sequence[Hint], size: tuple[int, int], strength: float = 1.0) -> Plane:
    """Return hints as the input ``hints`` of a model: ``[3, h, w]``, Cb, Cr and weight, 1 at a hint and 0 elsewhere.

    A hint is a disc, of at least one pixel; where two overlap, the later one counts.

    Args:
        hints: of one picture.
        size: height and width at which the network sees the picture.
        strength: factor by which the chroma of the network is multiplied afterwards: hints are divided by it, so that
            they keep their colour.

    """
    height, width = size
    planes = np.zeros((3, height, width), np.float32)
    for hint in hints:
        radius = hint.radius * min(size)
        rows, columns = _around(hint.y, height, radius), _around(hint.x, width, radius)
        distance = np.hypot(_offsets(hint.y, height)[rows, None], _offsets(hint.x, width)[None, columns])
        inside = distance <= max(radius, float(distance.min()))
        chroma = np.clip(np.array(hint.chroma) / max(strength, _MIN_STRENGTH), -0.5, 0.5)
        planes[:2, rows, columns][:, inside] = chroma[:, None]
        planes[2, rows, columns][inside] = 1
    return planes


def kept_local(plain: Plane, hinted: Plane, hints: Sequence[Hint], weights: Plane, luma: Plane) -> Plane:
    """Return chroma ``[2, h, w]`` with the effect of hints on the things that they are on, not on the whole picture.

    A network takes a hint for a sign of the light of the scene too, and shifts everything a little. A thing with a hint
    changes about as much as the place of the hint, so smaller changes are faded out; so are those of places that look
    unlike the place of every hint.

    Args:
        plain: chroma without hints, ``[2, h, w]``.
        hinted: with them.
        hints: of the picture, at least one.
        weights: ``[h, w]``, 1 at hints: there, all of the change is kept.
        luma: ``[h, w]``.

    """
    change = hinted - plain
    amount = np.hypot(*change)
    total, expected = _expected(amount, hints)
    share = np.clip((amount * total / expected - DIFFUSE) / (LOCAL - DIFFUSE), 0, 1)
    share = share * share * (3 - 2 * share) * (_UNLIKE + (1 - _UNLIKE) * _likeness(plain, luma, hints))
    kept: Plane = plain + change * np.maximum(share, weights)
    return kept


def _likeness(plain: Plane, luma: Plane, hints: Sequence[Hint]) -> Plane:
    """Return how much each place looks like that of the hint that it is most like, ``[h, w]`` in 0..1."""
    spreads = np.array([LUMA_SPREAD, CHROMA_SPREAD, CHROMA_SPREAD], np.float32)
    at_hints = np.array([[_at(plane, hint) for plane in (luma, *plain)] for hint in hints], np.float32) / spreads
    squares = (at_hints**2).sum(axis=1)[:, None]
    likeness = np.empty_like(luma)
    for row, lumas in enumerate(luma):
        looks = np.stack([lumas, *plain[:, row]]) / spreads[:, None]
        apart = (looks**2).sum(axis=0) + (squares - 2 * (at_hints @ looks)).min(axis=0)
        likeness[row] = np.exp(np.maximum(apart, 0) / -2)
    return likeness


def _expected(amount: Plane, hints: Sequence[Hint]) -> tuple[Plane | np.float32, Plane]:
    """Return the change of chroma ``[h, w]`` that is expected from that at the hints, as a divisor of it and itself.

    It is the mean of the changes at all hints, weighted by the inverse square of their distance: as smooth as
    ``_NEAREST``, so that of a large picture it is computed for a small one and enlarged. With 30 hints, that differs
    from the exact value by less than 1 %.

    Args:
        amount: amount of the change, ``[h, w]``.
        hints: at least one.

    """
    height, width = amount.shape
    scale = max(1.0, min(height, width) / _EXPECTED_SIDE)
    margin = 0 if scale == 1 else 1
    rows, columns = (math.ceil(side / scale) for side in (height, width))
    total = np.zeros((rows + 2 * margin, columns + 2 * margin), np.float32)
    expected = np.zeros_like(total)
    for hint in hints:
        down = _offsets(hint.y, height, rows, margin)[:, None]
        across = _offsets(hint.x, width, columns, margin)[None]
        squared = (down**2 + across**2) / min(height, width) ** 2
        nearness = 1 / (squared + np.float32(_NEAREST**2))
        total += nearness
        expected += nearness * _at(amount, hint)
    expected = np.maximum(expected, 1e-6)
    if scale == 1:
        return total, expected
    small = Image.fromarray(expected / total)
    box = (margin, margin, margin + columns, margin + rows)
    return np.float32(1), np.asarray(small.resize((width, height), Image.Resampling.BILINEAR, box))


def _offsets(share: float, side: int, count: int | None = None, margin: int = 0) -> Plane:
    """Return distances in pixels from a place to the centres of equal parts of a side.

    Args:
        share: the place, as a share of the side.
        side: in pixels.
        count: number of parts; ``None``: one for each pixel.
        margin: number of further parts before the first and after the last one.

    """
    count = count or side
    centers = np.arange(-margin, count + margin, dtype=np.float32) + 0.5
    offsets: Plane = (centers if count == side else centers * np.float32(side / count)) - share * side
    return offsets


def _around(share: float, side: int, distance: float = 0.0) -> slice:
    """Return the pixels of a side within a distance of a place, and those beside the nearest one."""
    reach = max(distance, 1.0) + 1
    return slice(max(0, math.floor(share * side - reach)), min(side, math.ceil(share * side + reach)))


def _at(amount: Plane, hint: Hint) -> float:
    """Return the value at the pixel nearest to a hint."""
    height, width = amount.shape
    rows, columns = _around(hint.y, height), _around(hint.x, width)
    squared = _offsets(hint.y, height)[rows, None] ** 2 + _offsets(hint.x, width)[None, columns] ** 2
    value: float = amount[rows, columns].ravel()[squared.argmin()]
    return value
