"""What an output takes over beside the pixels, read back by Pillow and tifffile."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin
from saved_pictures import (
    IIM,
    RESOURCES,
    TURNED,
    XMP,
    Levels,
    coloured,
    saved,
    tiff_with_everything,
)

from colorbatch.formats import decode


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP"])
def test_xmp_is_handed_on_byte_for_byte(ramp: Levels, picture_format: str) -> None:
    arguments: dict[str, Any] = {"xmp": XMP}
    if picture_format == "PNG":
        arguments = {"pnginfo": PngImagePlugin.PngInfo()}
        arguments["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    output = Image.open(io.BytesIO(coloured(saved(Image.fromarray(ramp), picture_format, **arguments))))
    assert output.info["xmp"].rstrip(b"\0") == XMP


def test_iptc_and_all_comments_of_a_jpeg_are_handed_on(ramp: Levels) -> None:
    segments = b"\xff\xed" + struct.pack(">H", 16 + len(RESOURCES)) + b"Photoshop 3.0\0" + RESOURCES
    segments += b"\xff\xfe\0\x05one\xff\xfe\0\x05two"
    output = Image.open(io.BytesIO(coloured(saved(Image.fromarray(ramp), "JPEG", extra=segments))))
    assert isinstance(output, JpegImagePlugin.JpegImageFile)
    assert output.info["photoshop"][0x0404] == IIM
    assert [data for marker, data in output.applist if marker == "COM"] == [b"one", b"two"]


def test_image_resources_larger_than_a_segment_are_handed_on(ramp: Levels) -> None:
    resources = b"8BIM\x04\x04\0\0" + struct.pack(">I", 100_000) + bytes(range(250)) * 400
    parts = [resources[start : start + 60_000] for start in range(0, len(resources), 60_000)]
    segments = b"".join(b"\xff\xed" + struct.pack(">H", 16 + len(part)) + b"Photoshop 3.0\0" + part for part in parts)
    once = coloured(saved(Image.fromarray(ramp), "JPEG", extra=segments))
    assert decode(once).first.metadata.photoshop == resources


def test_texts_and_time_of_a_png_are_handed_on(ramp: Levels) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Köhler")
    info.add_itxt("Title", "Großmutter", "de", "Titel")
    info.add_text("Comment", "long " * 500, zip=True)
    info.add(b"tIME", b"\x07\x8b\x05\x01\x0c\0\0")
    data = coloured(saved(Image.fromarray(ramp), "PNG", pnginfo=info))
    output = Image.open(io.BytesIO(data))
    assert isinstance(output, PngImagePlugin.PngImageFile)
    assert output.text["Author"] == "Köhler"
    assert output.text["Title"] == "Großmutter"
    assert output.text["Comment"] == "long " * 500
    assert b"tIME\x07\x8b\x05\x01\x0c\0\0" in data


def test_the_chunks_written_have_sound_checksums(ramp: Levels) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "someone")
    exif = Image.Exif()
    exif[0x010E] = "text"
    data = coloured(saved(Image.fromarray(ramp), "PNG", pnginfo=info, dpi=(300, 300), exif=exif))
    position, kinds = 8, []
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        content = data[position + 4 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        assert checksum == zlib.crc32(content)
        kinds.append(kind)
        position += 12 + length
    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    assert {b"pHYs", b"eXIf", b"tEXt"} <= set(kinds[: kinds.index(b"IDAT")])


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_everything_a_tiff_says_is_handed_on(ramp: Levels, byte_order: str) -> None:
    data = coloured(tiff_with_everything(ramp, byte_order))
    with tifffile.TiffFile(io.BytesIO(data)) as output:
        tags = output.pages[0].tags
        assert tags.valueof(270) == "Grandmother, 1931"
        assert tags.valueof(315) == "Photographer"
        assert tags.valueof(700) == XMP
        assert bytes(tags.valueof(33723)) == IIM
        assert bytes(tags.valueof(34377)) == RESOURCES
        exif = tags.valueof(34665)
        assert exif["DateTimeOriginal"] == "1931:05:01 12:00:00"
        assert exif["MakerNote"] == b"maker note" * 3
        assert exif["FNumber"] == (28, 10)
        assert tags.valueof(34853)["GPSLatitude"] == (50, 1, 5, 1, 45, 4)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get_ifd(34665)[36867] == "1931:05:01 12:00:00"
        assert image.getexif().get_ifd(34853)[2] == (50.0, 5.0, 11.25)
    assert coloured(data) == data, "a second time gives the same bytes"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_directory_is_a_warning(ramp: Levels) -> None:
    data = bytearray(tiff_with_everything(ramp, "<"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        struct.pack_into("<I", data, file.pages[0].tags[34665].offset + 8, 9_999_999)
    picture = decode(bytes(data))
    assert any("the damaged EXIF directory was dropped" in warning for warning in picture.warnings)
    np.testing.assert_array_equal(picture.first.pixels, ramp)


def test_all_pages_are_kept_in_order_with_their_own_tags(ramp: Levels) -> None:
    pages = [Image.fromarray(np.roll(ramp, shift, axis=1)) for shift in (0, 5, 9)]
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer, new=True) as writer:
        for number, page in enumerate(pages):
            page.save(writer, "TIFF", tiffinfo={285: f"page {number}"}, dpi=(100 + number, 100))
            writer.newFrame()
    with Image.open(io.BytesIO(coloured(buffer.getvalue()))) as output:
        assert isinstance(output, TiffImagePlugin.TiffImageFile)
        assert output.n_frames == 3
        for number, page in enumerate(pages):
            output.seek(number)
            np.testing.assert_array_equal(np.asarray(output)[..., 1], np.asarray(page))
            assert output.tag_v2[285] == f"page {number}"
            assert output.info["dpi"][0] == 100 + number


@pytest.mark.parametrize("compression", ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "lzma", "zstd"])
def test_a_lossless_compression_is_used_again(ramp: Levels, compression: str) -> None:
    arguments = {} if compression == "raw" else {"compression": compression}
    with Image.open(io.BytesIO(coloured(saved(Image.fromarray(ramp), "TIFF", **arguments)))) as output:
        assert output.info["compression"] == compression


def test_boxes_exif_and_resolution_of_a_jp2_are_handed_on(ramp: Levels) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Agfa"
    exif[0x0112] = 6
    own = b"0123456789abcdefown"
    boxes = [
        (b"uuid", b"JpgTiffExif->JP2" + exif.tobytes().removeprefix(b"Exif\0\0")),
        (b"uuid", own),
        (b"xml ", b"<a/>"),
    ]
    data = saved(Image.fromarray(ramp), "JPEG2000") + b"".join(
        struct.pack(">I4s", 8 + len(content), kind) + content for kind, content in boxes
    )
    # the resolution of capture, 11811 pixels a metre down and 23622 across, put in front of the end of jp2h
    resc = struct.pack(">I4s4H2b", 18, b"resc", 11811, 1, 23622, 1, 0, 0)
    start = data.index(b"jp2h") - 4
    length = struct.unpack_from(">I", data, start)[0]
    res = struct.pack(">I4s", 8 + len(resc), b"res ") + resc
    data = (
        data[:start]
        + struct.pack(">I", length + len(res))
        + data[start + 4 : start + length]
        + res
        + data[start + length :]
    )
    output = coloured(data)
    image = Image.open(io.BytesIO(output))
    assert image.size == ramp.shape  # turned upright, so width and height changed places
    assert image.info["dpi"] == pytest.approx((300, 600), rel=1e-5)
    metadata = decode(output).first.metadata
    assert metadata.jp2_boxes == ((b"uuid", own), (b"xml ", b"<a/>"))
    kept = Image.Exif()
    kept.load(metadata.exif)
    assert (kept[0x010F], kept[0x0112]) == ("Agfa", 1)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF16"])
@pytest.mark.parametrize("exif_says", [None, 1, 6])
def test_exif_says_how_a_picture_lies_and_xmp_only_where_exif_does_not(
    ramp: Levels, picture_format: str, exif_says: int | None
) -> None:
    if picture_format.startswith("TIFF"):
        extra: list[tuple[int, int, int, Any, bool]] = [(700, 1, len(TURNED), TURNED, True)]
        extra += [] if exif_says is None else [(274, 3, 1, exif_says, True)]
        buffer = io.BytesIO()
        samples = ramp.astype(np.uint16) if picture_format == "TIFF16" else ramp
        tifffile.imwrite(buffer, samples, extratags=extra, metadata=None)
        data = buffer.getvalue()
    else:
        exif = Image.Exif()
        exif[0x010F] = "Agfa"
        if exif_says is not None:
            exif[0x0112] = exif_says
        arguments: dict[str, Any] = {"exif": exif}
        if picture_format == "PNG":
            arguments["pnginfo"] = PngImagePlugin.PngInfo()
            arguments["pnginfo"].add_itxt("XML:com.adobe.xmp", TURNED.decode())
        else:
            arguments["xmp"] = TURNED
        data = saved(Image.fromarray(ramp), picture_format, **arguments)
    output = coloured(data)
    frame = decode(output).first  # which finds nothing more to turn
    assert (frame.height, frame.width) == (ramp.shape if exif_says == 1 else ramp.T.shape)
    assert b'tiff:Orientation="6"' not in output


def test_a_stale_set_of_extended_xmp_beside_the_right_one_is_passed_over(ramp: Levels) -> None:
    body = (
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:o="http://o.example/" o:a="%s"/></rdf:RDF>'
    )
    segments = b""
    for text, name in ((b"stale", b"A" * 32), (b"right", b"B" * 32)):
        part = body % text
        content = b"http://ns.adobe.com/xmp/extension/\0" + name + len(part).to_bytes(4, "big") + bytes(4) + part
        segments += b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content
    standard = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="' + b"B" * 32 + b'"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    picture = decode(saved(Image.fromarray(ramp), "JPEG", xmp=standard, extra=segments))
    assert picture.warnings == ()
    assert b'o:a="right"' in picture.first.metadata.xmp
    assert b"stale" not in picture.first.metadata.xmp


def test_what_a_tiff_page_is_stays_and_images_within_a_page_are_a_warning(ramp: Levels) -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(ramp, subifds=1, subfiletype=2, metadata=None)
        writer.write(ramp[::2, ::2], subfiletype=1, metadata=None)
        writer.write(ramp, subfiletype=2, metadata=None)
    picture = decode(buffer.getvalue())
    assert picture.warnings == ("1 images within a page (SubIFDs) were dropped",)
    with tifffile.TiffFile(io.BytesIO(coloured(buffer.getvalue()))) as output:
        assert [page.subfiletype for page in output.pages] == [2, 2]


def test_a_grey_thumbnail_is_left_out_of_exif_and_nothing_else(ramp: Levels) -> None:
    """By hand: a directory with a camera's name, the next one with a thumbnail of 10 bytes."""
    first = struct.pack("<HHHI4sI", 1, 0x010F, 2, 4, b"Agf\0", 26)
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, 10, 0)
    exif = b"II*\0" + struct.pack("<I", 8) + first + second + b"\xff\xd8" + b"x" * 8
    before = Image.Exif()
    before.load(exif)
    assert before.get_ifd(ExifTags.IFD.IFD1)[0x0202] == 10
    after = Image.open(io.BytesIO(coloured(saved(Image.fromarray(ramp), "JPEG", exif=b"Exif\0\0" + exif)))).getexif()
    assert after[0x010F] == "Agf"
    assert after.get_ifd(ExifTags.IFD.IFD1) == {}
