"""Damage beside the pixels: wherever another decoder still finds the pixels, so do we, and the output opens in Pillow.

The other decoders are libjpeg-turbo, libpng, libwebp and OpenJPEG, called by imagecodecs, which reads pixels alone.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from saved_pictures import RESOURCES, chunk, saved, segment

from colorbatch.errors import UnreadablePictureError
from colorbatch.formats import decode, encode, mark
from colorbatch.pixels.picture import Picture

Levels = NDArray[Any]
ORIGIN = mark.Origin("a", "0" * 64, "small", "0" * 64, "0" * 64, "compositeWithTrainedAlgorithmicMedia")
PROFILE = bytes(range(256)) * 3
RDF = '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:o="http://o.example/" '
PACKET = f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{RDF} o:shelf="7/b"/></rdf:RDF></x:xmpmeta>'.encode()
SLOPE = np.add.outer(np.arange(40) * 2, np.arange(56)).astype(np.uint8)


def exif_block(**more: bytes) -> bytes:
    exif = Image.Exif()
    exif[0x010E], exif[0x010F], exif[0x0132] = "Grandmother, 1931", "Agfa", "1931:05:01 12:00:00"
    exif.get_ifd(0x8769)[0x927C] = more.get("maker_note", b"maker note \x00\xff")
    exif.get_ifd(0x8825)[1] = "N"
    return exif.tobytes().removeprefix(b"Exif\0\0")


def profile_segments(profile: bytes, count: int) -> list[bytes]:
    size = -(-len(profile) // count)
    parts = [profile[start : start + size] for start in range(0, len(profile), size)]
    return [segment(0xE2, b"ICC_PROFILE\0" + bytes([n, count]) + part) for n, part in enumerate(parts, start=1)]


def extended_xmp() -> tuple[bytes, list[bytes]]:
    """Return a packet and the segments of its extension (XMP specification, part 3, section 1.1.3.1)."""
    extension = f"{RDF} o:long='{'x' * 90}'/></rdf:RDF>".encode()
    standard = PACKET.replace(b"o:shelf", b"xmlns:n='http://ns.adobe.com/xmp/note/' n:HasExtendedXMP='%s' o:shelf")
    head = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + struct.pack(">I", len(extension))
    parts = [
        segment(0xE1, head + struct.pack(">I", start) + extension[start : start + 100])
        for start in range(0, len(extension), 100)
    ]
    return standard % (b"A" * 32), parts


def multi_picture() -> bytes:
    """Return the index of a file with two images (CIPA DC-007, section 5.2.3)."""
    return b"MPF\0MM\0*" + struct.pack(">IHHHII", 8, 1, 0xB001, 4, 1, 2) + bytes(4)


def jpeg() -> tuple[bytes, slice]:
    """Return a grey JPEG with all its metadata, and where that is."""
    plain = saved(Image.fromarray(SLOPE), "JPEG", quality=90, dpi=(300, 300))
    standard, extension = extended_xmp()
    segments = [
        segment(0xE1, b"Exif\0\0" + exif_block()),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + standard),
        *extension,
        segment(0xED, b"Photoshop 3.0\0" + RESOURCES),
        *profile_segments(PROFILE, 3),
        segment(0xE2, multi_picture()),
        segment(0xFE, b"a comment"),
    ]
    start = 20  # after SOI and JFIF
    return plain[:start] + b"".join(segments) + plain[start:], slice(start, start + sum(map(len, segments)))


def png_of_right_checksums(data: bytes) -> bytes:
    """Return a PNG with the checksum that each of its chunks should have."""
    position, changed = 8, bytearray(data)
    while position + 12 <= len(data):
        end = position + 8 + struct.unpack_from(">I", data, position)[0]
        if end + 4 <= len(data):
            struct.pack_into(">I", changed, end, zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return bytes(changed)


def png() -> tuple[bytes, slice]:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Agfa")
    info.add_text("Comment", "long " * 50, zip=True)
    info.add_itxt("Title", "Großmutter", "de", "Titel", zip=True)
    info.add_itxt("XML:com.adobe.xmp", PACKET.decode())
    info.add(b"tIME", b"\x07\x8b\x05\x01\x0c\0\0")
    data = saved(*(Image.fromarray(SLOPE), "PNG"), pnginfo=info, dpi=(300, 300), exif=exif_block(), icc_profile=PROFILE)
    more = chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"bKGD", b"\0\7")
    data = data[:33] + more + data[33:]
    return data, slice(33, data.index(b"IDAT") - 4)


def webp() -> tuple[bytes, slice]:
    image = Image.fromarray(np.dstack([SLOPE] * 3))
    data = saved(image, "WEBP", lossless=True, exif=exif_block(), xmp=PACKET, icc_profile=PROFILE)
    return data, slice(data.index(b"VP8L") + 8 + struct.unpack_from("<I", data, data.index(b"VP8L") + 4)[0], len(data))


def webp_profile() -> tuple[bytes, slice]:
    data, _ = webp()
    return data, slice(data.index(b"ICCP"), data.index(b"VP8L"))


def jp2() -> tuple[bytes, slice]:
    data = bytes(imagecodecs.jpeg2k_encode(SLOPE, level=0, reversible=True, codecformat="jp2"))
    contents = [b"JpgTiffExif->JP2" + exif_block(), bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + PACKET]
    boxes = b"".join(struct.pack(">I4s", 8 + len(each), b"uuid") + each for each in contents)
    resolution = struct.pack(">I4sI4s4H2b", 26, b"res ", 18, b"resc", 11811, 1, 11811, 1, 0, 0)
    start = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, start)
    header = struct.pack(">I", length + len(resolution)) + data[start + 4 : start + length] + resolution
    codestream = data.index(b"jp2c") - 4
    data = data[:start] + header + boxes + data[start + length :]
    assert data[start + len(header) + len(boxes) :][4:8] == b"jp2c", codestream
    return data, slice(start + length, start + len(header) + len(boxes))


@dataclass(frozen=True)
class Format:
    make: Callable[[], tuple[bytes, slice]]
    pixels_of: Callable[[bytes], Levels]
    mended: Callable[[bytes], bytes] = bytes
    """What makes the damaged block itself sound, so that only its content is not."""


FORMATS = {
    "JPEG": Format(jpeg, imagecodecs.jpeg8_decode),
    "PNG": Format(png, imagecodecs.png_decode),
    "PNG, right checksums": Format(png, imagecodecs.png_decode, png_of_right_checksums),
    "WebP": Format(webp, imagecodecs.webp_decode),
    "WebP profile": Format(webp_profile, imagecodecs.webp_decode),
    "JP2": Format(jp2, imagecodecs.jpeg2k_decode),
}


def damages(data: bytes, place: slice, count: int, seed: int) -> Iterator[bytes]:
    """Yield files of which some bytes were changed, lost or added in a place; some end there if it is the last."""
    random = np.random.default_rng(seed)
    for number in range(count):
        changed = bytearray(data)
        for _ in range(int(random.integers(1, 4))):
            start = min(int(random.integers(place.start, place.stop)), len(changed) - 1)
            match int(random.integers(4 if number % 3 else 2)):
                case 0:
                    changed[start] ^= int(random.integers(1, 256))
                case 1:
                    changed[start : start + 4] = random.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
                case 2:
                    del changed[start : start + int(random.integers(1, 20))]
                case _:
                    changed[start:start] = random.bytes(int(random.integers(1, 20)))
        yield bytes(changed[:start] if number % 10 == 0 and place.stop == len(data) else changed)


def recoded(picture: Picture, source: bytes) -> Image.Image:
    """Return the output of a picture, coloured and marked, as Pillow opens it."""

    def packet(before: bytes) -> bytes:
        try:
            return mark.marked(before, ORIGIN)
        except ValueError:
            return mark.marked(b"", ORIGIN)

    frames = tuple(
        replace(
            frame,
            chroma=np.full((2, 4, 4), 0.1, np.float32),
            metadata=replace(frame.metadata, xmp=packet(frame.metadata.xmp)),
        )
        for frame in picture.frames
    )
    output = Image.open(io.BytesIO(encode(replace(picture, frames=frames), source)))
    output.load()
    return output


def grey(pixels: Levels) -> Levels:
    return pixels if pixels.ndim == 2 else pixels[..., 0]


def check(name: str, count: int, seed: int) -> int:
    """Damage a file so many times; return how many of these the other decoder reads."""
    data, place = FORMATS[name].make()
    pixels_of = FORMATS[name].pixels_of
    expected, sound = grey(pixels_of(data)), 0
    np.testing.assert_array_equal(grey(decode(data).first.pixels), expected)
    for damaged in damages(data, place, count, seed):
        changed = FORMATS[name].mended(damaged)
        try:
            is_sound = np.array_equal(grey(pixels_of(changed)), expected)
        except Exception:  # noqa: BLE001 (each decoder has an error of its own)
            is_sound = False
        if is_sound:
            sound += 1
            picture = decode(changed)
            np.testing.assert_array_equal(grey(picture.first.pixels), expected)
            assert recoded(picture, changed).size == SLOPE.T.shape
    return sound


@pytest.mark.parametrize("name", FORMATS)
def test_thirty_damages(name: str) -> None:
    assert check(name, 30, seed=0) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_three_hundred_damages(name: str) -> None:
    assert check(name, 300, seed=1) >= 50


def with_chunks(*chunks: bytes) -> bytes:
    data = saved(Image.fromarray(SLOPE), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


BIG = np.random.default_rng(0).bytes(3_000_000)
GREY_LEVELS = " ".join(map(str, range(600_000))).encode()
UNFOLDING = zlib.compress(bytes(100 * 2**20), 1)


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([chunk(b"tEXt", b"Comment\0" + GREY_LEVELS)], ""),
        ([chunk(b"zTXt", b"Comment\0\0" + zlib.compress(GREY_LEVELS))], ""),
        ([chunk(b"iTXt", b"Comment\0\1\0de\0Wort\0" + zlib.compress(GREY_LEVELS))], ""),
        ([chunk(b"zTXt", b"Comment\0\0" + UNFOLDING)], "a text, 'Comment', was dropped: with it, there are more than"),
        ([chunk(b"tEXt", b"a\0" + bytes(2**24))] * 3, "a text, 'a', was dropped: with it, there are more than"),
        ([chunk(b"zTXt", b"Comment\0\7" + zlib.compress(b"x"))], "a damaged text, 'Comment', was dropped"),
        ([chunk(b"zTXt", b"Comment\0\0no stream")], "a damaged text, 'Comment', was dropped"),
        ([chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + UNFOLDING)], "XMP was dropped: it has more than"),
        ([chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no stream")], "damaged XMP was dropped"),
        ([chunk(b"iCCP", b"x\0\0" + zlib.compress(BIG))], "the ICC profile is damaged and was ignored"),
        ([chunk(b"iCCP", b"x\0\0" + UNFOLDING)], "the ICC profile is damaged and was ignored"),
        ([chunk(b"iCCP", b"x\0\0no stream")], "the ICC profile is damaged and was ignored"),
        ([chunk(b"iCCP", b"x")], "the ICC profile is damaged and was ignored"),
        ([chunk(b"cHRM", bytes(8))], "a damaged cHRM chunk was dropped: it is too short"),
        ([chunk(b"gAMA", b"\0")], "a damaged gAMA chunk was dropped: it is too short"),
        ([chunk(b"gAMA", bytes(4))], "gamma and chromaticities make no sense and were ignored"),
        ([chunk(b"gAMA", b"\xff" * 4)], "gamma and chromaticities make no sense and were ignored"),
        ([chunk(b"sRGB", b"")], "a damaged sRGB chunk was dropped: it is too short"),
        ([chunk(b"pHYs", bytes(4))], "a damaged pHYs chunk was dropped: it is too short"),
        ([chunk(b"eXIf", b"MM")], "damaged EXIF was dropped"),
        ([chunk(b"pHYs", bytes(9), checksum=7)], "a damaged pHYs chunk was dropped: its checksum is wrong"),
        ([chunk(b"bKGD", b"\0\7", checksum=7)], ""),
        ([chunk(b"tEXt", b"a\0b", checksum=7)], "a damaged tEXt chunk was dropped: its checksum is wrong"),
    ],
    ids=lambda value: None if isinstance(value, str) else value[0][4:20],
)
def test_a_png_with_odd_chunks_is_coloured(chunks: list[bytes], said: str) -> None:
    picture = decode(with_chunks(*chunks))
    np.testing.assert_array_equal(picture.first.pixels, SLOPE)
    assert {warning[: len(said)] for warning in picture.warnings} == ({said} if said else set())
    recoded(picture, b"")


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_long_compressed_text_is_kept_so_that_pillow_reads_it(kind: bytes) -> None:
    head = b"Comment\0\0" if kind == b"zTXt" else b"Comment\0\1\0de\0Wort\0"
    text = GREY_LEVELS[:2_000_000]
    picture = decode(with_chunks(chunk(kind, head + zlib.compress(text))))
    output = recoded(picture, b"")
    assert isinstance(output, PngImagePlugin.PngImageFile)
    assert output.text["Comment"].encode() == text


def test_transparency_belongs_to_the_pixels() -> None:
    sound = chunk(b"tRNS", b"\0\7")
    alpha = decode(with_chunks(sound)).first.alpha
    np.testing.assert_array_equal(alpha, np.where(SLOPE == 7, 0, 255))
    with pytest.raises(UnreadablePictureError):
        decode(with_chunks(chunk(b"tRNS", b"\0\7", checksum=7)))


def test_exif_in_two_segments_that_fits_into_one_is_kept_and_longer_one_is_a_warning() -> None:
    data = saved(Image.fromarray(SLOPE), "JPEG", quality=90)
    for size, said in ((20_000, []), (90_000, ["EXIF was dropped: it has 90,"])):
        block = exif_block(maker_note=bytes(size))
        parts = [
            block[start : start + 60_000 * size // 90_000] for start in range(0, len(block), 60_000 * size // 90_000)
        ]
        segments = b"".join(segment(0xE1, b"Exif\0\0" + part) for part in parts)
        picture = decode(data[:2] + segments + data[2:])
        assert [warning[:28] for warning in picture.warnings] == said
        output = recoded(picture, b"")
        assert output.getexif().get(0x010F) == (None if said else "Agfa")
        np.testing.assert_array_equal(picture.first.pixels, imagecodecs.jpeg8_decode(data))


def test_very_long_values_that_the_mark_replaces_still_fit_into_a_jpeg() -> None:
    long = f'<source xmlns="http://purl.org/dc/elements/1.1/"><![CDATA[{"&" * 40_000}]]></source></rdf:Description>'
    packet = PACKET.replace(b"/></rdf:RDF>", b">" + long.encode() + b"</rdf:RDF>")
    data = saved(Image.fromarray(SLOPE), "JPEG", xmp=packet)
    assert b"compositeWithTrainedAlgorithmicMedia" in recoded(decode(data), b"").info["xmp"]


@pytest.mark.parametrize(("dpi", "kept"), [(65_535, 65_535), (65_536, None), (600_000, None)])
def test_a_resolution_beyond_what_jfif_can_say_is_left_out(dpi: int, kept: int | None) -> None:
    exif = Image.Exif()
    exif[0x011A], exif[0x0128] = dpi, 2
    output = recoded(decode(saved(Image.fromarray(SLOPE), "JPEG", exif=exif)), b"")
    assert output.info["jfif_density"] == ((1, 1) if kept is None else (kept, kept))


def test_a_jpeg_profile_with_missing_parts_is_a_warning() -> None:
    data = saved(Image.fromarray(SLOPE), "JPEG", quality=90)
    segments = profile_segments(PROFILE, 3)
    for some in (segments[:2], segments[1:], [segment(0xE2, b"ICC_PROFILE\0")]):
        picture = decode(data[:2] + b"".join(some) + data[2:])
        assert picture.warnings == ("the ICC profile is damaged and was ignored: some parts are missing",)


@pytest.mark.parametrize(("kind", "decoder"), [("AVIF", imagecodecs.avif_decode), ("GIF", imagecodecs.gif_decode)])
def test_damage_beside_the_pixels_of_what_becomes_png(kind: str, decoder: Callable[[bytes], Levels]) -> None:
    if kind == "AVIF":
        image = Image.fromarray(np.dstack([SLOPE] * 3))
        data = saved(image, "AVIF", quality=100, exif=b"Exif\0\0" + exif_block(), xmp=PACKET)
        start = data.index(exif_block())
        cases = [data.replace(exif_block()[:8], bad) for bad in (bytes(8), b"MM\0*\xff\xff\xff\xff", b"II*\0MM\0*")]
        cases.append(data[: start + 8] + b"\xff" * 40 + data[start + 48 :])
    else:
        data = saved(Image.fromarray(SLOPE), "GIF", comment=b"a long comment")
        start = data.index(b"a long comment")
        cases = [data[:start] + bytes(14) + data[start + 14 :], data[:start] + b"\xff" * 14 + data[start + 14 :]]
    expected = decoder(data)
    for changed in cases:
        picture = decode(changed)
        np.testing.assert_array_equal(grey(picture.first.pixels), grey(expected))
        if kind == "AVIF":
            (warning,) = picture.warnings
            assert warning.startswith("damaged EXIF")
        recoded(picture, b"")
