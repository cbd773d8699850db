"""Colours that a person knows, at places of a picture, as an input of a network."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

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
        """Check the ranges.

        Raises:
            ValueError: a value is out of range; the message begins with the name of the field.

        """
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
        down = np.arange(height, dtype=np.float32)[:, None] + 0.5 - hint.y * height
        across = np.arange(width, dtype=np.float32)[None] + 0.5 - hint.x * width
        distance = np.hypot(down, across)
        inside = distance <= max(hint.radius * min(size), float(distance.min()))
        chroma = np.clip(np.array(hint.chroma) / max(strength, _MIN_STRENGTH), -0.5, 0.5)
        planes[:2, inside] = chroma[:, None]
        planes[2, inside] = 1
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
    height, width = amount.shape
    total, expected, likeness = np.zeros_like(amount), np.zeros_like(amount), np.zeros_like(amount)
    for hint in hints:
        down = np.arange(height, dtype=np.float32)[:, None] + 0.5 - hint.y * height
        across = np.arange(width, dtype=np.float32)[None] + 0.5 - hint.x * width
        squared = (down**2 + across**2) / min(height, width) ** 2
        nearness = 1 / (squared + np.float32(_NEAREST**2))
        row, column = np.unravel_index(squared.argmin(), squared.shape)
        total += nearness
        expected += nearness * amount[row, column]
        apart = ((luma - luma[row, column]) / LUMA_SPREAD) ** 2
        apart += (((plain - plain[:, row, column, None, None]) / CHROMA_SPREAD) ** 2).sum(0)
        likeness = np.maximum(likeness, np.exp(apart / -2))
    share = np.clip((amount * total / np.maximum(expected, 1e-6) - DIFFUSE) / (LOCAL - DIFFUSE), 0, 1)
    share = share * share * (3 - 2 * share) * (_UNLIKE + (1 - _UNLIKE) * likeness)
    kept: Plane = plain + change * np.maximum(share, weights)
    return kept
