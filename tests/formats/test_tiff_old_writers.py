"""TIFFs of old writers, made byte by byte: what TIFF 6.0 demands is missing, or understood otherwise."""

import io
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from gauntlet.kinds import tiff
from PIL import Image
from saved_pictures import saved

from colorbatch.errors import UnreadablePictureError
from colorbatch.formats import decode
from colorbatch.operations.second_reader import luma_of_file

GREY = np.add.outer(np.arange(48, dtype=np.uint8) * 3, np.arange(64, dtype=np.uint8))
START = 8
"""Offset of the pixels."""
Tags = Mapping[int, int | Sequence[int] | None]


def page(coded: bytes, tags: Tags, order: str = "<") -> bytes:
    """Return a TIFF with one page: what is coded, from ``START`` on, and a directory of SHORT and LONG tags."""
    usual: Tags = {256: 64, 257: 48, 258: 8, 259: 1, 262: 1, 273: START, 277: 1, 278: 48, 279: len(coded)}
    kept = {
        code: [value] if isinstance(value, int) else value
        for code, value in {**usual, **tags}.items()
        if value is not None
    }
    values = START + len(coded)
    directory = values + sum(2 * len(value) for value in kept.values() if len(value) > 2)
    entries, beyond = b"", b""
    for code, numbers in sorted(kept.items()):
        kind, letter = (3, "H") if max(numbers) < 2**16 and code not in (273, 324, 513) else (4, "I")
        packed = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(packed) > 4:
            beyond += packed
            packed = struct.pack(f"{order}I", values + len(beyond) - len(packed))
        entries += struct.pack(f"{order}HHI", code, kind, len(numbers)) + packed.ljust(4, b"\0")
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, directory)
    return start + coded + beyond + struct.pack(f"{order}H", len(kept)) + entries + b"\0" * 4


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_palette_of_8_bits_is_no_black_picture(order: str) -> None:
    """It should have 16 bits (TIFF 6.0, section 5); libtiff takes one without levels above 255 for one of 8."""
    red, green, blue = range(256), range(255, -1, -1), [7] * 256
    narrow = page(GREY.tobytes(), {262: 3, 320: [*red, *green, *blue]}, order)
    wide = page(GREY.tobytes(), {262: 3, 320: [257 * level for level in [*red, *green, *blue]]}, order)
    expected = np.dstack([GREY, 255 - GREY, np.full_like(GREY, 7)])
    for data in (narrow, wide):
        np.testing.assert_array_equal(decode(data).first.pixels, expected)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_page_that_does_not_state_its_black_is_no_negative(order: str, bits: int) -> None:
    """libtiff takes 0 for black then (TIFFRGBAImageBegin)."""
    coded = GREY if bits == 8 else (GREY.astype(np.uint16) * 257).astype(f"{order}u2")
    data = page(coded.tobytes(), {258: bits, 262: None}, order)
    picture = decode(data)
    np.testing.assert_array_equal(picture.first.pixels, coded)
    assert picture.warnings == ("it does not state whether 0 is black: it was taken for black",)
    assert luma_of_file(data) is None


@pytest.mark.parametrize("compression", ["raw", "group4"])
def test_a_document_that_does_not_state_its_black_is_black_on_white(compression: str) -> None:
    image = Image.fromarray(GREY > 99)
    source = Image.open(io.BytesIO(saved(image, "TIFF", compression=compression)))
    tags = source.tag_v2  # type: ignore[attr-defined] # untyped
    coded = source.fp.getvalue()[tags[273][0] :][: tags[279][0]]  # type: ignore[union-attr] # untyped
    data = page(coded, {258: 1, 259: tags[259], 262: None})
    picture = decode(data)
    stated = np.asarray(Image.open(io.BytesIO(page(coded, {258: 1, 259: tags[259], 262: 0}))).convert("L"))
    np.testing.assert_array_equal(picture.first.pixels, stated)
    assert picture.warnings == ("it does not state whether 0 is black: it was taken for white",)


def grey_jpeg() -> bytes:
    return saved(Image.fromarray(GREY), "JPEG", quality=90)


@pytest.mark.parametrize("photometric", [0, 1])
def test_grey_old_style_jpeg_of_copiers_is_read(photometric: int) -> None:
    """A whole stream, to which tag 513 points as well as the strip (TIFF 6.0, section 22)."""
    stream = grey_jpeg()
    tags: Tags = {259: 6, 262: photometric, 512: 1, 513: START, 514: len(stream), 515: 0, 530: [2, 2]}
    picture = decode(page(stream, tags))
    expected = np.asarray(Image.open(io.BytesIO(stream)))
    np.testing.assert_array_equal(picture.first.pixels, expected if photometric else 255 - expected)
    assert picture.warnings == ()


def test_grey_old_style_jpeg_with_the_coded_data_in_its_strip_is_read() -> None:
    stream = grey_jpeg()
    scan = stream.index(b"\xff\xda") + 2
    scan += int.from_bytes(stream[scan : scan + 2], "big")
    apart = stream[:scan] + b"\0" * 10 + stream[scan:]
    tags: Tags = {259: 6, 513: START, 514: scan, 273: START + scan + 10, 279: len(stream) - scan}
    np.testing.assert_array_equal(decode(page(apart, tags)).first.pixels, np.asarray(Image.open(io.BytesIO(stream))))


@pytest.mark.parametrize(
    "tags", [{513: None}, {513: START, 514: 300}, {513: 10**6, 514: 9}, {513: START, 257: 47}, {513: START, 256: 99}]
)
def test_a_damaged_old_style_jpeg_is_refused(tags: Tags) -> None:
    with pytest.raises(UnreadablePictureError):
        decode(page(grey_jpeg(), {259: 6, 279: 300, **tags}))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("parts", ["strip", "tile"])
def test_old_style_jpeg_that_states_the_new_one_is_read(channels: int, parts: str) -> None:
    """Capture programs of Kodak write compression 7, a whole stream at tag 513, and strips or tiles within it."""
    image = Image.fromarray(GREY if channels == 1 else np.dstack([GREY] * 3))
    stream = saved(image, "JPEG", quality=90, subsampling=2)
    scan = stream.index(b"\xff\xda") + 2
    scan += int.from_bytes(stream[scan : scan + 2], "big")
    kind: Tags = {258: [8] * channels, 259: 7, 262: 1 if channels == 1 else 6, 277: channels, 530: [2, 2]}
    where: Tags = {273: START + scan, 279: len(stream) - scan, 513: START, 514: len(stream)}
    if parts == "tile":
        where = {322: 64, 323: 48, 324: START + scan, 325: len(stream) - scan, 513: START, 514: len(stream)}
        where = {273: None, 278: None, 279: None, **where}
    picture = decode(page(stream, {**kind, **where}))
    np.testing.assert_allclose(picture.first.pixels, np.asarray(Image.open(io.BytesIO(stream))), atol=3)
    assert picture.warnings == ()


def test_a_thumbnail_beside_jpeg_compression_is_one() -> None:
    stream, thumbnail = grey_jpeg(), saved(Image.fromarray(GREY[:9, :9]), "JPEG")
    tags: Tags = {259: 7, 279: len(stream), 513: START + len(stream), 514: len(thumbnail)}
    picture = decode(page(stream + thumbnail, tags))
    np.testing.assert_array_equal(picture.first.pixels, np.asarray(Image.open(io.BytesIO(stream))))
    assert picture.warnings == ("a thumbnail was dropped",)


def test_what_writers_state_is_taken_for_true() -> None:
    assert decode(tiff(GREY, photometric="miniswhite")).warnings == ()
    np.testing.assert_array_equal(decode(tiff(GREY, photometric="miniswhite")).first.pixels, 255 - GREY)
