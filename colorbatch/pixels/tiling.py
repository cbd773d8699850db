"""Overlapping windows of a plane, and the blending of their chroma."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from colorbatch.pixels.color import Plane

_OVERLAP = 4
"""Neighbouring windows overlap by at least the side divided by this."""


@dataclass(frozen=True)
class Window:
    """A rectangular part of a plane, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the window in a plane ``[H, W]``."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def windows_of(size: tuple[int, int], side: int) -> list[Window]:
    """Return windows of at most ``side`` pixels a side that cover a plane of ``size`` (height, width), row by row.

    A plane that is small enough is one window. Along each axis all windows have the same length and are evenly spaced.
    """
    rows, columns = (_starts(length, side) for length in size)
    height, width = (min(length, side) for length in size)
    return [Window(top, left, height, width) for top in rows for left in columns]


def blend(size: tuple[int, int], tiles: Iterable[tuple[Window, Plane]]) -> Plane:
    """Return chroma ``[2, H, W]`` of ``size``, blended from that of windows, ``[2, h, w]`` each.

    Where windows overlap, one fades out while the other fades in, linearly.
    """
    total = np.zeros((2, *size), np.float32)
    weights = np.zeros(size, np.float32)
    for window, chroma in tiles:
        rows, columns = window.slices
        weight = np.outer(_fade(rows, size[0]), _fade(columns, size[1])).astype(np.float32)
        total[:, rows, columns] += chroma * weight
        weights[rows, columns] += weight
    return total / weights


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    overlap = side // _OVERLAP
    count = math.ceil((length - overlap) / (side - overlap))
    return [round(index * (length - side) / (count - 1)) for index in range(count)]


def _fade(part: slice, length: int) -> Plane:
    """Return the weights of a window along one axis: 1, falling towards ends inside the plane."""
    side = part.stop - part.start
    position = np.arange(side, dtype=np.float32) + np.float32(0.5)
    ramp = np.float32(max(1, side // _OVERLAP))
    rising = position / ramp if part.start > 0 else np.ones_like(position)
    falling = position[::-1] / ramp if part.stop < length else np.ones_like(position)
    weights: Plane = np.clip(np.minimum(rising, falling), 0, 1)
    return weights
