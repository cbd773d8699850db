import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from colorbatch.pixels import color, resize
from colorbatch.pixels.chroma import chroma_planes, halved_chroma_planes, merged


def chroma_at(chroma: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The whole chroma at full size, by Pillow."""
    return np.stack([np.asarray(Image.fromarray(p).resize(size[::-1], Image.Resampling.BICUBIC)) for p in chroma])


@given(st.integers(1, 300), st.integers(0, 600_000))
def test_strips_give_what_the_whole_gives(height: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, 100_000 // height), dtype=np.uint8)
    chroma = random.random((2, *random.integers(1, 30, 2)), dtype=np.float32) - np.float32(0.5)
    whole = color.to_levels(color.merge(color.luma_of(pixels), color.offsets_of(chroma_at(chroma, pixels.shape))))
    found = merged(pixels, chroma)
    assert np.abs(found.astype(int) - whole).max() <= 1
    assert (found == whole).mean() > 0.99, "more than the rounding of a product of matrices"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_type_of_the_pixels_is_kept(dtype: type[np.unsignedinteger[Any]]) -> None:
    pixels = np.linspace(0, np.iinfo(dtype).max, 700, dtype=dtype).reshape(7, 100)
    result = merged(np.dstack([pixels] * 3), np.zeros((2, 3, 3), np.float32))
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, np.dstack([pixels] * 3))


@given(st.integers(0, 600_000))
def test_chroma_planes_never_make_rgb_clip(seed: int) -> None:
    """Decoded by Pillow from a JPEG's own planes, the luma of what is shown is that of the source."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (40, 30), dtype=np.uint8)
    chroma = random.random((2, 5, 4), dtype=np.float32) - np.float32(0.5)
    cb, cr = chroma_planes(pixels, chroma)
    shown = Image.merge("YCbCr", [Image.fromarray(plane) for plane in (pixels, cb, cr)]).convert("RGB")
    assert np.abs(np.asarray(shown.convert("L")).astype(int) - pixels).max() <= 1


@given(st.integers(1, 41), st.integers(1, 41), st.integers(0, 600_000))
def test_halved_chroma_never_makes_rgb_clip(height: int, width: int, seed: int) -> None:
    """The darkest pixels beside the lightest and wild colours, enlarged in both ways in which decoders do it."""
    random = np.random.default_rng(seed)
    pixels = random.choice([0, 3, 9, 128, 250, 255], (height, width)).astype(np.uint8)
    chroma = random.random((2, 5, 4), dtype=np.float32) - np.float32(0.5)
    planes = halved_chroma_planes(pixels, chroma)
    assert planes.shape == (2, -(-height // 2), -(-width // 2))
    for enlarged in (planes.repeat(2, axis=1).repeat(2, axis=2), interpolated(planes)):
        cb, cr = enlarged[:, :height, :width]
        shown = Image.merge("YCbCr", [Image.fromarray(np.ascontiguousarray(each)) for each in (pixels, cb, cr)])
        assert np.abs(np.asarray(shown.convert("RGB").convert("L")).astype(int) - pixels).max() <= 1


def interpolated(planes: np.ndarray) -> np.ndarray:
    """As libjpeg enlarges chroma, its "fancy upsampling": 3/4 of the nearer sample, 1/4 of the farther one, twice."""
    for axis in (1, 2):
        before, after = (np.concatenate(pair, axis) for pair in neighbours(planes, axis))
        both = np.stack([0.75 * planes + 0.25 * before, 0.75 * planes + 0.25 * after], axis + 1)
        shape = list(planes.shape)
        shape[axis] *= 2
        planes = both.reshape(shape)
    return np.round(planes).astype(np.uint8)


def neighbours(planes: np.ndarray, axis: int) -> list[list[np.ndarray]]:
    first, last = planes.take([0], axis), planes.take([-1], axis)
    rest = np.split(planes, [1], axis)[1], np.split(planes, [planes.shape[axis] - 1], axis)[0]
    return [[first, rest[1]], [rest[0], last]]


def test_halved_chroma_is_weakened_where_a_dark_pixel_is_within_reach() -> None:
    """By hand: the black pixel in column 6 is reached from the samples 2 (pixels 3 to 6), 3 (5 to 8), and no others."""
    pixels = np.full((2, 12), 128, np.uint8)
    pixels[:, 6] = 0
    chroma = np.stack([np.full((1, 1), value, np.float32) for value in (-0.1, 0.1)])
    cb, cr = halved_chroma_planes(pixels, chroma)
    strong = round(128 + 25.5), round(128 - 25.5)
    np.testing.assert_array_equal(np.abs(cb[0] - strong[1]) <= 1, [True, True, False, False, True, True])
    np.testing.assert_array_equal(np.abs(cr[0] - strong[0]) <= 1, [True, True, False, False, True, True])
    assert {*cb[0, 2:4], *cr[0, 2:4]} == {128}


def test_halved_chroma_is_the_same_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    pixels = random.integers(0, 256, (67, 41), dtype=np.uint8)
    chroma = random.random((2, 5, 4), dtype=np.float32) - np.float32(0.5)
    whole = halved_chroma_planes(pixels, chroma).astype(int)
    monkeypatch.setattr(resize, "PIXELS_AT_ONCE", 21 * 5)
    assert np.abs(halved_chroma_planes(pixels, chroma) - whole).max() <= 1, "more than rounding"


def test_chroma_planes_hold_the_colours_of_jfif() -> None:
    """A mid grey with the chroma of orange, against Pillow's own conversion of the merged pixels."""
    chroma = np.stack([np.full((4, 6), value, np.float32) for value in (-0.2, 0.16)])
    pixels = np.full((40, 60), 128, np.uint8)
    cb, cr = chroma_planes(pixels, chroma)
    of_rgb = np.asarray(Image.open(io.BytesIO(png_of(merged(pixels, chroma)))).convert("YCbCr")).astype(int)
    assert np.abs(of_rgb[..., 1] - cb).max() <= 1
    assert np.abs(of_rgb[..., 2] - cr).max() <= 1


def png_of(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
