"""Raw files of cameras and scanners are told from TIFFs, whose form they have; here, what develops them is missing."""

import io
import struct
import sys
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colorbatch.errors import UnsupportedPictureError
from colorbatch.formats import decode

GREY = np.add.outer(np.arange(40, dtype=np.uint8) * 2, np.arange(60, dtype=np.uint8))


@pytest.fixture(autouse=True)
def _without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)


def sensor_of(photometric: str) -> tuple[NDArray[np.uint16], dict[str, Any]]:
    """Return samples of 16 bits, and the arguments of tifffile for them."""
    grey = GREY.astype(np.uint16)
    if photometric == "cfa":
        return grey, {"photometric": photometric, "metadata": None}
    return np.dstack([grey] * 3), {"photometric": photometric, "planarconfig": "contig", "metadata": None}


@pytest.mark.parametrize("photometric", ["cfa", "linear_raw"])
def test_a_raw_file_is_refused_as_one(photometric: str) -> None:
    buffer = io.BytesIO()
    samples, how = sensor_of(photometric)
    tifffile.imwrite(buffer, samples, **how)
    with pytest.raises(UnsupportedPictureError, match="it is a raw file of a camera or scanner"):
        decode(buffer.getvalue())


@pytest.mark.parametrize("photometric", ["cfa", "linear_raw"])
def test_a_raw_file_whose_page_is_a_preview_is_refused_too(photometric: str) -> None:
    """DNG and NEF have a small preview as their page, and sensor data as an image within it."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(np.dstack([GREY[::4, ::4]] * 3), photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        samples, how = sensor_of(photometric)
        writer.write(samples, **how)
    with pytest.raises(UnsupportedPictureError, match="it is a raw file of a camera or scanner") as caught:
        decode(buffer.getvalue())
    assert "raw converter" in caught.value.advice


def test_a_cr2_file_is_refused() -> None:
    """Behind its header stand its mark and the offset of its raw directory."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, GREY, metadata=None)
    data = bytearray(buffer.getvalue())
    (first,) = struct.unpack_from("<I", data, 4)
    data[8:8] = b"CR\x02\0" + bytes(4)
    struct.pack_into("<I", data, 4, first + 8)
    with pytest.raises(UnsupportedPictureError, match="it is a raw file"):
        decode(bytes(data))
