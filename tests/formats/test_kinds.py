"""Which kinds are read, and what each is written as."""

import io
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image
from saved_pictures import (
    ARITHMETIC,
    CMYK,
    Levels,
    coloured,
    interlaced,
    saved,
    tiff_of,
)

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats import decode, encode, output_extension, sniff
from colorbatch.formats.kinds import KINDS
from colorbatch.pixels.picture import Picture


@pytest.mark.parametrize(
    ("make", "written"),
    [
        (lambda image: saved(image, "GIF"), "PNG"),
        (lambda image: saved(image, "BMP"), "PNG"),
        (lambda image: saved(image, "PPM"), "PNG"),
        (lambda image: saved(image.convert("RGB"), "AVIF", quality=100), "PNG"),
        (lambda image: saved(image, "JPEG2000"), "JPEG2000"),
        (lambda image: saved(image.convert("1"), "TIFF", compression="group4"), "TIFF"),
        (lambda image: saved(image, "JPEG", progressive=True), "JPEG"),
        (lambda image: saved(image.convert("RGB"), "JPEG", keep_rgb=True), "JPEG"),
        (lambda image: saved(image, "TIFF", compression="jpeg"), "TIFF"),
        (lambda image: saved(image.convert("P"), "PNG", bits=2), "PNG"),
        (lambda image: saved(image.convert("P"), "PNG", bits=4), "PNG"),
        (lambda image: saved(image.convert("1"), "PNG"), "PNG"),
        (interlaced, "PNG"),
        (lambda image: saved(image.convert("1"), "PPM"), "PNG"),
        (lambda image: saved(image, "WEBP", quality=40), "WEBP"),
        (lambda image: tiff_of(image, tile=(16, 16)), "TIFF"),
        (lambda image: tiff_of(image, bigtiff=True, compression="zlib", predictor=True), "TIFF"),
        (lambda image: tiff_of(image, byteorder=">", rowsperstrip=3), "TIFF"),
        (lambda image: tiff_of(image.convert("RGB"), planarconfig="separate", photometric="rgb"), "TIFF"),
        (lambda image: saved(image.convert("P"), "TIFF"), "TIFF"),
        (lambda image: saved(image.convert("1"), "TIFF", compression="group3"), "TIFF"),
        (lambda _: bytes.fromhex(ARITHMETIC), "JPEG"),
    ],
)
def test_each_kind_is_read_and_written_as_documented(
    ramp: Levels, make: Callable[[Image.Image], bytes], written: str
) -> None:
    data = make(Image.fromarray(np.tile(ramp, (2, 1))))
    picture = decode(data)
    assert isinstance(picture, Picture)
    assert picture.format == written
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(coloured(data))) as after:
        difference = np.asarray(before.convert("L")).astype(int) - np.asarray(after.convert("L"))
        assert np.abs(difference).max() <= (12 if written == "JPEG" else 1)
        assert after.mode == "RGB"
        assert after.format == written


def test_cmyk_jpeg_of_adobe_becomes_rgb() -> None:
    output = Image.open(io.BytesIO(coloured(saved(CMYK, "JPEG", quality=100))))
    red, green, blue = np.asarray(output)[8, 8].astype(int)
    assert (red > 245, green < 12, blue < 12) == (True, True, True)


def test_a_transparent_colour_of_a_grey_png_becomes_alpha(ramp: Levels) -> None:
    frame = decode(saved(Image.fromarray(ramp), "PNG", transparency=7)).first
    assert frame.alpha is not None
    np.testing.assert_array_equal(frame.alpha == 0, ramp == 7)


def test_kinds_are_known_by_content_and_names_follow(ramp: Levels) -> None:
    png = sniff(saved(Image.fromarray(ramp), "PNG")[:32])
    assert png is KINDS["PNG"]
    assert [output_extension(png, ending) for ending in (".png", ".PNG", ".jpg", "")] == ["", "", ".png", ".png"]
    assert output_extension(KINDS["GIF"], ".gif") == ".png"
    browsers = (".jfif", ".pjpeg", ".pjp", ".jif")  # which save JPEGs under any of these
    assert {output_extension(KINDS["JPEG"], ending) for ending in browsers} == {""}
    assert output_extension(KINDS["TIFF"], ".TIFF") == ""
    assert sniff(b"<!DOCTYPE html>") is None
    assert sniff(b"") is None


@pytest.mark.parametrize("picture_format", ["AVIF", "HEIF"])
@pytest.mark.parametrize("brand", [b"mif1", b"miaf", b"MiHB"])
def test_the_codec_is_told_by_any_brand(ramp: Levels, picture_format: str, brand: bytes) -> None:
    """The major brand may leave the codec open (ISO/IEC 23008-12, section 10.2; AV1 Image File Format, section 8)."""
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x010E] = "from a telephone"
    grey = Image.fromarray(np.tile(ramp, (4, 2))).convert("RGB")
    data = saved(grey, picture_format, quality=95, exif=exif.tobytes())
    assert b"miaf" in data[16:64]
    data = data[:8] + brand + data[12:]
    assert sniff(data[:64]) is KINDS[picture_format]
    picture = decode(data)
    assert np.abs(picture.first.pixels.astype(int) - np.asarray(grey)).max() < 12
    assert picture.warnings == ()
    assert Image.open(io.BytesIO(encode(picture))).getexif()[0x010E] == "from a telephone"


def test_a_film_is_no_picture() -> None:
    assert sniff(b"\0\0\0\x20ftypmp42\0\0\0\0isommp41mp42avc1") is None
    assert sniff(b"\0\0\0\x14ftypqt  \0\0\0\0qt  heic") is None


def test_zero_bytes_are_told_from_unknown_formats() -> None:
    with pytest.raises(UnreadablePictureError, match="only zero bytes"):
        decode(bytes(10_000))
    with pytest.raises(UnreadablePictureError, match="not a known picture format"):
        decode(bytes(10_000) + b"\1")


@pytest.mark.parametrize("bits", [12, 16])
def test_a_jpeg_of_more_than_8_bits_is_refused(ramp: Levels, bits: int) -> None:
    samples = ramp.astype(np.uint16) << (bits - 8)
    code = imagecodecs.jpeg8_encode if bits == 12 else imagecodecs.ljpeg_encode
    with pytest.raises(UnsupportedPictureError, match=f"a JPEG of {bits} bits"):
        decode(bytes(code(samples, bitspersample=bits)))


def test_heic_becomes_png(ramp: Levels) -> None:
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x010E] = "from a telephone"
    grey = Image.fromarray(np.tile(ramp, (4, 2)))
    picture = decode(saved(grey.convert("RGB"), "HEIF", quality=95, exif=exif.tobytes()))
    assert picture.format == "PNG"
    assert np.abs(picture.first.pixels[..., 1].astype(int) - np.asarray(grey)).max() < 12
    assert Image.open(io.BytesIO(encode(picture))).getexif()[0x010E] == "from a telephone"
    assert decode(saved(grey.convert("RGB"), "HEIF")).first.metadata.exif == b""


def test_heic_of_10_bits_is_refused(ramp: Levels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", False)
    samples = (np.dstack([ramp] * 3).astype(np.uint16) * 257).tobytes()
    buffer = io.BytesIO()
    pillow_heif.encode("RGB;16", (ramp.shape[1], ramp.shape[0]), samples, buffer)
    with pytest.raises(UnsupportedPictureError, match="10 or 12 bits"):
        decode(buffer.getvalue())


def test_without_its_extra_a_heic_fails_with_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnsupportedPictureError, match="pillow_heif is not installed") as refused:
        decode(b"\0\0\0\x18ftypheic" + bytes(32))
    assert refused.value.advice == "Install it with: pip install 'colorbatch[heif]'"


def test_pixels_that_were_changed_are_what_is_written(ramp: Levels) -> None:
    picture = decode(saved(Image.fromarray(ramp), "JPEG", quality=95))
    cropped = np.dstack([255 - ramp[2:12, 3:40]] * 3)
    output = Image.open(io.BytesIO(encode(replace(picture, frames=(replace(picture.first, pixels=cropped),)))))
    assert output.size == (37, 10)
    assert np.abs(np.asarray(output.convert("L"), int) - cropped[..., 0]).mean() < 6


def test_salvaging_in_one_thread_lets_no_torn_picture_through_in_another(ramp: Levels) -> None:
    data = saved(Image.fromarray(np.tile(ramp, (20, 10))), "JPEG")
    torn = data[: len(data) // 2]

    def is_refused(_: int) -> bool:
        try:
            decode(torn)
        except UnreadablePictureError:
            return True
        return False

    with ThreadPoolExecutor(4) as pool:
        salvaged = [pool.submit(decode, torn, salvage=True) for _ in range(40)]
        assert all(pool.map(is_refused, range(60)))
        assert all(each.result().warnings for each in salvaged)


def test_salvaging_waits_for_no_picture_that_comes_later() -> None:
    """Several threads decode without a pause, so that there is no moment in which none does."""
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200), dtype=np.uint8)
    whole, short = saved(Image.fromarray(noise), "PNG"), saved(Image.fromarray(noise[:40]), "PNG")[:-5000]
    is_over = threading.Event()

    def decode_all_the_time() -> int:
        count = 0
        while not is_over.is_set():
            count += decode(whole).first.height == 1200
        return count

    with ThreadPoolExecutor(9) as pool:
        decoding = [pool.submit(decode_all_the_time) for _ in range(8)]
        try:
            for _ in range(5):
                assert pool.submit(decode, short, salvage=True).result(timeout=10).warnings
        finally:
            is_over.set()
        assert all(each.result() for each in decoding)
