import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from gauntlet import kinds
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats import decode, decoded_bytes, encode, needs_transcoder, png
from colorbatch.pixels.picture import Frame, Picture

Levels = NDArray[Any]
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")


def saved(image: Image.Image, picture_format: str, **arguments: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **arguments)
    return buffer.getvalue()


def coloured(picture: Picture) -> Picture:
    """Return the picture with RGB pixels: red a little up, blue a little down."""
    return replace(picture, frames=tuple(map(_coloured, picture.frames)))


def _coloured(frame: Frame) -> Frame:
    grey = frame.pixels if frame.pixels.ndim == 2 else frame.pixels[..., 1]
    top = np.iinfo(frame.pixels.dtype).max
    planes = [np.clip(grey.astype(int) + shift * (top // 255), 0, top) for shift in (9, 0, -9)]
    return replace(frame, pixels=np.dstack(planes).astype(frame.pixels.dtype))


def pixels_of(picture: Picture) -> Levels:
    (frame,) = picture.frames
    return frame.pixels


@pytest.mark.parametrize(
    ("mode", "picture_format"),
    [
        *((mode, "PNG") for mode in ("1", "L", "RGB", "P", "LA", "RGBA")),
        *((mode, "TIFF") for mode in ("1", "L", "RGB", "P", "LA", "RGBA", "PA")),
    ],
)
def test_every_8_bit_mode_gives_the_levels_that_pillow_gives(ramp: Levels, mode: str, picture_format: str) -> None:
    image = Image.fromarray(ramp).convert(mode)
    picture = decode(saved(image, picture_format))
    pixels = pixels_of(picture)
    grey = pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))
    np.testing.assert_array_equal(grey, np.asarray(image.convert("L")))
    assert (picture.first.alpha is not None) == ("A" in mode)
    assert picture.format == picture_format


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert pixels_of(decode(saved(image, "TIFF")))[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("picture_format", ["WEBP", "PNG", "GIF"])
def test_an_animation_is_refused_never_its_first_frame_taken(ramp: Levels, picture_format: str) -> None:
    frames = [Image.fromarray(ramp), Image.fromarray(ramp[::-1].copy())]
    with pytest.raises(UnsupportedPictureError, match="animation"):
        decode(saved(frames[0], picture_format, save_all=True, append_images=frames[1:]))


def test_what_else_an_mpo_holds_is_a_warning(ramp: Levels) -> None:
    frames = [Image.fromarray(ramp).convert("RGB"), Image.fromarray(ramp[::-1].copy()).convert("RGB")]
    picture = decode(saved(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert np.abs(pixels_of(picture)[..., 0].astype(int) - ramp).max() < 12
    assert "1 more images" in picture.warnings[0]


@pytest.mark.parametrize("picture_format", FORMATS)
def test_a_picture_cut_short_is_unreadable(ramp: Levels, picture_format: str) -> None:
    data = saved(Image.fromarray(np.tile(ramp, (8, 8))), picture_format)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(UnreadablePictureError):
            decode(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"\xff\xd8\xff",
        b"GIF89a" + bytes(20),
        b"II*\0" + bytes(4),
        b"RIFF1234WEBP",
        b"BM",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_what_is_no_picture_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadablePictureError):
        decode(data)


@pytest.mark.parametrize("picture_format", [*FORMATS, "JPEG2000"])
def test_too_many_pixels_are_refused_before_they_are_decoded(ramp: Levels, picture_format: str) -> None:
    data = saved(Image.fromarray(ramp).resize((1000, 800)), picture_format)
    with pytest.raises(UnsupportedPictureError, match=r"1000 x 800 pixels, 1 MP, and --max-megapixels is 0\.79"):
        decode(data if picture_format == "WEBP" else data[: len(data) // 2], max_megapixels=0.79)
    assert decode(data, max_megapixels=0.81).megapixels == 0.8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("picture_format", FORMATS)
def test_every_orientation_is_turned_upright_and_its_tag_reset(orientation: int, picture_format: str) -> None:
    corners = np.full((32, 64), 128, np.uint8)
    corners[:16, :16], corners[:16, -16:], corners[-16:, :16] = 0, 60, 255
    # EXIF 2.32, table 6: where row 0 and column 0 of the stored picture lie in the upright one.
    store: dict[int, Callable[[Levels], Levels]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].T,
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(np.ascontiguousarray(store[orientation](corners))), picture_format, exif=exif)
    picture = decode(data)
    pixels = pixels_of(picture)
    luma = pixels if pixels.ndim == 2 else pixels[..., 0]
    assert np.abs(luma[8:-8:4, 8:-8:4].astype(int) - corners[8:-8:4, 8:-8:4]).max() < 12
    with Image.open(io.BytesIO(encode(coloured(picture)))) as output:
        assert output.size == (64, 32)
        assert output.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("picture_format", ["PNG", "TIFF", "WEBP"])
def test_lossless_formats_keep_every_pixel_and_alpha(ramp: Levels, picture_format: str) -> None:
    image = Image.fromarray(np.dstack([ramp, ramp, ramp, ramp[::-1]]))
    arguments = {"lossless": True, "exact": True} if picture_format == "WEBP" else {}
    picture = coloured(decode(saved(image, picture_format, **arguments)))
    output = np.asarray(Image.open(io.BytesIO(encode(picture))))
    np.testing.assert_array_equal(output[..., :3], picture.first.pixels)
    np.testing.assert_array_equal(output[..., 3], ramp[::-1])


def test_jpeg_keeps_the_luma_table_of_its_source_and_full_chroma(ramp: Levels) -> None:
    data = saved(Image.fromarray(ramp), "JPEG", quality=61)
    output = Image.open(io.BytesIO(encode(coloured(decode(data)))))
    assert output.quantization[0] == Image.open(io.BytesIO(data)).quantization[0]  # type: ignore[attr-defined]
    assert [layer[1:3] for layer in output.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


def test_equal_pictures_give_equal_bytes(ramp: Levels) -> None:
    for picture_format in FORMATS:
        data = saved(Image.fromarray(ramp), picture_format, icc_profile=_srgb_profile())
        assert encode(coloured(decode(data))) == encode(coloured(decode(data)))


def test_a_picture_too_large_for_its_format_says_so() -> None:
    with pytest.raises(UnsupportedPictureError, match="WEBP cannot hold this picture of 16384 x 1 pixels"):
        encode(Picture((Frame(np.zeros((1, 16384, 3), np.uint8)),), "WEBP"))
    with pytest.raises(UnsupportedPictureError, match="JPEG cannot hold this picture of 65501 x 1 pixels"):
        encode(Picture((Frame(np.zeros((1, 65501, 3), np.uint8)),), "JPEG"))


def _srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_colours_of_another_profile_are_brought_to_srgb() -> None:
    image = Image.new("LAB", (4, 4), (128, 128, 128))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    picture = decode(saved(image, "TIFF", icc_profile=profile))
    level = round(255 * (1.055 * 0.18651 ** (1 / 2.4) - 0.055))  # L* 50.2 is Y 0.1865 (CIE 15), sRGB by IEC 61966-2-1
    assert np.abs(picture.first.pixels[0, 0].astype(int) - level).max() <= 1
    with Image.open(io.BytesIO(encode(picture))) as output:
        assert "sRGB" in ImageCms.getProfileDescription(io.BytesIO(output.info["icc_profile"]))


def test_srgb_levels_are_taken_as_they_are(ramp: Levels) -> None:
    rgb = np.dstack([ramp, ramp[::-1], ramp])
    picture = decode(saved(Image.fromarray(rgb), "PNG", icc_profile=_srgb_profile()))
    np.testing.assert_array_equal(picture.first.pixels, rgb)


def test_a_profile_is_judged_by_what_it_does_not_by_its_name(ramp: Levels) -> None:
    profile = bytearray(_srgb_profile())
    red_curve = profile.index(b"rTRC", 128)
    offset = int.from_bytes(profile[red_curve + 4 : red_curve + 8], "big")
    linear = b"curv" + bytes(4) + (0).to_bytes(4, "big")  # ICC.1, section 10.6: no entries is the identity
    profile[offset : offset + len(linear)] = linear  # the three curves are one and the same
    rgb = np.dstack([ramp] * 3)
    picture = decode(saved(Image.fromarray(rgb), "PNG", icc_profile=bytes(profile)))
    assert "sRGB" in ImageCms.getProfileDescription(io.BytesIO(bytes(profile)))
    level = round(255 * (1.055 * (64 / 255) ** (1 / 2.4) - 0.055))  # IEC 61966-2-1
    assert np.abs(picture.first.pixels[ramp == 64].astype(int) - level).max() <= 1


def test_a_broken_profile_is_a_warning(ramp: Levels) -> None:
    picture = decode(saved(Image.fromarray(ramp), "PNG", icc_profile=b"not a profile"))
    np.testing.assert_array_equal(picture.first.pixels, ramp)
    assert any("ICC profile is damaged" in warning for warning in picture.warnings)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP"])
def test_exif_and_resolution_are_handed_on(ramp: Levels, picture_format: str) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0132] = "Grandmother, 1931", "1931:05:01 12:00:00"
    exif.get_ifd(0x8825)[1] = "N"
    data = saved(Image.fromarray(ramp), picture_format, exif=exif, dpi=(600, 600))
    with Image.open(io.BytesIO(encode(coloured(decode(data))))) as output:
        kept = output.getexif()
        assert (kept[0x010E], kept[0x0132]) == ("Grandmother, 1931", "1931:05:01 12:00:00")
        assert kept.get_ifd(0x8825)[1] == "N"
        if picture_format != "WEBP":  # it has no field for it
            assert output.info["dpi"] == pytest.approx((600, 600), abs=0.01)


def test_tiff_tags_resolution_and_compression_are_handed_on(ramp: Levels) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[315] = "Grandmother, 1931", "Photographer"
    data = saved(Image.fromarray(ramp), "TIFF", tiffinfo=tags, dpi=(1200, 1200), compression="tiff_lzw")
    with Image.open(io.BytesIO(encode(coloured(decode(data))))) as output:
        assert isinstance(output, TiffImagePlugin.TiffImageFile)
        assert (output.tag_v2[270], output.tag_v2[315]) == ("Grandmother, 1931", "Photographer")
        assert output.info["dpi"] == (1200, 1200)


def test_fax_compression_becomes_one_that_can_hold_colour() -> None:
    image = Image.new("1", (32, 32), 1)
    picture = decode(saved(image, "TIFF", compression="group4"))
    with Image.open(io.BytesIO(encode(coloured(picture)))) as output:
        assert output.info["compression"] == "tiff_adobe_deflate"
        assert output.mode == "RGB"


def test_text_that_is_not_ascii_and_maker_notes_survive(ramp: Levels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x927C] = b"maker note \x00\xff"
    block = exif.tobytes().replace(b"maker note", b"Gro\xc3\x9fmut")  # UTF-8, as cameras and editors write it
    with Image.open(io.BytesIO(encode(coloured(decode(saved(Image.fromarray(ramp), "JPEG", exif=block)))))) as output:
        kept = output.info["exif"]
        assert output.getexif()[0x0112] == 1
    assert kept.replace(b"\x01\x12\0\x03\0\0\0\x01\0\x01", b"") == block.replace(b"\x01\x12\0\x03\0\0\0\x01\0\x06", b"")


def test_tiff_text_in_latin_1_survives_and_no_resolution_is_made_up(ramp: Levels) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[315] = "Köhler".encode("latin-1")
    with Image.open(
        io.BytesIO(encode(coloured(decode(saved(Image.fromarray(ramp), "TIFF", tiffinfo=tags)))))
    ) as output:
        assert isinstance(output, TiffImagePlugin.TiffImageFile)
        assert output.tag_v2[315] == "Köhler"
        assert output.tag_v2.get(296) == 1, "no unit"
        assert "dpi" not in output.info or output.info["dpi"] == (1, 1)


def test_a_grainy_jpeg_at_the_highest_quality_is_written() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (256, 256), dtype=np.uint8) * 255
    picture = coloured(decode(saved(Image.fromarray(noise), "JPEG", quality=100)))
    assert len(encode(picture)) > 2 * 256 * 256


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_a_warning_and_the_picture_is_kept(ramp: Levels) -> None:
    data = saved(Image.fromarray(ramp), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    picture = decode(data)
    assert picture.first.pixels.shape == ramp.shape
    assert any("damaged EXIF was dropped" in warning for warning in picture.warnings)
    encode(coloured(picture))


def test_a_table_too_coarse_for_baseline_jpeg_is_made_finer(ramp: Levels, capfd: pytest.CaptureFixture[str]) -> None:
    coarse = saved(Image.fromarray(ramp).convert("RGB"), "JPEG", qtables=[[16] * 32 + [300] * 32, [20] * 64])
    capfd.readouterr()
    output = Image.open(io.BytesIO(encode(coloured(decode(coarse)))))
    assert max(output.quantization[0]) == 255  # type: ignore[attr-defined]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("image", "picture_format", "expected"),
    [
        (Image.new("L", (40, 30)), "JPEG", 3 * 40 * 30),
        (Image.new("RGB", (40, 30)), "PNG", 3 * 40 * 30),
        (Image.new("1", (40, 30)), "TIFF", 3 * 40 * 30),
        (Image.new("I;16", (40, 30)), "PNG", 6 * 40 * 30),
        (Image.new("I;16", (40, 30)), "TIFF", 6 * 40 * 30),
    ],
)
def test_decoded_bytes_are_told_by_the_header(image: Image.Image, picture_format: str, expected: int) -> None:
    assert decoded_bytes(saved(image, picture_format)) == expected


@pytest.mark.parametrize("code", [imagecodecs.png_encode, imagecodecs.jpeg2k_encode])
def test_decoded_bytes_of_deep_colour(code: Callable[..., bytes]) -> None:
    assert decoded_bytes(bytes(code(np.zeros((30, 40, 3), np.uint16)))) == 6 * 40 * 30
    assert decoded_bytes(bytes(code(np.zeros((30, 40, 3), np.uint8)))) == 3 * 40 * 30


def test_decoded_bytes_of_a_damaged_png_that_can_be_salvaged() -> None:
    data = bytearray(saved(Image.new("L", (40, 30)), "PNG", transparency=7))
    data[data.index(b"tRNS") + 6] ^= 1  # of its checksum
    assert decoded_bytes(bytes(data)) == 3 * 40 * 30
    assert decode(bytes(data), salvage=True).first.width == 40


def test_a_packed_packet_of_xmp_does_not_fill_the_memory() -> None:
    assert len(png.xmp_of(kinds.bombs("xmp.png")["xmp.png"])) == 2**26


def test_decoded_bytes_of_the_first_heic_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("L", (64, 48))).save(buffer)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    assert decoded_bytes(buffer.getvalue()) == 3 * 64 * 48


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"II*\0\xff\xff\xff\xff", b"\xff\xd8\xff\xe0"])
def test_decoded_bytes_of_what_cannot_be_read_are_none(data: bytes) -> None:
    assert decoded_bytes(data) == 0


@pytest.mark.parametrize(("mode", "expected"), [("L", False), ("RGB", True), ("CMYK", False)])
def test_a_jpeg_in_three_components_needs_the_transcoder(ramp: Levels, mode: str, *, expected: bool) -> None:
    assert needs_transcoder(saved(Image.fromarray(ramp).convert(mode), "JPEG")) is expected
    assert not needs_transcoder(saved(Image.fromarray(ramp), "PNG"))
