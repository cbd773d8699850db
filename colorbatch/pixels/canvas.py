"""The few shapes of GPU inputs: every new one costs about a second of planning, and memory.

The canvas of a picture depends on its own shape alone, never on other pictures of the batch: they must not change its
colours. The rest of the canvas is filled with a mirror image of the picture, which changes its colours less than
repeated edges do (docs/run.md, On a GPU).
"""

import numpy as np

from colorbatch.pixels import resize
from colorbatch.pixels.color import Plane

ASPECTS = (1.5, 3.0, float(resize.MAX_ASPECT))
"""Aspect ratios of landscape and portrait canvases: prints and slides, panoramas, and the longest undivided strips."""
LARGEST_BATCH = 8
"""Maximum number of canvases in a batch, which costs as much when only some of them are filled."""
MOST_SESSIONS = 8
"""Maximum number of sessions kept on a GPU for one model: one per canvas, and some for pictures with hints."""
_MAX_BATCH_PIXELS = LARGEST_BATCH * 192 * 288
"""Maximum number of pixels in a batch, so that large canvases take no more GPU memory than small ones."""


def canvas_of(size: tuple[int, int], working_size: int, multiple: int, *, is_tile: bool = False) -> tuple[int, int]:
    """Return the height and width of the smallest canvas that a picture fits on.

    Args:
        size: height and width of the picture as the network sees it.
        working_size: short side of the canvases.
        multiple: what their sides are multiples of.
        is_tile: whether the picture is a square tile, or part of one.

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
    """Return how many canvases of this size make a batch."""
    return max(1, min(LARGEST_BATCH, _MAX_BATCH_PIXELS // (height * width)))


def _round_up(side: float, multiple: int) -> int:
    return -int(-side // multiple) * multiple
