"""PNG: metadata chunks, and both bit depths (PNG specification, third edition)."""

import struct
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np

from colorbatch.errors import UnreadablePictureError
from colorbatch.formats.icc import srgb_profile
from colorbatch.pixels.metadata import Metadata
from colorbatch.pixels.picture import Frame, Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_KEPT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"tIME"})
_INCH = 0.0254
"""An inch in metres: PNG has pixels per metre."""
_MAX_XMP_BYTES = 2**26
"""Maximum size of a decompressed packet, which is cut off there: a few bytes can expand to gigabytes."""
_COMPRESSION_LEVEL = 6
"""Compression level of zlib: higher ones take much time to save a percent or two of a photograph."""


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of every chunk, as far as the file goes."""
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position + 8 : position + 8 + length]
        if kind == b"IEND":
            return
        position += 12 + length


def bit_depth(data: bytes) -> int:
    """Return the bits per channel; IHDR comes first: width, height, bit depth (section 11.2.1)."""
    return data[24] if len(data) > 24 else 8


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height from IHDR, even if the rest is damaged.

    Raises:
        struct.error: the file ends before them.

    """
    width, height = struct.unpack_from(">2I", data, 16)
    return width, height


def has_frames(data: bytes) -> bool:
    """Return whether a file is an animation of more than one frame (section 11.3.6.1)."""
    return any(kind == b"acTL" and content[:4] > b"\0\0\0\1" for kind, content in chunks(data))


def xmp_of(data: bytes) -> bytes:
    """Return the XMP packet of the iTXt chunk that holds it (XMP specification, part 3, section 1.1.5)."""
    for kind, content in chunks(data):
        if kind == b"iTXt" and content.startswith(_XMP_KEYWORD + b"\0"):
            is_compressed = content[len(_XMP_KEYWORD) + 1 : len(_XMP_KEYWORD) + 2] == b"\1"
            text = content[len(_XMP_KEYWORD) + 3 :].split(b"\0", 2)[-1]
            return zlib.decompressobj().decompress(text, _MAX_XMP_BYTES) if is_compressed else text
    return b""


def kept_chunks(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return type and content of the text and time chunks, without XMP."""
    found = [(kind, content) for kind, content in chunks(data) if kind in _KEPT_CHUNKS]
    return tuple(each for each in found if not each[1].startswith(_XMP_KEYWORD + b"\0"))


def decode_deep(data: bytes) -> tuple[Pixels, Pixels | None]:
    """Return 16-bit pixels, grey or RGB, and alpha.

    Raises:
        UnreadablePictureError: damaged or truncated.

    """
    try:
        image = imagecodecs.png_decode(data)
    except Exception as error:  # on damaged files it raises errors of several kinds
        raise UnreadablePictureError(f"damaged or truncated: {error}") from error
    if image.ndim == 2:
        return image, None
    colors = image.shape[2] - 1 if image.shape[2] in (2, 4) else image.shape[2]
    pixels = image[..., 0] if colors == 1 else image[..., :colors]
    return pixels, image[..., colors] if image.shape[2] > colors else None


def encode(frame: Frame) -> bytes:
    """Return a PNG file of the frame's bit depth."""
    planes = frame.pixels if frame.alpha is None else np.dstack([frame.pixels, frame.alpha])
    encoded = bytes(imagecodecs.png_encode(np.ascontiguousarray(planes), level=_COMPRESSION_LEVEL))
    end_of_header = len(SIGNATURE) + 25
    metadata = b"".join(_chunk(kind, content) for kind, content in _metadata_chunks(frame.metadata))
    return encoded[:end_of_header] + metadata + encoded[end_of_header:]


def _metadata_chunks(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    if metadata.has_profile:
        yield b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile())
    if metadata.dpi:
        yield b"pHYs", struct.pack(">IIB", *(round(value / _INCH) for value in metadata.dpi), 1)
    if metadata.exif:
        yield b"eXIf", metadata.exif
    if metadata.xmp:
        yield b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp
    yield from metadata.png_chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
