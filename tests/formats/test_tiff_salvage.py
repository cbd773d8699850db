"""What can be read of a TIFF that is cut short or damaged."""

import io

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colorbatch.errors import UnreadablePictureError
from colorbatch.formats import decode

HEIGHT, WIDTH, ROWS = 64, 80, 16
GREY = np.random.default_rng(0).integers(1, 65536, (HEIGHT, WIDTH)).astype(np.uint16)


def written(pixels: NDArray[np.uint16] | NDArray[np.uint8] = GREY, rows: int = ROWS, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, rowsperstrip=rows, metadata=None, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def place_of(data: bytes, strip: int) -> tuple[int, int]:
    """Return offset and number of bytes of a strip."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return file.pages[0].dataoffsets[strip], file.pages[0].databytecounts[strip]


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_strips_before_the_cut_are_kept(compression: str | None, channels: int, bits: int) -> None:
    grey = GREY if bits == 16 else np.maximum(GREY >> 8, 1).astype(np.uint8)
    pixels = grey if channels == 1 else np.dstack([grey] * 3)
    data = written(pixels, compression=compression, photometric="minisblack" if channels == 1 else "rgb")
    offset, count = place_of(data, 2)
    cut = data[: offset + count // 2]
    with pytest.raises(UnreadablePictureError, match="damaged or truncated") as refused:
        decode(cut)
    assert "--salvage colours the readable part" in (refused.value.advice or "")
    picture = decode(cut, salvage=True)
    assert picture.warnings[0].startswith("salvaged, parts of it are missing")
    found = picture.first.pixels
    assert np.array_equal(found[: 2 * ROWS], pixels[: 2 * ROWS])
    assert not found[3 * ROWS :].any()
    assert found[2 * ROWS : 2 * ROWS + ROWS // 2].any() == (compression is None), "half a strip counts if it is plain"


def test_a_single_strip_that_is_plain_is_kept_to_the_cut() -> None:
    data = written(rows=HEIGHT)
    offset, count = place_of(data, 0)
    found = decode(data[: offset + count * 3 // 4], salvage=True).first.pixels
    assert np.array_equal(found[: HEIGHT * 3 // 4], GREY[: HEIGHT * 3 // 4])
    assert not found[HEIGHT * 3 // 4 :].any()


def test_a_damaged_strip_in_the_middle_is_the_only_one_that_is_missing() -> None:
    data = bytearray(written(compression="zlib"))
    offset, count = place_of(bytes(data), 1)
    data[offset : offset + count] = bytes(count)
    found = decode(bytes(data), salvage=True).first.pixels
    expected = GREY.copy()
    expected[ROWS : 2 * ROWS] = 0
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiles_are_kept_one_by_one(byteorder: str) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, GREY, tile=(32, 32), compression="zlib", metadata=None, byteorder=byteorder)  # type: ignore[arg-type]
    data = bytearray(buffer.getvalue())
    offset, count = place_of(bytes(data), 2)  # the last one of the upper row, of which 16 columns are in the picture
    data[offset : offset + count] = bytes(count)
    expected = GREY.copy()
    expected[:32, 64:] = 0
    assert np.array_equal(decode(bytes(data), salvage=True).first.pixels, expected)


def test_where_nothing_can_be_read_the_advice_is_not_what_was_done() -> None:
    data = written(rows=HEIGHT, compression="zlib")
    offset, count = place_of(data, 0)
    with pytest.raises(UnreadablePictureError, match="none of its strips or tiles can be decoded") as refused:
        decode(data[: offset + count // 2], salvage=True)
    assert refused.value.advice == "No part of it can be read. Restore the file from a backup or scan it again."


def test_other_kinds_do_not_advise_either_what_was_done() -> None:
    with pytest.raises(UnreadablePictureError) as refused:
        decode(b"\x89PNG\r\n\x1a\nbroken", salvage=True)
    assert "--salvage" not in (refused.value.advice or "")
