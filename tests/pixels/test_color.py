import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from colorbatch.pixels import color

RGB_PIXELS = arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
LUMA = st.floats(0, 1, width=32)
CHROMA = st.floats(-0.5, 0.5, width=32)


def offsets_of(cb: float, cr: float) -> color.Plane:
    return color.offsets_of(np.array([[[cb]], [[cr]]], np.float32))


@pytest.mark.parametrize(
    ("rgb", "ycc"),
    # Worked by hand from ITU-T T.871, section 7: luma is the weighted sum, chroma (B - Y) / 1.772 and (R - Y) / 1.402.
    [
        ((255, 0, 0), (0.299, -0.168736, 0.5)),
        ((0, 255, 0), (0.587, -0.331264, -0.418688)),
        ((0, 0, 255), (0.114, 0.5, -0.081312)),
        ((255, 255, 255), (1.0, 0.0, 0.0)),
    ],
)
def test_luma_and_chroma_are_those_of_jfif(rgb: tuple[int, int, int], ycc: tuple[float, float, float]) -> None:
    pixels = np.array([[rgb]], np.uint8)
    found = (color.luma_of(pixels)[0, 0], *color.chroma_of(pixels)[:, 0, 0])
    assert found == pytest.approx(ycc, abs=2e-6)


@given(RGB_PIXELS)
def test_luma_and_chroma_agree_with_pillow(pixels: NDArray[np.uint8]) -> None:
    image = Image.fromarray(pixels)
    grey = np.asarray(image.convert("L"), np.float64)  # rounded to the nearest level
    chroma = np.moveaxis(np.asarray(image.convert("YCbCr"), np.float64)[..., 1:], -1, 0)  # cut down to a level
    assert np.abs(color.luma_of(pixels) * 255 - grey).max() <= 0.51
    assert np.abs(color.chroma_of(pixels) * 255 + 128 - chroma).max() <= 1.01


def test_luma_of_grey_is_the_level() -> None:
    assert color.luma_of(np.array([[0, 51, 255]], np.uint8)).tolist() == [[0.0, pytest.approx(0.2), 1.0]]
    assert color.luma_of(np.array([[0, 65535]], np.uint16)).tolist() == [[0.0, 1.0]]


@given(RGB_PIXELS)
def test_merge_brings_back_the_picture_that_was_split(pixels: NDArray[np.uint8]) -> None:
    inner = (pixels // 2 + 64).astype(np.uint8)  # away from the ends, where merge holds chroma back
    merged = color.to_levels(color.merge(color.luma_of(inner), color.offsets_of(color.chroma_of(inner))))
    np.testing.assert_array_equal(merged, inner)


@given(LUMA, CHROMA, CHROMA)
def test_merge_keeps_luma_whatever_the_chroma(luma: float, cb: float, cr: float) -> None:
    merged = color.merge(np.array([[luma]], np.float32), offsets_of(cb, cr))[0, 0]
    assert merged.min() >= min(luma, color.HEADROOM) - 1e-6
    assert merged.max() <= max(luma, 1 - color.HEADROOM) + 1e-6
    assert merged @ np.array([0.299, 0.587, 0.114]) == pytest.approx(luma, abs=2e-6)


@given(st.integers(0, 255), CHROMA, CHROMA)
def test_the_grey_of_the_result_is_the_grey_of_the_source_within_one_level(level: int, cb: float, cr: float) -> None:
    luma = color.luma_of(np.array([[level]], np.uint8))
    merged = color.to_levels(color.merge(luma, offsets_of(cb, cr)))
    assert abs(int(np.asarray(Image.fromarray(merged).convert("L"))[0, 0]) - level) <= 1


def test_merge_shrinks_chroma_along_its_hue() -> None:
    merged = color.merge(np.array([[0.9]], np.float32), offsets_of(-0.4, 0.3))
    rgb = merged[0, 0].astype(np.float64)
    cb, cr = (rgb[2] - 0.9) / 1.772, (rgb[0] - 0.9) / 1.402
    assert rgb.max() == pytest.approx(1 - color.HEADROOM, abs=1e-6)
    assert cr / cb == pytest.approx(0.3 / -0.4, rel=1e-4)


def test_to_8_bits_takes_the_upper_ones() -> None:
    deep = np.array([[0, 0xFF, 0x100, 0x80FF, 0xFFFF]], np.uint16)
    levels = color.to_8_bits(deep)
    assert levels.dtype == np.uint8
    assert levels.tolist() == [[0, 0, 1, 0x80, 0xFF]]
    np.testing.assert_array_equal(color.to_8_bits(levels), levels)


def test_to_levels_rounds_to_the_nearest() -> None:
    unit = np.array([0, 0.49 / 255, 0.51 / 255, 254.49 / 255, 254.51 / 255, 1], np.float32)
    assert color.to_levels(unit).tolist() == [0, 0, 1, 254, 255, 255]
