"""A sound file is not called damaged when there is no memory for its pixels."""

import io
import subprocess
import sys

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from colorbatch.formats import decode

DEEP = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 80


def tiff() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, DEEP, compression="zlib", metadata=None)
    return file.getvalue()


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(DEEP).save(file, "PNG")
    return file.getvalue()


def jpeg2000() -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(DEEP, level=0, reversible=True, codecformat="jp2", bitspersample=16))


def no_memory(*_: object, **__: object) -> object:
    raise MemoryError


@pytest.mark.parametrize(
    ("content", "module", "decoder", "salvage"),
    [
        (png(), imagecodecs, "png_decode", False),
        (jpeg2000(), imagecodecs, "jpeg2k_decode", False),
        (tiff(), tifffile.TiffPage, "asarray", False),
        (tiff()[:-20], tifffile.TiffPage, "decode", True),
    ],
    ids=["png", "jpeg 2000", "tiff", "salvage"],
)
def test_a_lack_of_memory_is_not_damage(
    monkeypatch: pytest.MonkeyPatch, content: bytes, module: object, decoder: str, *, salvage: bool
) -> None:
    if not salvage:
        np.testing.assert_array_equal(decode(content).first.pixels, DEEP)
    monkeypatch.setattr(module, decoder, no_memory)
    with pytest.raises(MemoryError):
        decode(content, salvage=salvage)


def test_codecs_are_loaded_before_pictures_take_the_memory() -> None:
    """One that cannot be loaded on first use would be missing for all later pictures."""
    program = """
import importlib
import io
import imagecodecs
import numpy as np
from PIL import Image
from colorbatch.formats import decode

def no_memory(name, package=None):
    raise ImportError(f"{name}: failed to map segment from shared object")

importlib.import_module = no_memory
levels = np.arange(768, dtype=np.uint16).reshape(24, 32) * 80
file = io.BytesIO()
Image.fromarray(levels).save(file, "PNG")
assert (decode(file.getvalue()).first.pixels == levels).all()
coded = imagecodecs.jpeg2k_encode(levels, level=0, reversible=True, codecformat="jp2", bitspersample=16)
assert (decode(bytes(coded)).first.pixels == levels).all()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
