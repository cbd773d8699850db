"""A picture as one of another format, read back by Pillow and tifffile."""

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers import SAMPLES
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin
from PIL.ExifTags import GPS, IFD, Base

from colorbatch.errors import UnsupportedPictureError
from colorbatch.formats import converted, decode, encode, format_written_as
from colorbatch.pixels.picture import MaskPage, Picture

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "JPEG2000")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'
IPTC = b"\x1c\x02\x78\x00\x07a house"
"""The caption (dataset 2:120) of IPTC-IIM 4.2, section 1.5."""


def exif_of_a_camera() -> Image.Exif:
    exif = Image.Exif()
    exif[Base.Artist], exif[Base.ImageDescription] = "Anna Lind", "A house"
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "1931:05:04 10:00:00"
    exif.get_ifd(IFD.GPSInfo)[GPS.GPSLatitudeRef] = "N"
    return exif


def saved(image: Image.Image, kind: str, **arguments: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    image.save(buffer, kind, **arguments)
    return buffer.getvalue()


def tiff_of(*pages: NDArray[Any], **arguments: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for page in pages:
            writer.write(page, metadata=None, contiguous=False, **arguments)
    return buffer.getvalue()


def as_format(data: bytes, target: str) -> tuple[Picture, Image.Image]:
    picture = converted(decode(data), target)
    image = Image.open(io.BytesIO(encode(picture)))
    image.load()
    assert image.format == target
    return picture, image


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_every_format_becomes_every_other(source: str, target: str) -> None:
    grey = Image.linear_gradient("L").resize((48, 32))
    arguments = {"lossless": True} if source == "WEBP" else {"quality": 100} if source == "JPEG" else {}
    data = saved(grey, source, **arguments)
    picture, image = as_format(data, target)
    assert picture.warnings == ()
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)
    assert abs(np.asarray(image.convert("L")).astype(int) - expected).max() <= 1


def test_one_of_the_same_format_is_left_as_it_is() -> None:
    picture = decode(saved(Image.linear_gradient("L"), "JPEG"))
    assert converted(picture, "JPEG") is picture


def test_16_bits_stay_where_they_can_and_are_rounded_elsewhere() -> None:
    levels = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    data = tiff_of(levels, photometric="minisblack")
    for target in ("PNG", "JPEG2000"):
        picture = converted(decode(data), target)
        np.testing.assert_array_equal(picture.first.pixels, levels)
        assert picture.warnings == ()
    for target in ("JPEG", "WEBP"):
        picture = converted(decode(data), target)
        np.testing.assert_array_equal(picture.first.pixels, np.rint(levels * (255 / 65535)))
        assert picture.warnings == (f"its 16 bits per channel became 8: {target} has no more",)


def test_metadata_of_a_tiff_is_said_as_others_say_it() -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in exif_of_a_camera().items():
        if isinstance(value, str):
            info[tag] = value
    info[282], info[283], info[296] = 100, 100, 3
    info[700], info[33723] = XMP, IPTC
    info.tagtype[700] = info.tagtype[33723] = 1
    info[34665] = {36867: "1931:05:04 10:00:00"}
    data = saved(Image.linear_gradient("L"), "TIFF", tiffinfo=info)
    for target in ("JPEG", "PNG", "WEBP", "JPEG2000"):
        picture, image = as_format(data, target)
        exif = image.getexif()
        if target != "JPEG2000":  # whose EXIF Pillow does not read
            assert exif[Base.ImageDescription] == "A house"
            assert exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "1931:05:04 10:00:00"
            assert [exif[tag] for tag in (Base.XResolution, Base.YResolution, Base.ResolutionUnit)] == [100, 100, 3]
        assert XMP.strip() in encode(picture)
        if target == "WEBP":
            (warning,) = picture.warnings
            assert warning.endswith("does not hold it: IPTC and other image resources of Photoshop")
        else:
            assert image.info["dpi"] == pytest.approx((254, 254), abs=0.02)
        assert (IPTC in encode(picture)) == (target == "JPEG")
    again = decode(encode(converted(decode(data), "JPEG")))
    assert b"8BIM\x04\x04\0\0\0\0\0\x0c" + IPTC in again.first.metadata.photoshop


def test_metadata_of_others_is_said_as_a_tiff_says_it() -> None:
    resources = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + len(IPTC).to_bytes(4, "big") + IPTC
    segment = b"\xff\xed" + (len(resources) + 2).to_bytes(2, "big") + resources
    exif = exif_of_a_camera()
    data = saved(
        Image.linear_gradient("L"), "JPEG", exif=exif, xmp=XMP, dpi=(300, 300), extra=segment, comment=b"a note"
    )
    picture, image = as_format(data, "TIFF")
    assert image.getexif()[Base.Artist] == exif[Base.Artist]
    assert image.getexif().get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "1931:05:04 10:00:00"
    assert image.getexif().get_ifd(IFD.GPSInfo)[GPS.GPSLatitudeRef] == "N"
    assert image.info["dpi"] == (300, 300)
    with tifffile.TiffFile(io.BytesIO(encode(picture))) as file:
        tags = file.pages.first.tags
        assert bytes(tags[33723].value) == IPTC
        assert bytes(tags[700].value) == XMP
        assert 34377 not in tags
    assert picture.warnings == ("dropped, since TIFF does not hold it: comments",)


def test_a_rotated_jpeg_is_upright() -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    _, image = as_format(saved(Image.linear_gradient("L").resize((60, 40)), "JPEG", exif=exif), "PNG")
    assert image.size == (40, 60)
    assert image.getexif().get(Base.Orientation) == 1


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("its 2 pages", lambda picture: replace(picture, frames=picture.frames * 2)),
        ("its mask pages", lambda picture: replace(picture, masks=(MaskPage(1, {}, ()),))),
        (
            "its extra channel without a stated meaning",
            lambda picture: replace(picture, frames=(replace(picture.first, unnamed=picture.first.pixels),)),
        ),
        (
            "its transparency",
            lambda picture: replace(picture, frames=(replace(picture.first, alpha=picture.first.pixels),)),
        ),
    ],
)
def test_what_would_be_lost_of_the_pixels_is_refused(part: str, change: Any) -> None:  # noqa: ANN401
    picture = change(decode((SAMPLES / "animals" / "chelsea.tif").read_bytes()))
    with pytest.raises(UnsupportedPictureError, match=re.escape(f"JPEG cannot hold {part}")):
        converted(picture, "JPEG")
    assert converted(picture, "TIFF") is picture


def test_alpha_is_kept_where_it_can_be_and_left_out_where_it_says_nothing() -> None:
    rgba = Image.linear_gradient("L").convert("RGBA")
    _, image = as_format(saved(rgba, "PNG"), "JPEG")
    assert image.mode == "RGB"
    rgba.putalpha(Image.linear_gradient("L"))
    picture = converted(decode(saved(rgba, "PNG")), "WEBP")
    np.testing.assert_array_equal(picture.first.alpha, np.asarray(Image.linear_gradient("L")))


def test_exif_that_is_too_long_for_a_jpeg_is_dropped_with_a_warning() -> None:
    data = tiff_of(np.zeros((8, 8), np.uint8), extratags=[(65000, 7, 70_000, bytes(70_000), True)])
    picture = converted(decode(data), "JPEG")
    assert picture.first.metadata.exif == b""
    assert re.match(r"EXIF was dropped: it has 70,\d\d\d bytes, and JPEG can hold", picture.warnings[0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.tif", "TIFF"), ("a.webp", "WEBP"), ("a.jp2", "JPEG2000")),
        *(("a.png", "PNG"), ("a.gif", None), ("a.heic", None), ("a.dng", None), ("a", None), ("a.txt", None)),
    ],
)
def test_an_extension_names_a_format_that_is_written(name: str, expected: str | None) -> None:
    assert format_written_as(Path(name).suffix) == expected


def test_a_resolution_that_only_the_header_states_is_dropped_with_a_warning() -> None:
    picture = converted(decode(saved(Image.linear_gradient("L"), "PNG", dpi=(300, 300))), "WEBP")
    assert picture.warnings == ("dropped, since WEBP does not hold it: the resolution",)
