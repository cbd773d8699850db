"""JPEGs whose chroma is laid over luma that is already coded, as Pillow shows them."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from colorbatch.formats import decode, encode, with_coded_luma
from colorbatch.pixels.picture import Frame, JpegOrigin, Picture


def source_of(grey: NDArray[np.uint8], **coding: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", **coding)
    return buffer.getvalue()


def output_of(source: bytes, chroma: NDArray[np.float32]) -> Image.Image:
    grey = decode(source).first.pixels
    picture = Picture((Frame(grey, chroma=chroma),), "JPEG", jpeg=JpegOrigin())
    return Image.open(io.BytesIO(encode(with_coded_luma(picture, source))))


def sampling(image: Image.Image) -> tuple[int, int]:
    """Of luma, across and down (ITU-T T.81, section B.2.2)."""
    _, across, down, _ = image.layer[0]  # type: ignore[attr-defined]
    return across, down


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(40, 48, (2, 2)), (39, 48, (1, 1)), (40, 47, (1, 1)), (81, 333, (2, 2))]
)
def test_chroma_is_of_half_the_size_where_the_network_saw_four_pixels_as_one(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    grey = np.full((height, width), 120, np.uint8)
    chroma = np.stack([np.full((10, 12), value, np.float32) for value in (-0.2, 0.15)])
    image = output_of(source_of(grey, quality=95), chroma)
    assert sampling(image) == expected
    planes = np.asarray(image.convert("YCbCr")).astype(int)
    assert np.abs(planes - [120, 128 - 51, 128 + 38]).max() <= 1


@pytest.mark.parametrize("coding", [{"quality": 90}, {"quality": 60, "progressive": True}])
@pytest.mark.parametrize("size", [(200, 260), (203, 257)])
def test_the_luma_of_what_is_shown_is_that_of_the_source(coding: dict[str, Any], size: tuple[int, int]) -> None:
    """Film grain from black to white under wild colours."""
    random = np.random.default_rng(3)
    slope = np.linspace(-20, 275, size[1])[None] + random.normal(0, 12, size)
    source = source_of(np.clip(slope, 0, 255).astype(np.uint8), **coding)
    chroma = random.uniform(-0.5, 0.5, (2, 20, 20)).astype(np.float32)
    image = output_of(source, chroma)
    assert sampling(image) == (2, 2)
    luma = np.asarray(Image.open(io.BytesIO(source))).astype(int)
    shown = np.asarray(image.convert("RGB").convert("L")).astype(int)
    assert np.abs(shown - luma).max() <= 2
    image = output_of(source, chroma)
    image.draft("L", image.size)
    np.testing.assert_array_equal(np.asarray(image), luma)
