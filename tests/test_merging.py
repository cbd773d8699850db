import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from colorbatch import color
from colorbatch.merging import chroma_planes, merged


def chroma_at(chroma: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The whole chroma at full size, by Pillow."""
    return np.stack([np.asarray(Image.fromarray(p).resize(size[::-1], Image.Resampling.BICUBIC)) for p in chroma])


@settings(deadline=None)
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
