"""The few shapes in which a GPU is shown pictures: every new one costs it about a second of planning, and memory.

Which canvas a picture is laid on depends on its own shape alone, never on the pictures beside it: they must not change
its colours. What is left of the canvas mirrors the picture, which changes its colours less than repeated edges do
(docs/run.md, On a GPU).
"""

import numpy as np

from colorbatch.pixels import resize
from colorbatch.pixels.color import Plane

ASPECTS = (1.5, 3.0, float(resize.MAX_ASPECT))
"""Of the canvases, which lie or stand: prints and slides, panoramas, and strips as long as a network sees whole."""
LARGEST_BATCH = 8
"""Canvases that are computed together. A batch costs as much when only some of them are needed."""
MOST_SESSIONS = 8
"""That a GPU keeps for one model: one for each canvas, and some for pictures with hints."""
_PIXELS = LARGEST_BATCH * 192 * 288
"""Of all canvases of a batch, so that large ones take no more of the GPU's memory than small ones do."""


def canvas_of(size: tuple[int, int], working_size: int, multiple: int, *, is_tile: bool = False) -> tuple[int, int]:
    """Return the height and width of the smallest canvas on which a picture can be laid.

    Args:
        size: height and width of the picture as the network sees it.
        working_size: short side of the canvases.
        multiple: of which their sides are multiples.
        is_tile: whether the picture is a square tile, or the rest of one.

    """
    height, width = size
    for aspect in (1.0,) if is_tile else ASPECTS:
        short, long = (_round_up(side, multiple) for side in (working_size, aspect * working_size))
        canvas = (short, long) if height <= width else (long, short)
        if height <= canvas[0] and width <= canvas[1]:
            return canvas
    return _round_up(height, multiple), _round_up(width, multiple)


def lay_on(canvas: tuple[int, int], plane: Plane) -> Plane:
    """Return ``plane`` ``[H, W]`` in the top left corner of a canvas, the rest of which mirrors it."""
    return np.pad(plane, [(0, side - own) for side, own in zip(canvas, plane.shape, strict=True)], mode="symmetric")


def batch_of(height: int, width: int) -> int:
    """Return how many canvases of this size are computed together."""
    return max(1, min(LARGEST_BATCH, _PIXELS // (height * width)))


def _round_up(side: float, multiple: int) -> int:
    return -int(-side // multiple) * multiple
