"""Copies of the picture within a TIFF, which would stay grey beside the coloured one."""

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from saved_pictures import IIM, RESOURCES, coloured, saved

from colorbatch.formats import decode
from colorbatch.formats.iptc import without_preview

GREY = np.add.outer(np.arange(40, dtype=np.uint8) * 2, np.arange(60, dtype=np.uint8))
LAYERS = b"Adobe Photoshop Document Data Block\0" + b"8BIMLayr" + struct.pack(">I", 900) + bytes(900)
THUMBNAIL = b"8BIM\x04\x0c\0\0" + struct.pack(">I", 40) + bytes(40)  # image resource 1036
PREVIEW = b"\x1c\x02\xc8\0\2\0\1" + b"\x1c\x02\xc9\0\2\0\1" + b"\x1c\x02\xca\x80\4\0\0\x9c\x40" + bytes(40_000)
"""Data sets 2:200 to 2:202 of IPTC-IIM 4.2, the last with an extended size."""


def tiff(*extra: tuple[int, int, bytes], **how: Any) -> bytes:  # noqa: ANN401
    """Return a grey TIFF with further tags: code, type and bytes."""
    buffer = io.BytesIO()
    tags = [(code, kind, len(value), value, True) for code, kind, value in extra]
    tifffile.imwrite(buffer, GREY, metadata=None, extratags=tags, **how)
    return buffer.getvalue()


def tags_of(data: bytes) -> dict[int, Any]:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        return {tag.code: tag.value for tag in page.tags}


@pytest.mark.parametrize(
    ("tag", "warning"),
    [
        ((37724, 7, LAYERS), "the layers of Photoshop were dropped"),
        ((20507, 1, b"\xff\xd8\xff\xd9"), "a thumbnail was dropped"),
        ((34377, 1, THUMBNAIL), "a grey thumbnail of Photoshop was dropped"),
        ((33723, 1, PREVIEW), "a preview in IPTC was dropped"),
    ],
    ids=["layers", "GDI+", "image resources", "IPTC"],
)
def test_a_copy_of_the_picture_is_left_out_with_a_warning(tag: tuple[int, int, bytes], warning: str) -> None:
    data = tiff((270, 2, b"Grandmother, 1931"), tag, (700, 1, b"<a/>"))
    assert decode(data).warnings == (warning,)
    tags = tags_of(coloured(data))
    assert tag[0] not in tags
    assert (tags[270], tags[700]) == ("Grandmother, 1931", b"<a/>")


def test_what_is_beside_the_copy_in_a_tag_is_kept() -> None:
    data = tiff((34377, 1, THUMBNAIL + RESOURCES + THUMBNAIL), (33723, 1, IIM + PREVIEW + IIM))
    tags = tags_of(coloured(data))
    assert tags[34377] == RESOURCES
    assert tags[33723] == IIM + IIM
    in_words = tiff((33723, 4, IIM + PREVIEW + bytes(-len(IIM + PREVIEW) % 4)))  # as Photoshop once wrote it
    assert bytes(tags_of(coloured(in_words))[33723]).rstrip(b"\0") == IIM


def test_tags_without_a_copy_are_kept_byte_for_byte() -> None:
    data = tiff((34377, 1, RESOURCES), (33723, 1, IIM + b"\0\0"))
    assert decode(data).warnings == ()
    assert tags_of(coloured(data))[34377] == RESOURCES
    assert tags_of(coloured(data))[33723] == IIM + b"\0\0"


@pytest.mark.parametrize("cut", [1, 4, 6, 13, 20, 25, 1000])
def test_of_damaged_iptc_everything_is_kept_from_where_it_is_damaged(cut: int) -> None:
    preview = PREVIEW[14:]  # without its format and version
    assert without_preview(IIM + preview[:cut]) == IIM + preview[:cut]
    assert without_preview(b"no IPTC" + preview) == b"no IPTC" + preview
    assert without_preview(preview + b"rest") == b"rest"


def test_an_exif_thumbnail_behind_the_page_is_left_out() -> None:
    """A second directory with nothing but a JPEG (EXIF 2.32, section 4.5.4)."""
    thumbnail = saved(Image.fromarray(GREY[::4, ::4]), "JPEG")
    data = bytearray(tiff())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        link = page.offset + 2 + 12 * len(page.tags)
    data += bytes(len(data) % 2)
    struct.pack_into("<I", data, link, len(data))
    entries = ((259, 3, 1, 6), (513, 4, 1, len(data) + 2 + 3 * 12 + 4), (514, 4, 1, len(thumbnail)))
    data += struct.pack("<H", 3) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4) + thumbnail
    picture = decode(bytes(data))
    assert (len(picture.frames), picture.warnings) == (1, ("a thumbnail was dropped",))


def test_a_jpeg_beside_uncompressed_pixels_is_left_out() -> None:
    data = tiff((270, 2, b"x"), (513, 4, struct.pack("<I", 8)), (514, 4, struct.pack("<I", 100)))
    assert decode(data).warnings == ("a thumbnail was dropped",)
    assert not {513, 514} & tags_of(coloured(data)).keys()
