"""Metadata in texts of a PNG, in hexadecimal digits as ImageMagick writes it, read back by Pillow."""

import io
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from saved_pictures import IIM, RESOURCES, TURNED, chunk, coloured, saved

from colorbatch.formats import decode

Levels = NDArray[np.uint8]
TITLE = b"Grandmother"


def exif_block(orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = TITLE.decode(), orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")


def raw(name: str, block: bytes, kind: bytes = b"zTXt") -> bytes:
    digits = block.hex()
    lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    text = f"\n{name}\n{len(block):8}\n{lines}\n".encode()
    keyword = b"Raw profile type " + name.encode() + b"\0"
    match kind:
        case b"zTXt":
            return chunk(kind, keyword + b"\0" + zlib.compress(text))
        case b"iTXt":
            return chunk(kind, keyword + b"\0\0\0\0" + text)
        case _:
            return chunk(kind, keyword + text)


def with_chunks(ramp: Levels, *chunks: bytes) -> bytes:
    data = saved(Image.fromarray(ramp), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def opened(data: bytes) -> PngImagePlugin.PngImageFile:
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, PngImagePlugin.PngImageFile)
    image.load()
    return image


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize(("name", "start"), [("exif", b"Exif\0\0"), ("exif", b""), ("APP1", b"Exif\0\0")])
def test_exif_in_a_text_turns_the_picture_and_becomes_exif(ramp: Levels, kind: bytes, name: str, start: bytes) -> None:
    data = with_chunks(ramp, raw(name, start + exif_block(), kind))
    picture = decode(data)
    np.testing.assert_array_equal(picture.first.pixels, np.rot90(ramp, -1))
    output = opened(coloured(data))
    assert output.getexif()[0x010E] == TITLE.decode()
    assert output.getexif()[0x0112] == 1
    assert output.text == {}
    assert picture.warnings == ()


def test_the_exif_chunk_goes_before_a_text(ramp: Levels) -> None:
    same = with_chunks(ramp, chunk(b"eXIf", exif_block()), raw("exif", b"Exif\0\0" + exif_block()))
    assert decode(same).warnings == ()
    other = with_chunks(ramp, raw("exif", exif_block(8)), chunk(b"eXIf", exif_block(1)))
    np.testing.assert_array_equal(decode(other).first.pixels, ramp)
    assert decode(other).warnings == ("a second EXIF block was dropped",)
    assert opened(coloured(other)).text == {}


@pytest.mark.parametrize(("name", "start"), [("xmp", b""), ("APP1", b"http://ns.adobe.com/xap/1.0/\0")])
def test_xmp_in_a_text_becomes_xmp(ramp: Levels, name: str, start: bytes) -> None:
    picture = decode(with_chunks(ramp, raw(name, start + TURNED)))
    np.testing.assert_array_equal(picture.first.pixels, np.rot90(ramp, -1))
    assert b"rdf:RDF" in picture.first.metadata.xmp
    assert picture.first.metadata.png_chunks == ()


@pytest.mark.parametrize("name", ["8bim", "iptc"])
def test_image_resources_in_a_text_lose_their_thumbnail_alone(ramp: Levels, name: str) -> None:
    kept = raw(name, RESOURCES)
    assert kept in coloured(with_chunks(ramp, kept))
    thumbnail = b"8BIM\x04\x0c\0\0" + (4).to_bytes(4, "big") + b"grey"
    data = with_chunks(ramp, raw(name, thumbnail + RESOURCES))
    assert decode(data).warnings == ("a grey thumbnail of Photoshop was dropped",)
    text = opened(coloured(data)).text[f"Raw profile type {name}"]
    _, found, length, digits = text.split("\n", 3)
    assert (found, int(length)) == (name, len(RESOURCES))
    assert bytes.fromhex(digits) == RESOURCES
    assert IIM in bytes.fromhex(digits)


@pytest.mark.parametrize("text", [b"", b"no digits", b"\nexif\n 9\nzz", b"\nexif\n", b"\nexif\n 4\nabc"])
def test_what_only_looks_like_metadata_stays_as_it_is(ramp: Levels, text: bytes) -> None:
    kept = chunk(b"tEXt", b"Raw profile type exif\0" + text)
    data = with_chunks(ramp, kept)
    np.testing.assert_array_equal(decode(data).first.pixels, ramp)
    assert kept in coloured(data)


def test_texts_and_times_keep_their_order(ramp: Levels) -> None:
    kept = chunk(b"tIME", b"\x07\x8b\x05\x01\x0c\0\0") + chunk(b"tEXt", b"Author\0Agfa") + chunk(b"zTXt", b"a\0\0x\x9c")
    assert kept in coloured(with_chunks(ramp, kept))
