"""Image resources, put together by hand (Adobe Photoshop File Formats, "Image resource blocks")."""

import io
import struct

import pytest
from PIL import Image
from saved_pictures import IIM, RESOURCES, coloured, saved, segment

from colorbatch.formats import decode
from colorbatch.formats.photoshop import without_thumbnails


def block(number: int, data: bytes, name: bytes = b"", signature: bytes = b"8BIM") -> bytes:
    text = bytes([len(name)]) + name
    return (
        signature
        + struct.pack(">H", number)
        + text
        + bytes(len(text) % 2)
        + struct.pack(">I", len(data))
        + data
        + bytes(len(data) % 2)
    )


OTHERS = (block(1005, b"resolution"), block(1028, IIM, b"IPTC"), block(4000, b"odd", b"even", b"MeSa"))
THUMBNAILS = (block(1033, b"JFIF of Photoshop 4"), block(1036, b"JFIF", b"thumb"))


def test_thumbnails_go_and_everything_else_stays() -> None:
    assert without_thumbnails(THUMBNAILS[0] + OTHERS[0] + THUMBNAILS[1] + OTHERS[1] + OTHERS[2]) == b"".join(OTHERS)
    for sound in (b"", RESOURCES, *OTHERS):
        assert without_thumbnails(sound) == sound
    assert without_thumbnails(OTHERS[0] + THUMBNAILS[0][:-1]) == OTHERS[0], "an odd block without its padding"


def test_the_preview_in_iptc_goes_and_its_other_data_sets_stay() -> None:
    preview = b"\x1c\x02\xca\x00\x03JFI"  # IPTC-IIM 4.2: record 2, data set 202 (object data preview)
    assert without_thumbnails(block(1028, IIM + preview) + OTHERS[0]) == block(1028, IIM) + OTHERS[0]
    assert without_thumbnails(block(1028, preview + IIM)) == block(1028, IIM)


@pytest.mark.parametrize("cut", range(1, len(THUMBNAILS[1])))
def test_what_is_damaged_stays_as_it_is(cut: int) -> None:
    resources = OTHERS[1] + THUMBNAILS[1][:cut]
    assert without_thumbnails(resources) == resources
    assert without_thumbnails(THUMBNAILS[0] + b"no block" + OTHERS[1]) == b"no block" + OTHERS[1]


def test_the_thumbnail_of_a_jpeg_is_left_out_with_a_warning() -> None:
    content = b"Photoshop 3.0\0" + OTHERS[1] + THUMBNAILS[1]
    data = saved(Image.new("L", (16, 16), 90), "JPEG", extra=segment(0xED, content))
    assert decode(data).warnings == ("a grey thumbnail of Photoshop was dropped",)
    output = Image.open(io.BytesIO(coloured(data)))
    assert output.info["photoshop"] == {1028: IIM}
