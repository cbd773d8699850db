"""Pages written in strips, read back by tifffile and, where it can, by Pillow: they are those of the merged picture."""

import io
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from PIL import Image

from colorbatch.formats import encode, tiff_strips
from colorbatch.pixels import resize
from colorbatch.pixels.metadata import Metadata
from colorbatch.pixels.picture import Frame, Picture

COMPRESSIONS = ["none", "lzw", "zlib", "packbits", "lzma", "zstd"]


def frame_of(
    dtype: type[np.unsignedinteger[Any]], *, alpha: bool, compression: str, byte_order: Literal["<", ">"]
) -> Frame:
    """Return noise of 203 x 61 pixels: with the limits below, several strips of several rows, and one that is cut."""
    random = np.random.default_rng(1)
    pixels, opacity = random.integers(0, np.iinfo(dtype).max, (2, 203, 61), dtype, endpoint=True)
    chroma = random.uniform(-0.3, 0.3, (2, 5, 4)).astype(np.float32)
    metadata = Metadata(tiff_compression=compression, tiff_byte_order=byte_order)
    return Frame(pixels, opacity if alpha else None, metadata, chroma)


@pytest.fixture(autouse=True)
def _small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resize, "PIXELS_AT_ONCE", 61 * 50)
    monkeypatch.setattr(tiff_strips, "STRIP_BYTES", 61 * 4 * 2 * 7)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_coloured_page_is_the_merged_picture(
    compression: str, byte_order: Literal["<", ">"], dtype: type[np.unsignedinteger[Any]], *, alpha: bool
) -> None:
    frame = frame_of(dtype, alpha=alpha, compression=compression, byte_order=byte_order)
    expected = frame.merged().pixels
    data = encode(Picture((frame,), "TIFF"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        assert file.byteorder == byte_order
        assert len(page.dataoffsets) == -(-203 // page.rowsperstrip) > 3
        found = page.asarray()
    np.testing.assert_array_equal(found[..., :3], expected)
    if frame.alpha is not None:
        np.testing.assert_array_equal(found[..., 3], frame.alpha)
    if dtype == np.uint8 and compression in ("none", "lzw", "zlib", "packbits"):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), expected)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("shape", [(203, 61), (203, 61, 3), (1, 1), (3, 900)])
def test_a_page_without_chroma_is_written_as_it_is(compression: str, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    frame = replace(
        frame_of(np.uint8, alpha=False, compression=compression, byte_order="<"), pixels=pixels, chroma=None
    )
    data = encode(Picture((frame,), "TIFF"))
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), pixels)


def test_no_strip_but_the_last_is_cut_when_pages_are_merged() -> None:
    frame = frame_of(np.uint8, alpha=False, compression="none", byte_order="<")
    rows = tiff_strips.rows_of(frame)
    sizes = [len(strip) for strip in tiff_strips.encoded_strips(frame, "none", "<")]
    assert sizes == [61 * 3 * rows] * (203 // rows) + [61 * 3 * (203 % rows)]
