"""Mask pages and the infrared pages of scanners, read back by tifffile and Pillow: copied as they are."""

import io
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin
from saved_pictures import coloured

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats import decode, encode

Levels = NDArray[Any]
OFFSETS_AND_COUNTS = {273, 279, 324, 325}
SLOPE = np.add.outer(np.arange(32, dtype=np.uint16) * 900, np.arange(48, dtype=np.uint16) * 700)
GREY = (SLOPE >> 8).astype(np.uint8)
NOISE = np.random.default_rng(1).integers(0, 65536, SLOPE.shape, np.uint16)


def declared(data: bytes, types: list[int]) -> bytes:
    """Return a TIFF with these values of NewSubfileType: tifffile writes 4 for masks of 1 bit only."""
    changed = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for page, flags in zip(file.pages, types, strict=True):
            assert isinstance(page, tifffile.TiffPage)
            struct.pack_into(f"{file.byteorder}I", changed, page.tags[254].valueoffset, flags)
    return bytes(changed)


def pages(*pictures: tuple[Levels, int, dict[str, Any]], byteorder: Any = "<", bigtiff: bool = False) -> bytes:  # noqa: ANN401
    """Return a TIFF of pages, each with NewSubfileType and further arguments of tifffile."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=byteorder, bigtiff=bigtiff) as writer:
        for samples, _, how in pictures:
            writer.write(samples, subfiletype=2, metadata=None, **how)
    return declared(buffer.getvalue(), [flags for _, flags, _ in pictures])


def content_of(data: bytes, number: int) -> tuple[Levels, dict[int, Any]]:
    """Return the samples and the tags of a page, without offsets and byte counts."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[number]
        assert isinstance(page, tifffile.TiffPage)
        tags = {tag.code: (tag.dtype, tag.count, tag.value) for tag in page.tags if tag.code not in OFFSETS_AND_COUNTS}
        return page.asarray(), tags


def test_the_infrared_page_of_a_scanner_is_copied() -> None:
    """SilverFast writes the photograph, a small preview, and infrared of 16 bits (NewSubfileType 0, 1 and 4)."""
    rgb = np.dstack([SLOPE] * 3)
    data = pages(
        (rgb, 0, {"photometric": "rgb"}), (rgb[::4, ::4], 1, {"photometric": "rgb"}), (NOISE, 4, {"software": "Scan"})
    )
    picture = decode(data)
    assert (len(picture.frames), len(picture.masks), picture.warnings) == (2, 1, ())
    output = coloured(data)
    np.testing.assert_equal(content_of(output, 2), content_of(data, 2))
    np.testing.assert_array_equal(content_of(output, 2)[0], NOISE)
    with Image.open(io.BytesIO(output)) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        assert image.n_frames == 3
        image.seek(2)
        np.testing.assert_array_equal(np.asarray(image), NOISE)
    assert coloured(output) == output


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize(
    ("mask", "how"),
    [
        (NOISE > 30_000, {"photometric": "minisblack", "compression": "zlib"}),
        (NOISE > 30_000, {"photometric": "minisblack", "tile": (16, 16)}),
        (NOISE.astype(np.uint8), {"compression": "lzw", "rowsperstrip": 5}),
        (NOISE, {"tile": (16, 32), "compression": "zlib", "predictor": True}),
        (NOISE.astype(np.float32), {"rowsperstrip": 9}),
    ],
    ids=["1 bit", "1 bit in tiles", "8 bits", "16 bits in tiles", "floating point"],
)
def test_masks_are_copied_however_they_are_stored(byteorder: str, bigtiff: bool, mask: Levels, how: Any) -> None:  # noqa: ANN401, FBT001
    """GDAL writes masks of 1 bit, after the picture or before others."""
    half = SLOPE[:16]
    data = pages((SLOPE, 0, {}), (mask, 4, how), (half, 2, {}), (mask, 5, how), byteorder=byteorder, bigtiff=bigtiff)
    output = coloured(data)
    for number in (1, 3):
        np.testing.assert_equal(content_of(output, number), content_of(data, number))
    for number, grey in ((0, SLOPE), (2, half)):
        np.testing.assert_array_equal(content_of(output, number)[0], np.dstack([grey] * 3))
    assert decode(output).masks == decode(data).masks


def test_a_mask_before_the_photograph_stays_before_it() -> None:
    data = pages((NOISE, 4, {}), (GREY, 0, {}))
    output = coloured(data)
    np.testing.assert_equal(content_of(output, 0), content_of(data, 0))
    np.testing.assert_array_equal(content_of(output, 1)[0], np.dstack([GREY] * 3))


def test_omitted_strips_of_a_mask_stay_omitted() -> None:
    picture = decode(pages((GREY, 0, {}), (NOISE, 4, {"rowsperstrip": 16})))
    (mask,) = picture.masks
    sparse = replace(mask, segments=(b"", mask.segments[1]))
    output = encode(replace(picture, masks=(sparse,)))
    samples, _ = content_of(output, 1)
    assert not samples[:16].any()
    np.testing.assert_array_equal(samples[16:], NOISE[16:])
    assert decode(output).masks == (sparse,)


@pytest.mark.parametrize("orientation", [1, 6])
def test_an_infrared_page_that_is_declared_as_reduced_is_copied_if_it_is_no_smaller(orientation: int) -> None:
    turned = {"extratags": [(274, 3, 1, orientation, True)]}
    data = pages((GREY, 0, turned), (NOISE, 1, turned), (GREY[::2, ::2], 1, turned))
    picture = decode(data)
    assert [frame.width * frame.height for frame in picture.frames] == [48 * 32, 24 * 16]
    output = coloured(data)
    np.testing.assert_equal(content_of(output, 1), content_of(data, 1))
    assert decode(output).masks == picture.masks


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_mask_without_an_orientation_gets_that_of_the_photograph_which_is_turned(byteorder: str) -> None:
    """So both still lie alike where a reader turns pages by their tags."""
    turned = {"extratags": [(274, 3, 1, 6, True)]}
    data = pages((SLOPE, 0, turned), (NOISE, 4, {}), byteorder=byteorder)
    output = coloured(data)
    (photograph, before), (mask, after) = (content_of(output, number) for number in (0, 1))
    assert photograph.shape == (48, 32, 3)
    assert 274 not in before
    assert after.pop(274)[2] == tifffile.ORIENTATION.RIGHTTOP
    np.testing.assert_equal((mask, after), content_of(data, 1))
    assert decode(output).masks == decode(data).masks


def test_a_page_with_the_photometric_interpretation_of_a_mask_is_copied() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(GREY, subfiletype=2, metadata=None)
        writer.write(NOISE > 9, photometric="minisblack", subfiletype=4, metadata=None)
    data = declared(buffer.getvalue(), [0, 0])
    assert content_of(data, 1)[1][262][2] == tifffile.PHOTOMETRIC.MASK
    assert len(decode(data).masks) == 1
    np.testing.assert_equal(content_of(coloured(data), 1), content_of(data, 1))


def test_a_mask_that_is_cut_off_is_missed() -> None:
    data = bytearray(pages((GREY, 0, {}), (NOISE, 4, {})))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        struct.pack_into("<I", data, file.pages[1].tags[273].valueoffset, 10**6)
    with pytest.raises(UnreadablePictureError, match="strips or tiles of a mask are outside the file"):
        decode(bytes(data))
    picture = decode(bytes(data), salvage=True)
    assert (len(picture.frames), picture.masks) == (1, ())
    assert picture.warnings[1].startswith("page 2, a mask, was dropped: ")


@pytest.mark.parametrize("tag", [513, 279])
def test_a_mask_that_cannot_be_copied_is_left_out_with_a_warning(tag: int) -> None:
    """Parts of an old-style JPEG are outside its strips (TIFF 6.0, section 22); some writers give no byte counts."""
    data = bytearray(pages((GREY, 0, {}), (NOISE, 4, {"extratags": [(300, 4, 1, 8, True)]})))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        place = file.pages[1].tags[300 if tag == 513 else tag].offset
    struct.pack_into("<H", data, place, tag if tag == 513 else 300)
    picture = decode(bytes(data))
    assert picture.warnings == ("page 2, a mask, was dropped: its strips or tiles cannot be copied",)
    assert len(tifffile.TiffFile(io.BytesIO(encode(picture))).pages) == 1


def test_a_picture_of_masks_only_is_refused() -> None:
    with pytest.raises(UnsupportedPictureError, match="all its pages are masks, none is a photograph"):
        decode(pages((NOISE, 4, {}), (GREY, 4, {})))


def test_masks_count_towards_the_size_of_a_bigtiff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colorbatch.formats.tiff._MAX_CLASSIC_BYTES", 4000)
    data = pages((GREY, 0, {}), (NOISE, 4, {}))
    output = encode(decode(data))
    assert output[:4] == b"II+\0"
    np.testing.assert_equal(content_of(output, 1), content_of(data, 1))
    assert encode(replace(decode(data), masks=()))[:4] == b"II*\0"


def test_a_mask_that_claims_more_pixels_than_it_has_is_missed() -> None:
    """A reader of the output would take gigabytes for it."""
    data = bytearray(pages((GREY, 0, {}), (NOISE, 4, {})))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages[1].tags[256]
    struct.pack_into("<HI", data, tag.offset + 2, 4, 1)  # of 32 bits
    struct.pack_into("<I", data, tag.offset + 8, 3_000_000_000)
    picture = decode(bytes(data))
    assert (len(picture.frames), picture.masks) == (1, ())
    assert picture.warnings[0].startswith("page 2, a mask, was dropped: it has 3000000000 x ")
