"""JPEGs that keep their coded luma though they are turned, toned, or in another color profile; shown by Pillow."""

import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from PIL.ExifTags import Base

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats import decode, encode, with_coded_luma
from colorbatch.formats.jpeg import to_grey
from colorbatch.pixels.picture import Picture

Levels = NDArray[Any]
D65 = (0.3127, 0.3290, 1.0)
ADOBE_PRIMARIES = (0.64, 0.33, 1.0, 0.21, 0.71, 1.0, 0.15, 0.06, 1.0)
BLUE, RED = (0.1, -0.05), (-0.05, 0.1)


def saved(levels: Levels, **arguments: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=90, **arguments)
    return buffer.getvalue()


def photograph(height: int = 90, width: int = 130) -> Levels:
    """Return grey levels with grain, around the middle."""
    random = np.random.default_rng(5)
    slope = np.linspace(80, 150, width)[None] + np.linspace(0, 20, height)[:, None]
    return np.clip(slope + random.normal(0, 6, (height, width)), 0, 255).astype(np.uint8)


def in_three(levels: Levels) -> Levels:
    return np.dstack([levels] * 3)


def colored(data: bytes) -> Picture:
    """Return a decoded picture that is blue in its upper left quarter as a viewer shows it, and red elsewhere."""
    picture = decode(data)
    chroma = np.empty((2, 40, 40), np.float32)
    chroma[:] = np.array(RED)[:, None, None]
    chroma[:, :20, :20] = np.array(BLUE)[:, None, None]
    (frame,) = picture.frames
    return Picture((type(frame)(frame.pixels, None, frame.metadata, chroma),), "JPEG", jpeg=picture.jpeg)


def output_of(data: bytes) -> bytes:
    picture = with_coded_luma(colored(data), data)
    assert not picture.warnings
    return encode(picture)


def luma_of(data: bytes) -> Levels:
    with Image.open(io.BytesIO(data)) as image:
        image.draft("L", image.size)
        return np.asarray(image)


def shown(data: bytes) -> Image.Image:
    """Return what a viewer with colour management shows of a file, in sRGB."""
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
        if "icc_profile" not in image.info:
            return upright.convert("RGB")
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(profile, srgb, upright.mode, "RGB", flags=ImageCms.Flags.NOOPTIMIZE)
    converted = ImageCms.applyTransform(upright, transform)
    assert converted is not None
    return converted


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("is_grey", [True, False])
def test_stored_pixels_stay_and_colors_are_turned(orientation: int, *, is_grey: bool) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    exif[Base.ImageDescription] = "the harbour"
    levels = photograph()
    source = saved(levels if is_grey else in_three(levels), exif=exif.tobytes())
    output = output_of(source)
    np.testing.assert_array_equal(luma_of(output), luma_of(source))
    with Image.open(io.BytesIO(output)) as image:
        found = image.getexif()
        assert (found[Base.Orientation], found[Base.ImageDescription]) == (orientation, "the harbour")
    upright = shown(output)
    assert upright.size == shown(source).size
    chroma = np.asarray(upright.convert("YCbCr"), int)[..., 1:] - 128
    height, width = chroma.shape[:2]
    blue = chroma[5 : height // 2 - 8, 5 : width // 2 - 8].reshape(-1, 2)
    red = chroma[height // 2 + 8 :, width // 2 + 8 :].reshape(-1, 2)
    assert np.abs(blue.mean(axis=0) - np.array(BLUE) * 255).max() < 2
    assert np.abs(red.mean(axis=0) - np.array(RED) * 255).max() < 2


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_restored_picture_is_upright_as_its_source(orientation: int) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    source = saved(photograph(), exif=exif.tobytes())
    grey = to_grey(output_of(source))
    assert grey is not None
    np.testing.assert_array_equal(np.asarray(shown(grey)), np.asarray(shown(source)))


def test_a_toned_photograph_keeps_its_luma_and_loses_its_tone() -> None:
    levels = photograph().astype(float)
    sepia = np.clip(np.dstack([levels * 1.05 + 10, levels, levels * 0.8]), 0, 255).astype(np.uint8)
    source = saved(sepia)
    output = output_of(source)
    np.testing.assert_array_equal(luma_of(output), luma_of(source))
    chroma = np.asarray(shown(output).convert("YCbCr"), int)[60:, 80:, 1:] - 128
    assert np.abs(chroma.reshape(-1, 2).mean(axis=0) - np.array(RED) * 255).max() < 2


def profile_of(kind: str, **curve: Any) -> bytes:  # noqa: ANN401
    primaries = ADOBE_PRIMARIES if kind == "rgb" else None
    return bytes(imagecodecs.cms_profile(kind, whitepoint=D65, primaries=primaries, **curve))


DOT_GAIN = np.round(65535 * np.linspace(0, 1, 256) ** 1.75).astype(np.uint16)
PROFILES: dict[str, tuple[str, dict[str, Any]]] = {
    "grey 1.0": ("gray", {"gamma": 1.0}),
    "grey 1.8": ("gray", {"gamma": 1.8}),
    "grey 2.2": ("gray", {"gamma": 2.2}),
    "dot gain": ("gray", {"transferfunction": DOT_GAIN}),
    "Adobe RGB": ("rgb", {"gamma": 2.19921875}),
    "ProPhoto curve": ("rgb", {"gamma": 1.8}),
}


@pytest.mark.parametrize("name", PROFILES)
def test_tones_look_the_same_in_the_profile_of_the_output(name: str) -> None:
    kind, curve = PROFILES[name]
    levels = np.tile(np.arange(256, dtype=np.uint8).repeat(8), (16, 1))
    source = saved(levels if kind == "gray" else in_three(levels), icc_profile=profile_of(kind, **curve))
    output = output_of(source)
    np.testing.assert_array_equal(luma_of(output), luma_of(source))
    with Image.open(io.BytesIO(output)) as image:
        profile = image.info["icc_profile"]
    ramp = Image.fromarray(in_three(np.arange(256, dtype=np.uint8)[None]))
    buffer = io.BytesIO()
    ramp.save(buffer, "PNG", icc_profile=profile)
    before = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    other = io.BytesIO()
    (before if kind == "gray" else ramp).save(other, "PNG", icc_profile=profile_of(kind, **curve))
    difference = np.asarray(shown(buffer.getvalue()), int) - np.asarray(shown(other.getvalue()), int)
    assert np.abs(difference).max() <= 1
    grey = to_grey(output)
    assert grey is not None
    assert np.abs(np.asarray(shown(grey), int) - np.asarray(shown(source), int)).max() <= 1


@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_colors_look_as_they_do_in_srgb(gamma: float) -> None:
    source = saved(photograph(), icc_profile=profile_of("gray", gamma=gamma))
    picture = colored(source)
    in_srgb = np.asarray(shown(encode(picture)).convert("YCbCr"), int)[..., 1:]
    as_stored = np.asarray(shown(encode(with_coded_luma(picture, source))).convert("YCbCr"), int)[..., 1:]
    assert np.abs(as_stored - in_srgb).mean() < 1.5


def test_a_toned_photograph_in_another_profile_is_encoded_again_and_says_so() -> None:
    levels = photograph()
    toned = np.dstack([levels, levels - 10, levels - 30])
    source = saved(toned, icc_profile=profile_of("rgb", gamma=1.8))
    picture = with_coded_luma(colored(source), source)
    assert picture.coded_luma is None
    assert picture.warnings == ("its luma was encoded again: it is toned, and has a color profile other than sRGB",)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_stamp_keeps_its_colors_and_the_luma_is_copied_too(orientation: int) -> None:
    """The weights say where a viewer sees the stamp: in the lower right quarter."""
    stamped = in_three(photograph(96, 128))
    stamped[60:84, 80:112] = (200, 40, 40)
    stored = Image.fromarray(stamped)
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    if orientation == 6:
        stored = stored.transpose(Image.Transpose.ROTATE_90)
    source = saved(np.asarray(stored), exif=exif.tobytes(), subsampling=0)
    picture = colored(source)
    weights = np.zeros((48, 64), np.float32)
    weights[29:43, 39:57] = 1
    picture = replace(picture, frames=(replace(picture.first, own_color=weights),))
    output = encode(with_coded_luma(picture, source))
    np.testing.assert_array_equal(luma_of(output), luma_of(source))
    found = np.asarray(shown(output), int)
    assert np.abs(found[66:78, 86:106] - (200, 40, 40)).max() < 25
    chroma = np.asarray(shown(output).convert("YCbCr"), int)[60:90, 8:60, 1:] - 128
    assert np.abs(chroma.reshape(-1, 2).mean(axis=0) - np.array(RED) * 255).max() < 2


def test_a_jpeg_without_the_marker_of_its_end_keeps_its_coded_luma() -> None:
    source = saved(in_three(photograph()))
    picture = with_coded_luma(colored(source[:-2]), source[:-2])
    np.testing.assert_array_equal(luma_of(encode(picture)), luma_of(source))


def test_12_bits_are_refused_as_what_they_are() -> None:
    data = imagecodecs.jpeg8_encode(np.full((20, 30), 2000, np.uint16), bitspersample=12)
    with pytest.raises(UnsupportedPictureError, match="a JPEG of 12 bits"):
        decode(bytes(data))


def test_arithmetic_coding_is_read_in_one_piece(tmp_path: Path) -> None:
    """Of more than 64 KB, which Pillow feeds to libjpeg in several pieces; jpegtran is libjpeg's own."""
    if shutil.which("jpegtran") is None:
        pytest.skip("jpegtran is not installed")
    random = np.random.default_rng(2)
    source, coded = tmp_path / "a.jpg", tmp_path / "b.jpg"
    source.write_bytes(saved(random.integers(0, 256, (600, 400), dtype=np.uint8)))
    subprocess.run(["jpegtran", "-arithmetic", "-outfile", coded, source], check=True)  # noqa: S607
    assert coded.stat().st_size > 65_536
    picture = decode(coded.read_bytes())
    np.testing.assert_array_equal(picture.first.pixels, luma_of(source.read_bytes()))
    with pytest.raises(UnreadablePictureError):
        decode(coded.read_bytes()[:-200])
