"""Whether a model is as sure of its colours as it is right: what it says of its spread beside what it gets wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colorbatch.pixels.color import Plane

_ROWS = 10
_LEVELS = 255


@dataclass(frozen=True)
class ReliabilityRow:
    """A tenth of all places: those at which the model said it is about equally sure."""

    places: int
    stated: float
    """Root mean square distance of chroma from its mean, by the model's distribution, in levels of 8 bits."""
    found: float
    """The same of the true chroma."""


@dataclass(frozen=True)
class Reliability:
    """A reliability table."""

    rows: Sequence[ReliabilityRow]

    @property
    def error(self) -> float:
        """The mean over all places of how far what was stated is from what was found, in levels of 8 bits."""
        weights = [row.places for row in self.rows]
        return float(np.average([abs(row.stated - row.found) for row in self.rows], weights=weights))


class ReliabilityTable:
    """Collects what is stated and found, picture by picture."""

    def __init__(self, bins: Sequence[tuple[float, float]]) -> None:
        """``bins`` are the Cb and Cr of each bin of the model's ``colors``."""
        self._bins = np.array(bins, np.float32)
        self._stated: list[NDArray[np.float32]] = []
        self._found: list[NDArray[np.float32]] = []

    def add(self, colors: Plane, truth: Plane) -> None:
        """Add a picture.

        Args:
            colors: probability of each bin, ``[B, h, w]``.
            truth: chroma of the same places, ``[2, h, w]``.

        """
        mean = np.einsum("bhw,bc->chw", colors, self._bins)
        squared = np.einsum("bhw,b->hw", colors, (self._bins**2).sum(axis=1))
        self._stated.append((squared - (mean**2).sum(axis=0)).clip(min=0).ravel())
        self._found.append(((truth - mean) ** 2).sum(axis=0).ravel())

    def table(self) -> Reliability:
        """Return the table, from the surest tenth to the least sure."""
        stated, found = np.concatenate(self._stated), np.concatenate(self._found)
        order = np.argsort(stated, kind="stable")
        rows = [
            ReliabilityRow(
                len(part), _LEVELS * float(np.sqrt(stated[part].mean())), _LEVELS * float(np.sqrt(found[part].mean()))
            )
            for part in np.array_split(order, min(_ROWS, len(order)))
        ]
        return Reliability(rows)
