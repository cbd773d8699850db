"""WebP, always lossless, and the metadata chunks of a file (RFC 9649)."""

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from colorbatch.formats.description import Description, upright_block
from colorbatch.formats.icc import srgb_profile
from colorbatch.pixels.metadata import Metadata
from colorbatch.pixels.picture import Frame

LONGEST_SIDE = 16_383
"""Maximum side in pixels, of the format."""
_HEADER, _ALPHA = b"VP8X", b"ALPH"
_IMAGES = frozenset({b"VP8 ", b"VP8L"})
_ANIMATED = 0x02
_FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
"""Metadata chunks, and the flags of the header that announce them (section 2.7.1)."""


def without_metadata(data: bytes) -> bytes:
    """Return the file with only the chunks that its pixels depend on; an animation as it is."""
    flags, kept = _flags_of(data), []
    if flags & _ANIMATED:
        return data
    for kind, content, size in _chunks(data):
        if kind == _HEADER:
            content = bytes([content[0] & ~sum(_FLAGS.values())]) + content[1:]  # noqa: PLW2901
        if kind in _IMAGES or kind in (_HEADER, _ALPHA):
            kept.append(struct.pack("<4sI", kind, size) + content + b"\0" * (size % 2 and len(content) == size))
        if kind in _IMAGES:
            break
    body = b"WEBP" + b"".join(kept)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def description_of(data: bytes, warnings: list[str]) -> Description:
    """Return what the metadata chunks say; ``warnings`` receives what could not be kept."""
    flags, found = _flags_of(data), {}
    for kind, content, size in _chunks(data):
        if not flags & _FLAGS.get(kind, 0) or kind in found:
            continue
        if len(content) < size:
            warnings.append(f"a damaged {kind.decode().strip()} chunk was dropped: it is cut off")
            continue
        found[kind] = content
    exif, orientation = upright_block(found.get(b"EXIF", b""), warnings)
    profile = found.get(b"ICCP")
    metadata = Metadata(exif=exif, xmp=found.get(b"XMP ", b""), has_profile=bool(profile))
    return Description(metadata, profile, orientation)


def _flags_of(data: bytes) -> int:
    """Return the flags of an extended file; 0 of another."""
    kind, content, _ = next(_chunks(data), (b"", b"", 0))
    return content[0] if kind == _HEADER and content else 0


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield type, content and stated size of every chunk, as far as the file goes."""
    position = 12
    while position + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, position)
        yield kind, data[position + 8 : position + 8 + size], size
        position += 8 + size + size % 2


def encode(frame: Frame) -> bytes:
    """Return a lossless WebP file; the colours of transparent pixels are kept."""
    metadata = frame.metadata
    arguments: dict[str, Any] = {"lossless": True, "exact": True, "quality": 50}
    if metadata.has_profile:
        arguments["icc_profile"] = srgb_profile()
    if metadata.exif:
        arguments["exif"] = b"Exif\0\0" + metadata.exif
    if metadata.xmp:
        arguments["xmp"] = metadata.xmp
    planes = frame.pixels if frame.alpha is None else np.dstack([frame.pixels, frame.alpha])
    buffer = io.BytesIO()
    Image.fromarray(planes).save(buffer, "WEBP", **arguments)
    return buffer.getvalue()
