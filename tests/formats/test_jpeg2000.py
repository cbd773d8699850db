"""Bit depths of JPEG 2000, compared with their definition and with Pillow, which reads it with OpenJPEG too."""

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from colorbatch.formats import decode, decoded_bytes


def coded(samples: NDArray[Any], bits: int) -> bytes:
    encode = imagecodecs.jpeg2k_encode
    return bytes(encode(samples, level=0, reversible=True, codecformat="jp2", bitspersample=bits))


def ramp(bits: int) -> NDArray[Any]:
    levels = np.arange(60 * 70).reshape(60, 70) * (2**bits - 1) // (60 * 70 - 1)
    return np.asarray(levels, "u1" if bits <= 8 else "u2")


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_depth_reaches_from_black_to_white(bits: int, channels: int) -> None:
    samples = ramp(bits) if channels == 1 else np.dstack([ramp(bits)] * 3)
    data = coded(samples, bits)
    found = decode(data).first.pixels
    top = 255 if bits <= 8 else 65535
    assert found.dtype == (np.uint8 if bits <= 8 else np.uint16)
    np.testing.assert_allclose(found, samples * (top / (2**bits - 1)), atol=0.51)
    assert decoded_bytes(data) == 3 * 60 * 70 * found.dtype.itemsize


@pytest.mark.parametrize("bits", [4, 8])
def test_levels_are_those_of_pillow(bits: int) -> None:
    data = coded(ramp(bits), bits)
    with Image.open(io.BytesIO(data)) as image:
        shown = np.asarray(image.convert("L"), int)
    assert np.abs(decode(data).first.pixels - shown).max() <= 2 ** (8 - bits) - 1  # which Pillow does not fill


def test_the_palette_decides_the_depth() -> None:
    """16 indices of 4 bits, colours of 8 (ISO/IEC 15444-1, sections I.5.3.4 and I.5.3.5)."""
    colors = np.array([[17 * index, 255 - 17 * index, index] for index in range(16)], np.uint8)
    data = coded(ramp(4), 4)
    start = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, start)
    header = data[start + 8 : start + length].replace(struct.pack(">I", 17), struct.pack(">I", 16))
    palette = struct.pack(">HB", 16, 3) + b"\7\7\7" + colors.tobytes()
    mapping = b"".join(struct.pack(">HBB", 0, 1, column) for column in range(3))
    for kind, content in ((b"pclr", palette), (b"cmap", mapping)):
        header += struct.pack(">I4s", 8 + len(content), kind) + content
    data = data[:start] + struct.pack(">I4s", 8 + len(header), b"jp2h") + header + data[start + length :]
    np.testing.assert_array_equal(decode(data).first.pixels, colors[ramp(4)])
