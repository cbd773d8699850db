from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorbatch.pixels import tiling
from colorbatch.pixels.tiling import Window


@given(st.integers(1, 90), st.integers(1, 90), st.integers(4, 50))
def test_windows_cover_everything_and_overlap_by_a_quarter(height: int, width: int, side: int) -> None:
    windows = tiling.windows_of((height, width), side)
    seen = np.zeros((height, width), int)
    for window in windows:
        assert (window.height, window.width) == (min(height, side), min(width, side))
        seen[window.slices] += 1
    assert seen.min() >= 1
    lefts = sorted({window.left for window in windows})
    assert all(right - left <= side - side // 4 for left, right in pairwise(lefts))


def test_a_small_plane_is_one_window() -> None:
    assert tiling.windows_of((40, 60), 64) == [Window(0, 0, 40, 60)]


@given(st.integers(1, 50), st.integers(1, 50), st.integers(4, 40), st.integers(0, 9))
def test_tiles_that_agree_give_back_the_whole(height: int, width: int, side: int, seed: int) -> None:
    whole = np.random.default_rng(seed).normal(size=(2, height, width)).astype(np.float32)
    windows = tiling.windows_of((height, width), side)
    tiles = ((window, np.stack([plane[window.slices] for plane in whole])) for window in windows)
    np.testing.assert_allclose(tiling.blend((height, width), tiles), whole, atol=1e-5)


@pytest.mark.parametrize("axis", [1, 2])
def test_tiles_that_disagree_fade_into_each_other(axis: int) -> None:
    """Neighbours of chroma 0 and 1: no step is larger than a linear fade over a quarter of a window makes it."""
    size = (64, 1000) if axis == 2 else (1000, 64)
    windows = tiling.windows_of(size, 200)
    tiles = (
        (window, np.full((2, window.height, window.width), number % 2, np.float32))
        for number, window in enumerate(windows)
    )
    blended = tiling.blend(size, tiles)
    assert np.abs(np.diff(blended, axis=axis)).max() <= 1 / 49
    assert (blended.min(), blended.max()) == (0, 1)
