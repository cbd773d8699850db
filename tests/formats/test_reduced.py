"""Decoding at a reduced size, only to look at a picture."""

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from colorbatch.errors import PictureError
from colorbatch.formats import decode, decode_reduced

SIDE = 128
ADOBE_RGB = (0.64, 0.33, 1.0, 0.21, 0.71, 1.0, 0.15, 0.06, 1.0)
"""Primaries of Adobe RGB (1998), section 4.3.1.1: chromaticities, each with a luminance."""


def photograph(width: int = 1048, height: int = 1032) -> Image.Image:
    """Return smooth colours, none of which is near the limits of RGB."""
    small = np.random.default_rng(0).integers(70, 180, (6, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str = "JPEG", **arguments: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **arguments)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_large_jpeg_is_decoded_at_an_eighth_of_its_size_to_its_means(mode: str) -> None:
    data = saved(photograph().convert(mode), quality=90)
    found = decode_reduced(data, SIDE)
    assert found is not None
    pixels = found.first.pixels
    assert pixels.shape[:2] == (129, 131)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        means = np.asarray(image.reduce(8), float)
    if mode == "CMYK":  # each ink absorbs its share
        means = (255 - means[..., :3]) * (255 - means[..., 3:]) / 255
    assert np.abs(pixels - means).max() <= 3


def test_it_is_converted_to_srgb_and_turned_like_the_whole() -> None:
    profile = imagecodecs.cms_profile("rgb", whitepoint=(0.3127, 0.329, 1.0), primaries=ADOBE_RGB, gamma=2.2)
    exif = Image.Exif()
    exif[274] = 6
    data = saved(photograph(), quality=90, icc_profile=profile, exif=exif)
    found = decode_reduced(data, SIDE)
    assert found is not None
    whole = Image.fromarray(decode(data).first.pixels)
    assert np.abs(found.first.pixels - np.asarray(whole.reduce(8), float)).mean() <= 0.5
    with Image.open(io.BytesIO(data)) as unconverted:
        assert (
            np.abs(np.asarray(unconverted, float) - np.asarray(whole.transpose(Image.Transpose.ROTATE_90))).max() > 20
        )


@pytest.mark.parametrize(
    "data",
    [saved(photograph(), "PNG"), saved(photograph(), "TIFF"), saved(photograph(1048, 1020))],
    ids=["png", "tiff", "small"],
)
def test_what_cannot_be_reduced_is_left_to_decode(data: bytes) -> None:
    assert decode_reduced(data, SIDE) is None


@pytest.mark.parametrize("is_progressive", [False, True])
def test_what_decode_refuses_is_refused_for_the_same_reason(*, is_progressive: bool) -> None:
    whole = saved(photograph(), quality=90, progressive=is_progressive)
    for data, max_megapixels in ((whole[:-2000], 500), (whole, 1), (b"", 500), (bytes(99), 500), (b"%PDF-1.7", 500)):
        with pytest.raises(PictureError) as expected:
            decode(data, max_megapixels)
        with pytest.raises(PictureError) as found:
            decode_reduced(data, SIDE, max_megapixels)
        assert (type(found.value), found.value.in_full) == (type(expected.value), expected.value.in_full)


def test_a_truncated_file_can_be_salvaged() -> None:
    data = saved(photograph(), quality=90)[:-2000]
    found = decode_reduced(data, SIDE, salvage=True)
    assert found is not None
    assert found.warnings == decode(data, salvage=True).warnings
