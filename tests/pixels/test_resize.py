import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from colorbatch.pixels import resize


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (3000, 4000, (160, 213)),  # the short side becomes the working size
        (4000, 3000, (213, 160)),
        (50, 50, (160, 160)),  # small pictures are enlarged
        (1, 1, (160, 160)),
        (2000, 30000, (160, 2400)),  # a panorama goes in tiles
        (3, 5000, (3, 5000)),  # nothing is won by enlarging it
        (1, 300, (4, 1280)),
        (100, 200, (160, 320)),
        (1, 10**6, (1, 10240)),
    ],
)
def test_network_size(height: int, width: int, size: tuple[int, int]) -> None:
    assert resize.network_size(height, width, 160) == size


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 33))
def test_padding_repeats_the_edge_up_to_a_multiple(height: int, width: int, multiple: int) -> None:
    plane = np.arange(height * width, dtype=np.float32).reshape(height, width)
    padded = resize.pad_to_multiple(plane, multiple)
    assert padded.shape[0] % multiple == padded.shape[1] % multiple == 0
    assert padded.shape[0] - height < multiple
    assert padded.shape[1] - width < multiple
    np.testing.assert_array_equal(padded[:height, :width], plane)
    assert (padded[height:, :width] == plane[-1]).all()
    assert (padded[:, width:] == padded[:, width - 1 : width]).all()


def test_shrunk_luma_stays_in_range() -> None:
    checkers = np.indices((64, 64)).sum(axis=0) // 8 % 2
    small = resize.shrink_luma((checkers * 255).astype(np.uint8), (23, 23))
    assert small.shape == (23, 23)
    assert small.min() >= 0
    assert small.max() <= 1
    assert small.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("shape", [(1501, 1999), (640, 480), (333, 2501)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_shrunk_luma_lies_where_pillow_s_lies(shape: tuple[int, int], dtype: type[np.unsignedinteger[Any]]) -> None:
    rows, columns = np.indices(shape)
    top = np.iinfo(dtype).max
    pixels = ((0.5 + 0.3 * np.sin(rows / shape[0] * 5) + 0.2 * columns / shape[1]) * top * 0.99).astype(dtype)
    size = (max(1, shape[0] // 9), max(1, shape[1] // 8))
    whole = Image.fromarray(pixels.astype(np.float32) / np.float32(top))
    expected = np.asarray(whole.resize(size[::-1], Image.Resampling.BICUBIC))
    np.testing.assert_allclose(resize.shrink_luma(pixels, size), expected, atol=4e-3)


def test_luma_of_colour_is_shrunk() -> None:
    red = np.zeros((90, 60, 3), np.uint8)
    red[..., 0] = 255
    np.testing.assert_allclose(resize.shrink_luma(red, (9, 6)), 0.299, atol=1e-5)


SIDES = st.integers(1, 70)


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 2**32 - 1))
def test_enlarged_chroma_is_pillow_s_bicubic(h: int, w: int, height: int, width: int, seed: int) -> None:
    chroma = np.random.default_rng(seed).random((2, h, w), np.float32) - np.float32(0.5)
    expected = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)) for plane in chroma
    ]
    enlarged = resize.Enlarged(chroma, (height, width))
    np.testing.assert_allclose(enlarged.rows(0, height), expected, atol=2e-6)
    middle = height // 2
    parts = [enlarged.rows(top, bottom) for top, bottom in ((0, middle), (middle, height)) if bottom > top]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), expected, atol=2e-6)


@pytest.mark.parametrize(("height", "width"), [(65537, 1), (60000, 4), (20000, 30), (4, 60000), (256, 256), (3, 3)])
def test_no_shape_takes_much_memory_to_enlarge(height: int, width: int) -> None:
    small = resize.network_size(height, width, 192)
    chroma = np.random.default_rng(0).random((2, *small), np.float32)
    tracemalloc.start()
    try:
        found = resize.Enlarged(chroma, (height, width)).rows(0, height)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 60e6
    expected = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)) for plane in chroma
    ]
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_levels_are_shrunk_to_8_bits(dtype: type) -> None:
    levels = np.array([[0, 10, 100, 200], [20, 30, 100, 200]])
    pixels: np.ndarray[Any, Any] = (levels * (257 if dtype is np.uint16 else 1)).astype(dtype)
    found = resize.shrink_levels(pixels, (1, 2), Image.Resampling.BOX)
    assert found.dtype == np.uint8
    assert found.tolist() == [[15, 150]]  # means of 2 x 2
    assert resize.shrink_levels(np.dstack([pixels] * 3), (1, 2), Image.Resampling.BOX).tolist() == [
        [[15] * 3, [150] * 3]
    ]
