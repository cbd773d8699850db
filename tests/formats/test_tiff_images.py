"""Strips and tiles that are images of their own: as tifffile has them, but for those of another size than the page."""

import io
from typing import Any
from unittest.mock import patch

import imagecodecs
import numpy as np
import pytest
import tifffile
from gauntlet import kinds
from PIL import Image, TiffImagePlugin

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats import decode, decoded_bytes, decoders, tiff_images

GREY = (np.add.outer(np.arange(45), np.arange(70)) * 2).astype(np.uint8)
COLOUR = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
DEEP = GREY.astype(np.uint16) * 200


@pytest.mark.parametrize(
    ("samples", "arguments"),
    [
        (GREY, {"compression": "lerc"}),
        (GREY, {"compression": "lerc", "tile": (16, 32)}),
        (COLOUR, {"compression": "lerc", "photometric": "rgb"}),
        (np.moveaxis(COLOUR, -1, 0), {"compression": "lerc", "photometric": "rgb", "planarconfig": "separate"}),
        (DEEP, {"compression": "lerc", "rowsperstrip": 7}),
        (GREY / np.float32(255), {"compression": "lerc"}),
        (GREY, {"compression": "jpegxr"}),
        (COLOUR, {"compression": "jpegxr", "tile": (32, 32), "photometric": "rgb"}),
        (DEEP, {"compression": "jpegxr", "rowsperstrip": 8}),
        (DEEP, {"compression": "jpeg2000", "tile": (64, 64)}),
        (COLOUR, {"compression": "png", "photometric": "rgb", "rowsperstrip": 20}),
        (COLOUR, {"compression": "webp", "photometric": "rgb", "rowsperstrip": 16}),
        (np.dstack([COLOUR, GREY]), {"compression": "webp", "photometric": "rgb", "extrasamples": ["unassalpha"]}),
        (DEEP, {"compression": "jpegxl"}),
        (DEEP >> 4, {"compression": "jpeg", "bitspersample": 12, "compressionargs": {"bitspersample": 12}}),
        (np.dstack([DEEP >> 4] * 3), {"compression": "jpeg", "photometric": "rgb", "bitspersample": 12}),
    ],
    ids=lambda each: "-".join(map(str, each.values())) if isinstance(each, dict) else f"{each.dtype}",
)
def test_samples_are_those_of_tifffile(samples: Any, arguments: dict[str, Any]) -> None:  # noqa: ANN401
    data = kinds.tiff(samples, **arguments)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        assert tiff_images.is_of_images(page)
        np.testing.assert_array_equal(tiff_images.decode(page), page.asarray())


@pytest.mark.parametrize("name", ["lerc", "webp", "png", "jpegxl"])
def test_a_strip_that_claims_to_be_larger_is_refused(name: str) -> None:
    samples = COLOUR if name == "webp" else GREY
    large = getattr(imagecodecs, f"{name}_encode")(np.pad(samples, ((0, 200), (0, 0), (0, 0))[: samples.ndim]))
    data = kinds.with_strip(kinds.tiff(samples, compression=name, photometric="rgb" if name == "webp" else 1), large)
    with pytest.raises(UnreadablePictureError, match="another size than its page"):
        decode(data)


@pytest.mark.parametrize("compression", ["JPEGXR", "JPEGXR_NDPI"])
def test_jpeg_xr_is_refused(compression: str) -> None:
    """Its decoder ends the process at some damaged strips, by a division by zero or a wild pointer."""
    data = kinds.with_tag(kinds.tiff(GREY, compression="jpegxr"), "Compression", tifffile.COMPRESSION[compression])
    for salvage in (False, True):
        with pytest.raises(UnsupportedPictureError, match="a TIFF in JPEG XR"):
            decode(data, salvage=salvage)


def test_a_volume_is_refused() -> None:
    for samples in (np.stack([GREY] * 3), np.stack([DEEP] * 3)):
        with pytest.raises(UnsupportedPictureError, match="a volume of 3 planes"):
            decode(kinds.tiff(samples, volumetric=True))


def test_tiles_larger_than_their_page_are_counted() -> None:
    data = kinds.tiff(DEEP, tile=(512, 1024), compression="deflate")
    assert decoded_bytes(data) == 3 * 2 * 512 * 1024
    with pytest.raises(UnsupportedPictureError, match="1024 x 512 pixels"):
        decode(data, max_megapixels=0.5)
    assert decode(data, max_megapixels=1).first.width == 70


def test_a_page_that_lacks_strips_is_cut_short() -> None:
    """Pillow would give black for them."""
    with pytest.raises(UnreadablePictureError, match="it has 1 of 3 strips"):
        decode(kinds.with_tag(kinds.tiff(GREY), "RowsPerStrip", 15))


def test_a_page_whose_size_each_reader_reads_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would have counted the pixels that Pillow makes."""
    with pytest.raises(UnreadablePictureError, match="without pixels"):
        decode(kinds.bombs("no-height.tif")["no-height.tif"])
    monkeypatch.setattr(decoders, "open_image", lambda *_: Image.new("L", (70, 44)))
    with pytest.raises(UnreadablePictureError, match="its size is ambiguous"):
        decode(kinds.tiff(GREY))


def test_the_time_for_many_pages_grows_with_their_number() -> None:
    """Pillow reads the directories of all pages before the one it is to find."""
    levels = [np.full((5, 7 + number % 3), number, np.uint8) for number in range(60)]
    deep = [each.astype(np.uint16) * 257 if number % 4 == 3 else each for number, each in enumerate(levels)]
    data = kinds.tiff(*deep, compression="lzw")
    directory = TiffImagePlugin.ImageFileDirectory_v2
    with patch.object(directory, "load", autospec=True, side_effect=directory.load) as load:
        frames = decode(data).frames
    for frame, page in zip(frames, deep, strict=True):
        np.testing.assert_array_equal(frame.pixels, page)
    assert 45 <= load.call_count <= 4 * 60
