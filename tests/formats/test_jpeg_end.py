"""JPEGs without the marker of their end, or with their height behind the scan, compared with libjpeg-turbo."""

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from saved_pictures import coloured, saved

from colorbatch.errors import UnreadablePictureError
from colorbatch.formats import decode, decoded_bytes

Levels = NDArray[np.uint8]
WARNING = "the marker of its end is missing, but all its pixels are there"
CODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "grey": ("L", {"quality": 90}),
    "coarse": ("L", {"quality": 30}),
    "finest": ("L", {"quality": 100}),
    "colour": ("RGB", {"quality": 75}),
    "progressive": ("L", {"quality": 85, "progressive": True}),
    "progressive colour": ("RGB", {"quality": 85, "progressive": True}),
    "restarts": ("L", {"quality": 85, "restart_marker_rows": 1}),
    "cmyk": ("CMYK", {"quality": 85}),
    "optimized": ("L", {"quality": 85, "optimize": True}),
}


def grain(mode: str, seed: int = 0) -> Image.Image:
    random = np.random.default_rng(seed)
    slope = np.add.outer(np.linspace(0, 120, 50), np.linspace(0, 100, 70)) + random.normal(0, 12, (50, 70))
    return Image.fromarray(np.clip(slope, 0, 255).astype(np.uint8)).convert(mode)


def pixels_of(data: bytes) -> Levels:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("lost", [1, 2])
def test_a_file_that_lacks_its_end_marker_alone_is_coloured(coding: str, lost: int) -> None:
    mode, arguments = CODINGS[coding]
    data = saved(grain(mode), "JPEG", **arguments)
    picture, whole = decode(data[:-lost]), decode(data)
    assert picture.warnings == (WARNING,)
    np.testing.assert_array_equal(picture.first.pixels, whole.first.pixels)
    if mode != "CMYK":
        np.testing.assert_array_equal(picture.first.pixels, imagecodecs.jpeg8_decode(data))
    assert Image.open(io.BytesIO(coloured(data[:-lost]))).size == (70, 50)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_file_that_lacks_pixels_is_refused(coding: str) -> None:
    mode, arguments = CODINGS[coding]
    refused = 0
    for seed in (10, 13, 22):
        data = saved(grain(mode, seed), "JPEG", **arguments)
        expected = decode(data).first.pixels
        for lost in (*range(3, 30), 50, 100, 200, len(data) // 3, len(data) // 2):
            try:
                picture = decode(data[:-lost])
            except UnreadablePictureError:
                refused += 1
            else:  # the last bits may be mere filling, or not change a pixel
                np.testing.assert_array_equal(picture.first.pixels, expected)
    assert refused >= 3 * 30


def test_a_progressive_file_without_its_last_scans_is_refused() -> None:
    data = saved(grain("L"), "JPEG", progressive=True)
    scans = [place for place in range(len(data)) if data[place : place + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for scan in scans[1:]:
        for end in (scan, data.rindex(b"\xff\xc4", 0, scan)):
            with pytest.raises(UnreadablePictureError, match="truncated"):
                decode(data[:end])


def test_bytes_that_are_no_jpeg_are_said_to_be_none() -> None:
    for rest in (b"", b"\xe0", np.random.default_rng(0).bytes(5_000)):
        with pytest.raises(UnreadablePictureError, match="not a readable JPEG picture"):
            decode(b"\xff\xd8\xff" + rest)


def without_height(data: bytes) -> bytes:
    """Return a JPEG whose height follows its first scan (ITU-T T.81, section B.2.5)."""
    frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    height = data[frame : frame + 2]
    scan = data.index(b"\xff\xda")
    end = next(
        place
        for place in range(scan + 2, len(data))
        if data[place] == 0xFF and data[place + 1] not in (0, *range(0xD0, 0xD8))
    )
    return data[:frame] + b"\0\0" + data[frame + 2 : end] + b"\xff\xdc\0\4" + height + data[end:]


@pytest.mark.parametrize("coding", CODINGS)
def test_a_height_behind_the_first_scan_is_found(coding: str) -> None:
    mode, arguments = CODINGS[coding]
    whole = saved(grain(mode), "JPEG", **arguments)
    data = without_height(whole)
    with pytest.raises(OSError, match="cannot identify"):
        pixels_of(data)
    np.testing.assert_array_equal(decode(data).first.pixels, decode(whole).first.pixels)
    assert decode(data).warnings == ()
    assert decoded_bytes(data) == 3 * 70 * 50
    assert Image.open(io.BytesIO(coloured(data))).size == (70, 50)
    with pytest.raises(UnreadablePictureError):
        decode(data.replace(b"\xff\xdc\0\4" + struct.pack(">H", 50), b""))


@pytest.mark.parametrize("coding", ["grey", "colour", "cmyk", "optimized"])
def test_a_file_with_a_lost_sector_is_refused_but_salvaged(coding: str) -> None:
    """libjpeg only warns (Corrupt JPEG data: premature end of data segment), which Pillow does not pass on."""
    mode, arguments = CODINGS[coding]
    random = np.random.default_rng(0)
    noise = random.integers(60, 190, (200, 300), dtype=np.uint8)
    data = bytearray(saved(Image.fromarray(noise).convert(mode), "JPEG", **arguments))
    data[4096:8192] = bytes(4096)
    broken = bytes(data)
    assert pixels_of(broken).shape[:2] == (200, 300)
    with pytest.raises(UnreadablePictureError, match="zero bytes stand in place of a part of its coded data"):
        decode(broken)
    picture = decode(broken, salvage=True)
    assert picture.first.pixels.shape[:2] == (200, 300)
    assert picture.warnings[0].startswith("salvaged, parts of it are missing")


@pytest.mark.parametrize("coding", CODINGS)
def test_blank_areas_are_no_lost_sectors(coding: str) -> None:
    mode, arguments = CODINGS[coding]
    blank = Image.new(mode, (2000, 1000), 128 if mode == "L" else (128,) * len(mode))
    data = saved(blank, "JPEG", **arguments)
    assert decode(data).warnings == ()
    if coding == "optimized":
        assert bytes(64) in data  # the shortest code of all is of zeros
    blank.paste(grain(mode), (0, 0))
    assert decode(saved(blank, "JPEG", **arguments)).warnings == ()
    blank.paste(grain(mode), (1930, 950))
    assert decode(saved(blank, "JPEG", **arguments)).warnings == ()
    for level in (0, 255):  # which further codes do not change, where they are clipped
        light = Image.new("L", (800, 700), level)
        light.paste(grain("L").resize((200, 160)), (500, 400))
        assert decode(saved(light, "JPEG", quality=95, optimize=True)).warnings == ()
    padded = data[:2] + b"\xff\xfe\x10\x02" + bytes(4096) + data[2:] + bytes(4096)
    assert decode(padded).warnings == ()
