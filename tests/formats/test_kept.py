"""What an output takes over beside the pixels, read back by Pillow and tifffile."""

import io
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pillow_heif
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, TiffTags

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats import decode, encode, output_extension, sniff
from colorbatch.formats.kinds import KINDS
from colorbatch.pixels.picture import Picture

Levels = NDArray[np.uint8]
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><!-- Gro\xc3\x9fmutter --></x:xmpmeta>"
IIM = b"\x1c\x02\x78\x00\x05Eyrie"  # IPTC-IIM 4.2: record 2, data set 120 (caption)
RESOURCES = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IIM)) + IIM  # Adobe's image resource 0x0404


def saved(image: Image.Image, picture_format: str, **arguments: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **arguments)
    return buffer.getvalue()


def coloured(data: bytes) -> bytes:
    """Return the output of a file, its frames in RGB."""
    picture = decode(data)
    frames = [
        replace(frame, pixels=np.dstack([frame.pixels] * 3) if frame.pixels.ndim == 2 else frame.pixels)
        for frame in picture.frames
    ]
    return encode(replace(picture, frames=tuple(frames)))


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


def tiff_with_everything(ramp: Levels, byte_order: str) -> bytes:
    """Return a TIFF with EXIF, GPS and interoperability directories, XMP, IPTC and texts, as Pillow writes it."""
    image = Image.fromarray(ramp if byte_order == "<" else ramp.astype(">u2"))
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[315] = "Grandmother, 1931", "Photographer"
    for code, block in ((700, XMP), (33723, IIM), (34377, RESOURCES)):
        tags.tagtype[code] = TiffTags.BYTE
        tags[code] = block
    tags[34665] = {36867: "1931:05:01 12:00:00", 37500: b"maker note" * 3, 33437: (28, 10), 40965: {1: "R98"}}
    tags[34853] = {2: (50.0, 5.0, 11.25)}
    for code in (34665, 34853):
        tags.tagtype[code] = TiffTags.LONG
    data = saved(image, "TIFF", tiffinfo=tags)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert file.byteorder == byte_order
    return data


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


def tiff_of(image: Image.Image, **arguments: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    planes = np.asarray(image)
    if arguments.get("planarconfig") == "separate":
        planes = np.moveaxis(planes, -1, 0)
    tifffile.imwrite(buffer, planes, **arguments)
    return buffer.getvalue()


def interlaced(image: Image.Image) -> bytes:
    """Return an 8-bit grey PNG in the seven passes of Adam7 (PNG specification, section 8.2)."""
    levels = np.asarray(image)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = (row for top, left, down, across in passes for row in levels[top::down, left::across])
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">2I5B", image.width, image.height, 8, 0, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


ARITHMETIC = (  # a slope of 8 x 8 pixels, by: cjpeg -arithmetic -grayscale
    "ffd8ffe000104a46494600010100000100010000ffdb004300080606070605080707070909080a0c140d0c0b0b0c1912130f141d1a1f1e1d"
    "1a1c1c20242e2720222c231c1c2837292c30313434341f27393d38323c2e333432ffc9000b080008000801011100ffcc000600101005ffda"
    "0008010100003f0074cb0eca01eeffd9"
)
CMYK = Image.new("CMYK", (16, 16), (0, 255, 255, 0))


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
    assert output_extension(KINDS["TIFF"], ".TIFF") == ""
    assert sniff(b"<!DOCTYPE html>") is None
    assert sniff(b"") is None


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


TURNED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF>'
    b"</x:xmpmeta>"
)


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
