"""16 bits in, 16 bits out; other depths by the documented rule. Files are made by tifffile, imagecodecs and Pillow."""

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats import decode, encode
from colorbatch.inference.colorizer import Colorizer

Samples = NDArray[Any]


@pytest.fixture
def deep() -> NDArray[np.uint16]:
    """Every 37th level of 16 bits, ``[33, 53]``."""
    return (np.arange(33 * 53, dtype=np.uint32) * 37).astype(np.uint16).reshape(33, 53)


def tiff_of(samples: Samples, **arguments: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **arguments)
    return buffer.getvalue()


def coloured_luma(colorizer: Colorizer, data: bytes) -> tuple[Samples, Samples]:
    """Return the RGB of the output, read by tifffile or imagecodecs, and its luma in 16-bit levels."""
    output = encode(colorizer.colorize(decode(data)))
    rgb = tifffile.imread(io.BytesIO(output)) if output[:2] in (b"II", b"MM") else imagecodecs.imread(output)
    return rgb, rgb[..., :3] @ np.array([0.299, 0.587, 0.114])


def test_16_bit_grey_tiff_keeps_its_luma_within_1_of_65535(colorizer: Colorizer, deep: Samples) -> None:
    rgb, luma = coloured_luma(colorizer, tiff_of(deep))
    assert rgb.dtype == np.uint16
    assert np.abs(luma - deep).max() <= 1
    assert np.ptp(rgb.astype(int), axis=2).max() > 10_000


def test_16_bit_grey_png_keeps_its_luma_within_1_of_65535(colorizer: Colorizer, deep: Samples) -> None:
    rgb, luma = coloured_luma(colorizer, bytes(imagecodecs.png_encode(deep)))
    assert rgb.dtype == np.uint16
    assert np.abs(luma - deep).max() <= 1


def test_16_bit_jpeg_2000_keeps_its_luma_within_1_of_65535(colorizer: Colorizer, deep: Samples) -> None:
    data = bytes(imagecodecs.jpeg2k_encode(deep, level=0, reversible=True, codecformat="jp2"))
    rgb, luma = coloured_luma(colorizer, data)
    assert rgb.dtype == np.uint16
    assert np.abs(luma - deep).max() <= 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"byteorder": ">"},
        {"bigtiff": True},
        {"tile": (16, 16)},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw"},
        {"compression": "zstd"},
        {"rowsperstrip": 5},
    ],
    ids=lambda value: next(iter(value)),
)
def test_every_way_of_storing_16_bits_is_read(deep: Samples, arguments: dict[str, Any]) -> None:
    np.testing.assert_array_equal(decode(tiff_of(deep, **arguments)).first.pixels, deep)


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_16_bit_rgb_with_alpha(deep: Samples, planarconfig: str) -> None:
    planes = np.stack([deep, deep[::-1], deep[:, ::-1], deep // 2], axis=0 if planarconfig == "separate" else -1)
    data = tiff_of(planes, photometric="rgb", planarconfig=planarconfig, extrasamples=["unassalpha"])
    frame = decode(data).first
    np.testing.assert_array_equal(frame.pixels, np.dstack([deep, deep[::-1], deep[:, ::-1]]))
    np.testing.assert_array_equal(frame.alpha, deep // 2)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(encode(decode(data))))[..., 3], deep // 2)


def test_alpha_of_a_16_bit_png_is_kept(colorizer: Colorizer, deep: Samples) -> None:
    for planes in (np.dstack([deep, deep[::-1]]), np.dstack([deep, deep, deep, deep[::-1]])):
        rgb, luma = coloured_luma(colorizer, bytes(imagecodecs.png_encode(planes)))
        np.testing.assert_array_equal(rgb[..., 3], deep[::-1])
        assert np.abs(luma - deep).max() <= 1


def test_where_white_is_0_levels_are_turned(deep: Samples) -> None:
    np.testing.assert_array_equal(decode(tiff_of(deep, photometric="miniswhite")).first.pixels, 65535 - deep)


def test_32_bits_are_scaled_to_16(deep: Samples) -> None:
    data = tiff_of(deep.astype(np.uint32) * 65537)
    np.testing.assert_array_equal(decode(data).first.pixels, deep)


def test_12_bits_are_scaled_to_16() -> None:
    levels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    pairs = levels.reshape(-1, 2).astype(np.uint32)
    packed = ((pairs[:, 0] << 12) | pairs[:, 1]).astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    data = tiff_of(iter([packed]), shape=(64, 64), dtype=np.uint16, bitspersample=12, rowsperstrip=64)  # type: ignore[arg-type]
    np.testing.assert_allclose(decode(data).first.pixels, levels.astype(float) * 65535 / 4095, atol=0.5)


def test_floats_are_taken_as_0_to_1_or_stretched(deep: Samples) -> None:
    unit = np.linspace(0.25, 0.75, 33 * 53, dtype=np.float32).reshape(33, 53)
    np.testing.assert_allclose(decode(tiff_of(unit)).first.pixels, unit * 65535, atol=0.51)
    beyond = unit * 100 - 50
    found = decode(tiff_of(beyond)).first.pixels
    assert (found.min(), found.max()) == (0, 65535)
    np.testing.assert_allclose(found, (unit - 0.25) * 2 * 65535, atol=1)
    signed = (deep.astype(np.int32) - 32768).astype(np.int16)
    stretched = (deep - float(deep.min())) * 65535 / float(deep.max() - deep.min())
    np.testing.assert_allclose(decode(tiff_of(signed)).first.pixels, stretched, atol=0.51)


@pytest.mark.parametrize("outlier", [1.25, 9.0, -0.02])
def test_highlights_of_raw_converters_do_not_darken_the_rest(outlier: float) -> None:
    """RawTherapee and darktable write 32-bit TIFFs that exceed 0 to 1 in places."""
    unit = np.linspace(0.25, 0.75, 33 * 53, dtype=np.float32).reshape(33, 53)
    unit[:4] = outlier
    picture = decode(tiff_of(unit))
    np.testing.assert_allclose(picture.first.pixels, unit.clip(0, 1) * 65535, atol=0.51)
    low, high = min(outlier, float(unit[4:].min())), max(outlier, 0.75)
    assert picture.warnings == (f"samples outside 0 to 1 were clipped: the range is {low:.6g} to {high:.6g}",)
    assert decode(tiff_of(unit * 255)).warnings == ()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(UnsupportedPictureError, match="not finite"):
        decode(tiff_of(np.array([[0.5, value]], np.float32)))


@pytest.mark.parametrize("tag", ["ImageWidth", "ImageLength"])
def test_a_page_that_says_no_size_is_refused(tag: str) -> None:
    data = bytearray(tiff_of(np.zeros((16, 16, 3), np.uint8), photometric="rgb", compression="webp"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        place = file.pages[0].tags[tag].offset
    data[place : place + 2] = b"\xfd\0"  # the number of no tag
    with pytest.raises(UnreadablePictureError, match="a page without pixels"):
        decode(bytes(data))


def test_channels_without_a_meaning_are_refused(deep: Samples) -> None:
    data = tiff_of(np.dstack([deep] * 5), photometric="rgb", planarconfig="contig", extrasamples=[0, 0])
    with pytest.raises(UnsupportedPictureError, match="2 extra channels without a stated meaning"):
        decode(data)


def test_16_bit_cmyk_becomes_rgb() -> None:
    inks = np.zeros((4, 4, 4), np.uint16)
    inks[..., 1:3] = 65535  # magenta and yellow are red
    data = tiff_of(inks, photometric="separated", planarconfig="contig")
    assert decode(data).first.pixels[0, 0].tolist() == [65535, 0, 0]


def test_16_bit_colours_of_another_profile_are_brought_to_srgb(deep: Samples) -> None:
    """Grey of gamma 2.2 on the way to the curve of sRGB (IEC 61966-2-1)."""
    profile = imagecodecs.cms_profile("gray", gamma=2.2)
    found = decode(tiff_of(deep, iccprofile=profile)).first.pixels
    assert found.dtype == np.uint16
    light = (deep / 65535) ** 2.2
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(found[..., 0] - srgb * 65535).max() < 200  # less than an 8-bit level


def test_16_bit_netpbm_keeps_grey_and_refuses_colour(deep: Samples) -> None:
    header = b"P5 53 33 65535\n"
    np.testing.assert_array_equal(decode(header + deep.astype(">u2").tobytes()).first.pixels, deep)
    with pytest.raises(UnsupportedPictureError, match="16 bits per channel"):
        decode(b"P6\n# a comment\n1 1\n65535\n" + bytes(6))


def test_deep_avif_is_refused(deep: Samples) -> None:
    data = bytes(imagecodecs.avif_encode(deep >> 6, bitspersample=10, level=100))
    with pytest.raises(UnsupportedPictureError, match="10 or 12 bits"):
        decode(data)


def test_pages_of_different_depths_keep_theirs(deep: Samples, tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(deep, metadata=None)
        writer.write((deep >> 8).astype(np.uint8), metadata=None)
    picture = decode(path.read_bytes())
    assert [frame.bits for frame in picture.frames] == [16, 8]
    with tifffile.TiffFile(io.BytesIO(encode(picture))) as output:
        np.testing.assert_array_equal(output.pages[0].asarray(), deep)
        np.testing.assert_array_equal(output.pages[1].asarray(), deep >> 8)


def test_every_orientation_of_a_16_bit_tiff_is_turned() -> None:
    corners = np.zeros((3, 5), np.uint16)
    corners[0, 0], corners[0, -1] = 1000, 2000
    upright = {2: corners[:, ::-1], 3: corners[::-1, ::-1], 4: corners[::-1], 6: np.rot90(corners, -1)}
    upright |= {5: corners.T, 7: corners[::-1, ::-1].T, 8: np.rot90(corners, 1)}
    for orientation, expected in upright.items():
        data = tiff_of(corners, extratags=[(274, 3, 1, orientation, True)], resolution=(300, 600))
        picture = decode(data)
        np.testing.assert_array_equal(picture.first.pixels, expected)
        with Image.open(io.BytesIO(encode(picture))) as output:
            assert output.info["dpi"] == ((600, 300) if orientation > 4 else (300, 600))


@pytest.mark.parametrize("compression", ["lerc", "webp"])
def test_8_bit_tiffs_of_compressions_that_pillow_does_not_read(compression: str) -> None:
    ramp = np.arange(64 * 64 * 3, dtype=np.uint32).reshape(64, 64, 3).astype(np.uint8)
    level = {"webp": {"lossless": True}}.get(compression)
    data = tiff_of(ramp, compression=compression, compressionargs=level, photometric="rgb")
    np.testing.assert_array_equal(decode(data).first.pixels, ramp)
