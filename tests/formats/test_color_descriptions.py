"""Colour descriptions that are not ICC profiles, compared with the formulas of sRGB (IEC 61966-2-1) and CIE 15."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from icc_profiles import encoded, gamma
from numpy.typing import NDArray
from PIL import Image, ImageCms
from saved_pictures import chunk

from colorbatch.errors import UnsupportedPictureError
from colorbatch.formats import decode, encode

Levels = NDArray[Any]
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
DEEP = (np.arange(65536, dtype=np.uint32) // 16 * 16).astype(np.uint16).reshape(256, 256)
SRGB_XY = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_XY = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
ADOBE_XY = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)


def png_of(levels: Levels, *chunks: bytes) -> bytes:
    data = bytes(imagecodecs.png_encode(levels))
    return data[:33] + b"".join(chunks) + data[33:]


def gama(value: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", value))


def chrm(values: tuple[int, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *values))


def matrix_of(xy: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the matrix from RGB to XYZ of primaries whose white is D65 (SMPTE RP 177)."""
    points = np.array(xy, np.float64).reshape(4, 2) / 100_000
    columns = np.stack([points[:, 0] / points[:, 1], np.ones(4), (1 - points.sum(axis=1)) / points[:, 1]])
    white, primaries = columns[:, 0], columns[:, 1:]
    return primaries * np.linalg.solve(primaries, white)


@pytest.mark.parametrize("value", [100_000, 50_000, 55_556, 60_000])
def test_the_gamma_of_a_grey_png_is_applied(value: int) -> None:
    for levels, tolerance in ((RAMP, 0.51), (DEEP, 3)):
        top = np.iinfo(levels.dtype).max
        picture = decode(png_of(levels, gama(value)))
        expected = encoded((levels / top) ** (100_000 / value)) * top
        found = picture.first.pixels.astype(np.float64)
        assert np.abs(found - (expected if found.ndim == 2 else expected[..., None])).max() <= tolerance
        assert picture.warnings == ()
        with Image.open(io.BytesIO(encode(picture))) as output:
            assert "sRGB" in ImageCms.getProfileDescription(io.BytesIO(output.info["icc_profile"]))
            assert "gamma" not in output.info


@pytest.mark.parametrize(("xy", "value"), [(P3_XY, 55_556), (ADOBE_XY, 100_000), (SRGB_XY, 70_000)])
def test_gamma_and_chromaticities_of_an_rgb_png_are_applied(xy: tuple[int, ...], value: int) -> None:
    levels = np.random.default_rng(1).integers(90, 160, (40, 40, 3)).astype(np.uint8)
    picture = decode(png_of(levels, gama(value), chrm(xy)))
    light = (levels / 255) ** (100_000 / value)
    expected = encoded(light @ (np.linalg.inv(matrix_of(SRGB_XY)) @ matrix_of(xy)).T) * 255
    assert expected.min() > 0
    assert expected.max() < 255
    assert np.abs(picture.first.pixels - expected).max() <= 1.1


@pytest.mark.parametrize(
    "chunks",
    [
        [gama(45_455)],
        [gama(45_455), chrm(SRGB_XY)],
        [gama(45_000), chrm((31_271, 32_902, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000))],
        [chrm(P3_XY)],
        [gama(100_000), chunk(b"sRGB", b"\0")],
        [gama(100_000), chunk(b"cICP", bytes([1, 13, 0, 1]))],
    ],
)
def test_levels_of_srgb_stay_as_they_are(chunks: list[bytes]) -> None:
    for levels in (RAMP, np.dstack([RAMP, RAMP.T, RAMP])):
        picture = decode(png_of(levels, *chunks))
        np.testing.assert_array_equal(picture.first.pixels, levels)
        assert encode(picture) == encode(decode(png_of(levels)))


def test_an_icc_profile_goes_before_gamma_and_code_points_before_both() -> None:
    profile, curve = gamma(1.8)
    icc = chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))
    picture = decode(png_of(RAMP, icc, gama(100_000)))
    assert np.abs(picture.first.pixels[..., 0] - encoded(curve(RAMP / 255)) * 255).max() <= 0.51
    picture = decode(png_of(RAMP, icc, gama(100_000), chunk(b"cICP", bytes([1, 8, 0, 1]))))
    assert np.abs(picture.first.pixels[..., 0] - encoded(RAMP / 255) * 255).max() <= 0.51


def test_a_damaged_profile_leaves_the_word_to_gamma() -> None:
    picture = decode(png_of(RAMP, chunk(b"iCCP", b"x\0\0no stream"), gama(100_000)))
    assert np.abs(picture.first.pixels[..., 0] - encoded(RAMP / 255) * 255).max() <= 0.51
    assert len(picture.warnings) == 1


def test_code_points_of_display_p3_are_applied() -> None:
    levels = np.random.default_rng(1).integers(90, 160, (40, 40, 3)).astype(np.uint8)
    scaled = levels / 255
    light = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    expected = encoded(light @ (np.linalg.inv(matrix_of(SRGB_XY)) @ matrix_of(P3_XY)).T) * 255
    picture = decode(png_of(levels, chunk(b"cICP", bytes([12, 13, 0, 1]))))
    assert np.abs(picture.first.pixels - expected).max() <= 1.1


@pytest.mark.parametrize("points", [(9, 16, 0, 1), (9, 18, 0, 1), (3, 13, 0, 1), (1, 13, 1, 1), (1, 13, 0, 0)])
def test_colours_of_another_kind_are_refused(points: tuple[int, ...]) -> None:
    with pytest.raises(UnsupportedPictureError, match=r"colour space is not supported|levels are those of video"):
        decode(png_of(RAMP, chunk(b"cICP", bytes(points))))


@pytest.mark.parametrize("chromaticities", [(0,) * 8, (31270, 0, *SRGB_XY[2:]), (200_000,) * 8, (31270, 32900) * 4])
def test_chromaticities_that_make_no_sense_are_a_warning(chromaticities: tuple[int, ...]) -> None:
    levels = np.dstack([RAMP, RAMP.T, RAMP])
    picture = decode(png_of(levels, gama(60_000), chrm(chromaticities)))
    np.testing.assert_array_equal(picture.first.pixels, levels)
    assert picture.warnings[0].startswith("gamma and chromaticities make no sense and were ignored")


def jp2_of(levels: Levels, specification: bytes) -> bytes:
    """Return a JP2 file with a colour specification (ISO/IEC 15444-1, section I.5.3.3)."""
    data = bytes(imagecodecs.jpeg2k_encode(levels, level=0, reversible=True, codecformat="jp2"))
    header, color = data.index(b"jp2h") - 4, data.index(b"colr") - 4
    (header_length,), (color_length,) = (struct.unpack_from(">I", data, place) for place in (header, color))
    box = struct.pack(">I4s", 8 + len(specification), b"colr") + specification
    length = struct.pack(">I", header_length - color_length + len(box))
    return data[:header] + length + data[header + 4 : color] + box + data[color + color_length :]


def test_the_icc_profile_of_a_jp2_is_applied() -> None:
    profile, curve = gamma(1.8)
    for method in (b"\2\0\0", b"\3\0\0"):
        picture = decode(jp2_of(RAMP, method + profile))
        assert np.abs(picture.first.pixels[..., 0] - encoded(curve(RAMP / 255)) * 255).max() <= 0.51


def test_enumerated_colour_spaces_of_a_jp2() -> None:
    rgb = np.random.default_rng(0).integers(90, 160, (16, 24, 3)).astype(np.uint8)
    np.testing.assert_array_equal(decode(jp2_of(rgb, b"\1\0\0" + struct.pack(">I", 16))).first.pixels, rgb)
    np.testing.assert_array_equal(decode(jp2_of(RAMP, b"\1\0\0" + struct.pack(">I", 17))).first.pixels, RAMP)
    shown = np.asarray(Image.fromarray(rgb, "YCbCr").convert("RGB")).astype(int)
    found = decode(jp2_of(rgb, b"\1\0\0" + struct.pack(">I", 18))).first.pixels
    assert np.abs(found - shown).max() <= 1
    for space in (0, 12, 14, 20, 21):
        with pytest.raises(UnsupportedPictureError, match=f"number {space} of JPEG 2000"):
            decode(jp2_of(rgb, b"\1\0\0" + struct.pack(">I", space)))
    picture = decode(jp2_of(RAMP, b"\1\0\0"))
    np.testing.assert_array_equal(picture.first.pixels, RAMP)
    assert picture.warnings == ("the colour specification is damaged and was ignored",)


def avif(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "AVIF", quality=100, subsampling="4:4:4")
    return buffer.getvalue()


def heif(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=-1)
    return buffer.getvalue()


@pytest.mark.parametrize("code", [avif, heif])
def test_code_points_of_avif_and_heic(code: Callable[[Image.Image], bytes]) -> None:
    data = code(Image.fromarray(np.dstack([RAMP] * 3)))
    plain = decode(data).first.pixels
    place = data.index(b"colrnclx") + 8
    linear = data[:place] + struct.pack(">2H", 1, 8) + data[place + 4 :]
    assert np.abs(decode(linear).first.pixels - encoded(plain / 255) * 255).max() <= 0.51
    video = data[:place] + struct.pack(">2H", 1, 1) + data[place + 4 :]
    np.testing.assert_array_equal(decode(video).first.pixels, plain)
    with pytest.raises(UnsupportedPictureError, match="primaries 9 and transfer 16"):
        decode(data[:place] + struct.pack(">2H", 9, 16) + data[place + 4 :])
