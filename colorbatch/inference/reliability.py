"""Reliability of a model: the spread of colours that it states, compared with its actual errors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colorbatch.pixels.color import Plane

_ROWS = 10
"""Maximum number of rows of a table."""
_LEVELS = 255
"""8-bit levels per unit of chroma."""


@dataclass(frozen=True)
class ReliabilityRow:
    """One tenth of all pixels: those with about the same stated spread."""

    places: int
    """Number of pixels."""
    stated: float
    """Root mean square distance of chroma from its mean, by the model's distribution, in 8-bit levels."""
    found: float
    """Root mean square distance of the true chroma from that mean, in 8-bit levels."""


@dataclass(frozen=True)
class Reliability:
    """A reliability table."""

    rows: Sequence[ReliabilityRow]

    @property
    def error(self) -> float:
        """Mean absolute difference of stated and found distances over all pixels, in 8-bit levels."""
        weights = [row.places for row in self.rows]
        return float(np.average([abs(row.stated - row.found) for row in self.rows], weights=weights))


class ReliabilityTable:
    """Collects stated and found distances, picture by picture."""

    def __init__(self, bins: Sequence[tuple[float, float]]) -> None:
        """Take the Cb and Cr of each bin of the model's ``colors``."""
        self._bins = np.array(bins, np.float32)
        self._stated: list[NDArray[np.float32]] = []
        self._found: list[NDArray[np.float32]] = []

    def add(self, colors: Plane, truth: Plane) -> None:
        """Add a picture.

        Args:
            colors: probability of each bin, ``[B, h, w]``.
            truth: chroma of the same pixels, ``[2, h, w]``.

        """
        mean = np.einsum("bhw,bc->chw", colors, self._bins)
        squared = np.einsum("bhw,b->hw", colors, (self._bins**2).sum(axis=1))
        self._stated.append((squared - (mean**2).sum(axis=0)).clip(min=0).ravel())
        self._found.append(((truth - mean) ** 2).sum(axis=0).ravel())

    def table(self) -> Reliability:
        """Return the table, from the most to the least certain tenth."""
        stated, found = np.concatenate(self._stated), np.concatenate(self._found)
        order = np.argsort(stated, kind="stable")
        rows = [
            ReliabilityRow(
                len(part), _LEVELS * float(np.sqrt(stated[part].mean())), _LEVELS * float(np.sqrt(found[part].mean()))
            )
            for part in np.array_split(order, min(_ROWS, len(order)))
        ]
        return Reliability(rows)
