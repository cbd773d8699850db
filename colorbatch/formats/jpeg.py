"""JPEG: the pixels of a grey, RGB or CMYK file, and its metadata segments."""

import io
import struct
from collections.abc import Sequence
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegPresets import presets

from colorbatch.formats import jpeg_scans, mark
from colorbatch.formats.icc import srgb_profile
from colorbatch.formats.jpeg_metadata import EXTENDED_XMP, PHOTOSHOP
from colorbatch.formats.jpeg_scans import luma_scans, with_chroma
from colorbatch.pixels.chroma import REACH, chroma_planes, halved_chroma_planes
from colorbatch.pixels.color import Plane
from colorbatch.pixels.metadata import Metadata
from colorbatch.pixels.picture import Frame

LONGEST_SIDE = 65_500
"""Maximum side in pixels, of libjpeg."""
_DEFAULT_LUMA_TABLE: list[int] = presets["web_maximum"]["quantization"][0]  # type: ignore[index] # untyped
_FINE_CHROMA_TABLE = [min(step, 2) for step in presets["web_maximum"]["quantization"][1]]  # type: ignore[index] # untyped
"""Chroma of a network is smooth, so a fine table costs little, and errors of chroma would change luma where RGB clips:
with the preset's own steps of 3, 3 pixels of 28 pictures changed by 2 levels; with these, for 4 % more bytes, none."""
_FINE_QUALITY = 99
"""Quality of libjpeg whose table also has no step of more than 2."""
_MAX_SEGMENT_BYTES = 65_533
_MAX_XMP_BYTES = 65_400
"""Maximum number of bytes of a packet, or of a part of one, in a segment that also holds its header."""


def luma_table_of(image: Image.Image) -> Sequence[int] | None:
    """Return the quantisation table of luma; ``None`` for CMYK and for RGB stored as such, which have none.

    Steps of more than 255 are reduced to 255, the maximum of baseline JPEG.
    """
    if image.mode not in ("L", "RGB") or getattr(image, "layers", 1) not in (1, 3):
        return None
    table: Sequence[int] | None = getattr(image, "quantization", {}).get(0)
    return table and [min(step, 255) for step in table]


def has_luma_scans(data: bytes) -> bool:
    """Return whether the coded luma of a JPEG file can be copied unchanged."""
    try:
        return luma_scans(data) is not None
    except (ValueError, IndexError, struct.error):
        return False


def to_grey(data: bytes) -> bytes | None:
    """Return a grey JPEG of the coded luma of a file; ``None``: it has none in separate scans."""
    try:
        return jpeg_scans.to_grey(data)
    except (ValueError, IndexError, struct.error):
        return None


def is_luma_copied(source: bytes, output: bytes) -> bool:
    """Return whether an output contains the coded luma of its source, byte for byte."""
    try:
        before, after = luma_scans(source), luma_scans(output)
    except (ValueError, IndexError, struct.error):
        return False
    return before is not None and before == after


def encode(frame: Frame, luma_table: Sequence[int] | None, source: bytes = b"") -> bytes:
    """Return a JPEG of a frame.

    Args:
        frame: what to write.
        luma_table: quantisation table of luma; ``None``: one of high quality.
        source: a grey JPEG whose coded luma is copied unchanged; empty: luma is encoded again, in one scan with the
            chroma, by which :func:`to_grey` recognises that it is not the source's.

    Raises:
        ValueError, OSError: the metadata does not fit into its segments.

    """
    arguments = _metadata_arguments(frame.metadata)
    luma = luma_scans(source) if source and frame.chroma is not None else None
    if luma is None or frame.chroma is None:
        tables = [luma_table or _DEFAULT_LUMA_TABLE, _FINE_CHROMA_TABLE]
        return _encoded(Image.fromarray(frame.merged().pixels), qtables=tables, subsampling=0, **arguments)
    planes = _chroma_planes_of(frame.pixels, frame.chroma)
    cb, cr = (_encoded_plane(plane, is_progressive=luma.is_progressive) for plane in planes)
    return with_chroma(luma, cb, cr, metadata_from=_encoded(Image.new("L", (1, 1)), **arguments))


def _chroma_planes_of(grey: NDArray[np.uint8], chroma: Plane) -> NDArray[np.uint8]:
    """Return Cb and Cr ``[2, h, w]``: of half the size if that is fine enough for the resolution of ``chroma``."""
    is_coarse = all(REACH * small <= side for small, side in zip(chroma.shape[1:], grey.shape, strict=True))
    return (halved_chroma_planes if is_coarse else chroma_planes)(grey, chroma)


def _encoded_plane(plane: NDArray[np.uint8], *, is_progressive: bool) -> bytes:
    """Return a grey JPEG of a plane of chroma ``[H, W]``, quantised in steps of at most 2."""
    if is_progressive:  # imagecodecs cannot; Pillow can, but blocks other threads meanwhile
        return _encoded(Image.fromarray(plane), qtables=[_FINE_CHROMA_TABLE], progressive=True)
    return bytes(imagecodecs.jpeg8_encode(plane, level=_FINE_QUALITY))


def _metadata_arguments(metadata: Metadata) -> dict[str, Any]:
    """Return Pillow's arguments for writing the metadata."""
    packet, extended = mark.split(metadata.xmp, _MAX_XMP_BYTES)
    segments = [
        *_extended_xmp_segments(extended),
        *_split_into_segments(0xED, PHOTOSHOP, metadata.photoshop),
        *(_segment(0xFE, text) for text in metadata.comments),
    ]
    arguments: dict[str, Any] = {"extra": b"".join(segments)}
    if metadata.has_profile:
        arguments["icc_profile"] = srgb_profile()
    if metadata.dpi:
        arguments["dpi"] = metadata.dpi
    if metadata.exif:
        arguments["exif"] = b"Exif\0\0" + metadata.exif
    if packet:
        arguments["xmp"] = packet
    return arguments


def _encoded(image: Image.Image, **arguments: Any) -> bytes:  # noqa: ANN401 (Pillow's)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **arguments)
    return buffer.getvalue()


def _extended_xmp_segments(extended: bytes) -> list[bytes]:
    head = EXTENDED_XMP + mark.name_of(extended) + len(extended).to_bytes(4, "big")
    return [
        _segment(0xE1, head + start.to_bytes(4, "big") + extended[start : start + _MAX_XMP_BYTES - len(head)])
        for start in range(0, len(extended), _MAX_XMP_BYTES - len(head))
    ]


def _split_into_segments(marker: int, prefix: bytes, content: bytes) -> list[bytes]:
    room = _MAX_SEGMENT_BYTES - len(prefix)
    parts = [content[start : start + room] for start in range(0, len(content), room)]
    return [_segment(marker, prefix + part) for part in parts]


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content
