"""Canvases: few of them, chosen by a picture's own shape, and filled with its mirror image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorbatch.pixels.canvas import batch_of, canvas_of, lay_on
from colorbatch.pixels.resize import MAX_ASPECT, network_size


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((192, 192), (192, 288)),
        ((192, 256), (192, 288)),
        ((288, 192), (288, 192)),
        ((192, 289), (192, 576)),
        ((341, 192), (576, 192)),
        ((192, 577), (192, 1536)),
        ((1536, 192), (1536, 192)),
        ((20, 1536), (192, 1536)),
    ],
)
def test_the_smallest_canvas_that_holds_a_picture(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert canvas_of(size, 192, 32) == expected


def test_square_tiles_have_a_canvas_of_their_own() -> None:
    assert canvas_of((250, 256), 256, 16, is_tile=True) == (256, 256)
    assert canvas_of((100, 7), 256, 16, is_tile=True) == (256, 256)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(32, 700))
def test_six_canvases_hold_every_picture(height: int, width: int, working_size: int) -> None:
    size = network_size(height, width, working_size)
    longest = MAX_ASPECT * working_size
    shown = (min(size[0], longest), min(size[1], longest))  # longer ones go in tiles of that length
    canvas = canvas_of(shown, working_size, 32)
    short = -(-working_size // 32) * 32
    longs = {-(-round(aspect * working_size * 2) // 64) * 32 for aspect in (1.5, 3, 8)}
    assert min(canvas) == short
    assert max(canvas) in longs
    assert all(own <= side for own, side in zip(shown, canvas, strict=True))


def test_the_rest_of_a_canvas_mirrors_the_picture() -> None:
    plane = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert lay_on((3, 5), plane).tolist() == [[0, 1, 2, 2, 1], [3, 4, 5, 5, 4], [3, 4, 5, 5, 4]]


def test_batches_of_large_canvases_are_small() -> None:
    assert [batch_of(*size) for size in ((192, 288), (192, 576), (192, 1536), (512, 4096), (32, 32))] == [8, 4, 1, 1, 8]
