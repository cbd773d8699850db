"""JPEG: the pixels of a grey, RGB or CMYK file, and the segments beside them."""

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, JpegImagePlugin
from PIL.JpegPresets import presets

from colorbatch.formats.icc import srgb_profile
from colorbatch.picture import Frame

LONGEST_SIDE = 65_500
"""Of libjpeg."""
_DEFAULT_LUMA_TABLE: list[int]
_FINEST_CHROMA_TABLE: list[int]
_DEFAULT_LUMA_TABLE, _FINEST_CHROMA_TABLE = presets["web_maximum"]["quantization"]  # type: ignore[misc] # untyped
"""Chroma of a network is smooth, so the finest table costs little, and errors of chroma would spill into luma where
RGB clips."""
_PHOTOSHOP = b"Photoshop 3.0\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_LARGEST_SEGMENT = 65_533


def photoshop_of(image: Image.Image) -> bytes:
    """Return the image resources of an opened JPEG, IPTC-IIM among them."""
    parts = [data for marker, data in _segments(image) if marker == "APP13" and data.startswith(_PHOTOSHOP)]
    return b"".join(data.removeprefix(_PHOTOSHOP) for data in parts)


def comments_of(image: Image.Image) -> tuple[bytes, ...]:
    """Return the comments of an opened JPEG."""
    return tuple(data for marker, data in _segments(image) if marker == "COM")


def has_extended_xmp(image: Image.Image) -> bool:
    """Return whether XMP goes on in segments that are not read."""
    return any(data.startswith(_EXTENDED_XMP) for marker, data in _segments(image) if marker == "APP1")


def luma_table_of(image: Image.Image) -> Sequence[int] | None:
    """Return the quantisation table of luma; ``None`` for CMYK and RGB stored as such, which have none."""
    if image.mode not in ("L", "RGB") or getattr(image, "layers", 1) not in (1, 3):
        return None
    table: Sequence[int] | None = getattr(image, "quantization", {}).get(0)
    return table


def encode(frame: Frame, luma_table: Sequence[int] | None) -> bytes:
    """Return a JPEG with full-size chroma and the given luma table.

    Raises:
        ValueError, OSError: the metadata do not fit into their segments.

    """
    metadata = frame.metadata
    arguments: dict[str, Any] = {
        "qtables": [luma_table or _DEFAULT_LUMA_TABLE, _FINEST_CHROMA_TABLE],
        "subsampling": 0,
        "extra": b"".join(
            [*_in_segments(0xED, _PHOTOSHOP, metadata.photoshop), *(_segment(0xFE, text) for text in metadata.comments)]
        ),
    }
    if metadata.has_profile:
        arguments["icc_profile"] = srgb_profile()
    if metadata.dpi:
        arguments["dpi"] = metadata.dpi
    if metadata.exif:
        arguments["exif"] = b"Exif\0\0" + metadata.exif
    if metadata.xmp:
        arguments["xmp"] = metadata.xmp
    buffer = io.BytesIO()
    Image.fromarray(frame.pixels).save(buffer, "JPEG", **arguments)
    return buffer.getvalue()


def _segments(image: Image.Image) -> list[tuple[str, bytes]]:
    return list(image.applist) if isinstance(image, JpegImagePlugin.JpegImageFile) else []


def _in_segments(marker: int, prefix: bytes, content: bytes) -> list[bytes]:
    room = _LARGEST_SEGMENT - len(prefix)
    parts = [content[start : start + room] for start in range(0, len(content), room)]
    return [_segment(marker, prefix + part) for part in parts]


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content
