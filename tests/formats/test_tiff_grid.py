"""Every way of storing a TIFF, each decoded to the pixels that were written, whichever decoder reads it."""

import io
import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colorbatch.formats import decode

Levels = NDArray[Any]
LOSSLESS = (None, "lzw", "deflate", "packbits", "zstd", "lzma", "webp")
DIFFERENCED = frozenset({"lzw", "deflate", "packbits", "zstd", "lzma"})
DEPTHS = {1: (np.bool_, 255), 8: (np.uint8, 1), 16: (np.uint16, 1)}
"""Types of samples, and by what they are multiplied in 8 or 16 bits."""


class Way(NamedTuple):
    order: str
    big: bool
    compression: str | None
    depth: int
    rgb: bool
    planar: bool
    tiled: bool
    predictor: bool

    @property
    def is_possible(self) -> bool:
        """Whether the compression allows it, and tifffile writes it as TIFF 6.0 has it."""
        if self.planar and not self.rgb:
            return False
        if self.predictor and (self.compression not in DIFFERENCED or self.depth == 1):
            return False
        if self.compression == "webp":
            return self.depth == 8 and self.rgb and not self.planar
        if self.compression == "jpeg":
            return self.depth == 8
        return not (self.depth == 1 and self.rgb and not self.planar)  # that is tested with few bits


def ways(*compressions: str | None) -> list[Way]:
    two = (False, True)
    found = (Way(*each) for each in itertools.product("<>", two, compressions, DEPTHS, two, two, two, two))
    return [way for way in found if way.is_possible]


def samples_of(way: Way) -> Levels:
    """Return ``[H, W]`` or ``[H, W, 3]``."""
    slope = np.add.outer(np.arange(50) * 3, np.arange(70) * 1.4)
    grey: Levels = (
        slope > 99 if way.depth == 1 else (slope * (257 if way.depth == 16 else 1)).astype(DEPTHS[way.depth][0])
    )
    return np.dstack([grey, grey[::-1], grey[:, ::-1]]) if way.rgb else grey


def written(way: Way) -> bytes:
    samples = samples_of(way)
    how: dict[str, Any] = {"photometric": "rgb" if way.rgb else "minisblack", "metadata": None}
    how |= {"planarconfig": "separate" if way.planar else "contig"} if way.rgb else {}
    how |= {"tile": (16, 32)} if way.tiled else {"rowsperstrip": 17}
    how |= {"compression": way.compression, "predictor": way.predictor or None}
    how |= {"compressionargs": {"lossless": True}} if way.compression == "webp" else {}
    how |= {"compressionargs": {"level": 95}} if way.compression == "jpeg" else {}
    how |= {"compressionargs": {"level": 0}} if way.compression == "lzma" else {}
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=way.order, bigtiff=way.big) as writer:  # type: ignore[arg-type]
        writer.write(np.moveaxis(samples, -1, 0) if way.planar else samples, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("compression", LOSSLESS)
def test_what_was_written_is_decoded(compression: str | None) -> None:
    chosen = ways(compression)
    assert len(chosen) >= 8
    for way in chosen:
        frame = decode(written(way)).first
        assert frame.bits == max(way.depth, 8), way
        wanted = samples_of(way).astype(frame.pixels.dtype) * DEPTHS[way.depth][1]
        np.testing.assert_array_equal(frame.pixels, wanted, err_msg=str(way))


def test_jpeg_is_decoded_as_tifffile_does() -> None:
    for way in ways("jpeg"):
        data = written(way)
        pixels = decode(data).first.pixels
        elsewhere = tifffile.imread(io.BytesIO(data))
        np.testing.assert_array_equal(
            pixels, np.moveaxis(elsewhere, 0, -1) if way.planar else elsewhere, err_msg=str(way)
        )
        assert np.abs(pixels.astype(int) - samples_of(way)).mean() < 3, way


def test_jpeg_of_12_bits_in_ycbcr_is_decoded() -> None:
    slope = np.add.outer(np.arange(50) * 30, np.arange(70) * 20).astype(np.uint16)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, np.dstack([slope] * 3), photometric="rgb", compression="jpeg", bitspersample=12, metadata=None
    )
    pixels = decode(buffer.getvalue()).first.pixels
    assert np.abs(pixels - slope[..., None] * (65535 / 4095)).mean() < 65535 / 255


def test_a_predictor_without_compression_is_passed_over() -> None:
    """TIFF 6.0, section 14, has it for LZW alone; libtiff, too, reads such samples as they are."""
    for depth in (8, 16):
        samples = samples_of(Way("<", False, None, depth, False, False, False, False))
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, samples, photometric="minisblack", metadata=None, extratags=[(316, 2, 0, "abc", True)])
        data = buffer.getvalue().replace(b"\x3c\x01\x02\0\x04\0\0\0abc\0", b"\x3d\x01\x03\0\x01\0\0\0\x02\0\0\0")
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            assert file.pages[0].tags.valueof(317) == tifffile.PREDICTOR.HORIZONTAL
        np.testing.assert_array_equal(decode(data).first.pixels, samples)
