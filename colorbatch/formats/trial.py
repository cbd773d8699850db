"""Test which kinds of pictures can be read and written here, on a tiny picture, whatever libraries report."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tifffile
from PIL import Image

from colorbatch.errors import ColorbatchError, UnsupportedPictureError
from colorbatch.extras import needs_extra
from colorbatch.formats import tiff
from colorbatch.formats.codec import decode, encode
from colorbatch.pixels.metadata import Metadata
from colorbatch.pixels.picture import Frame, Picture, Pixels

_MAX_DIFFERENCE = 12
"""Maximum mean difference after a round trip, of 255 levels; a smooth picture loses far less in any format."""
_OPTIONAL = frozenset({"AVIF", "HEIC", "raw"})
"""Kinds that a build of Pillow may lack, or that need an extra."""
_DNG_VERSION = 50706
_PSD_RGB = 3


@dataclass(frozen=True)
class Trial:
    """Whether one kind of picture can be read and written."""

    kind: str
    reads: bool
    writes: bool | None
    """``None``: colorbatch never writes this kind, but PNG or another TIFF instead."""
    problem: str = ""
    """What went wrong."""

    @property
    def is_needed(self) -> bool:
        """Whether an installation without it is broken."""
        return self.kind not in _OPTIONAL


def try_all() -> list[Trial]:
    """Write and read a tiny picture of every kind."""
    own = [_try_own(*each) for each in _own_kinds()]
    return own + [_try_foreign(*each) for each in _foreign_kinds()]


def _own_kinds() -> Iterator[tuple[str, Picture]]:
    levels = _levels()
    yield "JPEG", Picture((Frame(levels),), "JPEG")
    yield "PNG", Picture((Frame(levels),), "PNG")
    yield "PNG, 16 bits", Picture((Frame(_to_16_bits(levels)),), "PNG")
    for compression in dict.fromkeys(tiff.LOSSLESS.values()):
        yield f"TIFF, {compression}", Picture((Frame(levels, metadata=Metadata(tiff_compression=compression)),), "TIFF")
    yield "TIFF, 16 bits", Picture((Frame(_to_16_bits(levels)),), "TIFF")
    yield "WebP", Picture((Frame(levels),), "WEBP")
    yield "JPEG 2000", Picture((Frame(levels),), "JPEG2000")


def _foreign_kinds() -> Iterator[tuple[str, Image.Image, str, dict[str, str]]]:
    image = Image.fromarray(_levels())
    yield "TIFF, jpeg", image, "TIFF", {"compression": "jpeg"}
    yield "TIFF, fax", image.convert("1"), "TIFF", {"compression": "group4"}
    yield "GIF", image, "GIF", {}
    yield "BMP", image, "BMP", {}
    yield "Netpbm", image, "PPM", {}
    yield "AVIF", image, "AVIF", {}
    yield "PSD", image, "PSD", {}
    yield "HEIC", image, "HEIF", {}
    yield "raw", image, "RAW", {}


def _try_own(kind: str, picture: Picture) -> Trial:
    try:
        data = encode(picture)
    except Exception as error:  # noqa: BLE001 (missing parts of libraries cause errors of many kinds)
        return Trial(kind, reads=False, writes=False, problem=_describe(error))
    try:
        _check_round_trip(picture.first.pixels, data)
    except Exception as error:  # noqa: BLE001
        return Trial(kind, reads=False, writes=True, problem=_describe(error))
    return Trial(kind, reads=True, writes=True)


def _try_foreign(kind: str, image: Image.Image, name: str, arguments: dict[str, str]) -> Trial:
    try:
        _check_round_trip(np.asarray(image.convert("RGB")), _encoded(image, name, arguments))
    except Exception as error:  # noqa: BLE001
        return Trial(kind, reads=False, writes=None, problem=_describe(error))
    return Trial(kind, reads=True, writes=None)


def _check_round_trip(pixels: Pixels, data: bytes) -> None:
    """Raise unless a file decodes to nearly the pixels that were encoded, RGB ``[H, W, 3]``."""
    found = decode(data).first.pixels
    if found.shape[:2] != pixels.shape[:2]:
        raise ValueError(f"{list(pixels.shape)} came back as {list(found.shape)}")
    planes = found if found.ndim == 3 else found[..., None]
    difference = np.abs(planes / np.iinfo(found.dtype).max - pixels / np.iinfo(pixels.dtype).max).mean() * 255
    if difference > _MAX_DIFFERENCE:
        raise ValueError(f"it differs by {difference:.0f} levels when read back")


def _levels() -> Pixels:
    """Return a smooth picture, RGB ``[32, 48, 3]``."""
    down, across = np.mgrid[0:32, 0:48]
    return np.dstack([across * 5, down * 7, 255 - across * 5]).astype(np.uint8)


def _to_16_bits(levels: Pixels) -> Pixels:
    return levels.astype(np.uint16) * 257


def _encoded(image: Image.Image, name: str, arguments: dict[str, str]) -> bytes:
    if name == "PSD":
        return _psd_of(np.asarray(image))
    if name == "RAW":
        return _dng_of(np.asarray(image))
    if name == "HEIF":
        with needs_extra("heif"):
            import pillow_heif
        pillow_heif.register_heif_opener()
    Image.init()
    if name not in Image.SAVE:
        raise UnsupportedPictureError(
            "this build of Pillow lacks it",
            advice="Install another with: pip install --upgrade --force-reinstall pillow",
        )
    buffer = io.BytesIO()
    image.save(buffer, name, **arguments)
    return buffer.getvalue()


def _psd_of(levels: Pixels) -> bytes:
    """Return a PSD of RGB levels, without layers."""
    height, width, channels = levels.shape
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, channels, height, width, 8, _PSD_RGB)
    return header + bytes(12) + bytes(2) + np.moveaxis(levels, -1, 0).tobytes()  # empty sections; uncompressed


def _dng_of(levels: Pixels) -> bytes:
    """Return a linear DNG (DNG 1.7, chapter 2) of RGB levels in sRGB."""
    light = (np.maximum(levels / 255 + 0.055, 0) / 1.055) ** 2.4
    version = (_DNG_VERSION, "B", 4, bytes((1, 4, 0, 0)), True)
    buffer = io.BytesIO()
    samples = np.round(light * 65535).astype(np.uint16)
    tifffile.imwrite(buffer, samples, photometric="linear_raw", metadata=None, extratags=[version])
    return buffer.getvalue()


def _describe(error: Exception) -> str:
    return error.in_full if isinstance(error, ColorbatchError) else f"{type(error).__name__}: {error}"
