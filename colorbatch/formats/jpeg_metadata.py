"""JPEG: the segments before the first scan, and the metadata in them (ITU-T T.81, section B.1.1)."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from colorbatch.formats import mark
from colorbatch.formats.description import Description, upright_block, valid_dpi
from colorbatch.formats.jpeg_segments import EOI, METADATA, SOI, SOS, segment
from colorbatch.formats.photoshop import THUMBNAIL_DROPPED, without_thumbnails
from colorbatch.pixels.metadata import Metadata, number_of

PHOTOSHOP = b"Photoshop 3.0\0"
EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
MAX_EXIF_BYTES = 65_527
"""Maximum number of bytes of an EXIF block, which has one segment (Exif 2.32, section 4.7.2)."""
_COM = 0xFE
_APP0, _APP1, _APP2, _APP13, _APP14 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a segment."""
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"
_MULTI_PICTURE = b"MPF\0"
_FILM = re.compile(rb"\0\0\0[\x10-\x40]ftyp(?:avc1|iso[m2-9]|mp4[12]|qt  |3gp)")
"""Start of an ISO base media file (ISO/IEC 14496-12, section 4.3), which phones put behind the end of a picture."""
_INCH = 2.54
"""An inch in centimetres."""
_RESOLUTION, _RESOLUTION_UNIT, _NUMBER_OF_IMAGES = 0x011A, 0x0128, 0xB001
_CENTIMETRE = 3
_DEFAULT_DPI = 72.0
_MAX_DPI = 65_535
"""Maximum of the output's JFIF segment, which has 16 bits."""


@dataclass(frozen=True)
class _Head:
    """What precedes the first scan."""

    segments: tuple[tuple[int, bytes], ...]
    """Marker and content of each segment."""
    end: int
    """Where the first scan starts, or what is not a segment."""


def without_metadata(data: bytes) -> bytes:
    """Return the file without metadata before its first scan: only what its pixels depend on."""
    head = _head_of(data)
    kept = (segment(marker, content) for marker, content in head.segments if _is_of_pixels(marker, content))
    return b"".join([data[:2], *kept, memoryview(data)[head.end :]])


def description_of(data: bytes, warnings: list[str]) -> Description:
    """Return what the segments before the first scan say; ``warnings`` receives what could not be kept."""
    head = _head_of(data)
    segments = head.segments
    raw = b"".join(_contents(segments, _APP1, _EXIF))
    exif, orientation = upright_block(raw, warnings)
    if len(exif) > MAX_EXIF_BYTES:
        warnings.append(f"EXIF was dropped: it has {len(exif):,} bytes, and JPEG can hold {MAX_EXIF_BYTES:,}")
        exif = b""
    _warn_of_more_images(segments, warnings)
    end = data.find(EOI, head.end)
    if end >= 0 and _FILM.search(data, end):
        warnings.append("a film behind the picture was dropped")
    profile, dpi = _profile_of(segments, warnings), _dpi_of(segments, raw)
    metadata = Metadata(
        exif=exif,
        xmp=_xmp_of(segments, warnings),
        photoshop=_resources_of(segments, warnings),
        comments=tuple(content for marker, content in segments if marker == _COM),
        dpi=dpi if dpi and max(dpi) <= _MAX_DPI else None,
        has_profile=bool(profile),
    )
    return Description(metadata, profile, orientation)


def _head_of(data: bytes) -> _Head:
    """Return the segments, found as libjpeg does: bytes between them are passed over."""
    position = 2
    segments: list[tuple[int, bytes]] = []
    while (found := _MARKER.search(data, position)) is not None:
        marker, start = found[1][0], found.end()
        if marker in _ALONE:
            position = start
            continue
        length = int.from_bytes(data[start : start + 2], "big")
        if marker in (SOI[1], EOI[1], SOS) or length < 2:
            return _Head(tuple(segments), found.start())
        position = start + length
        segments.append((marker, data[start + 2 : position]))
    return _Head(tuple(segments), len(data))


def _is_of_pixels(marker: int, content: bytes) -> bool:
    """Return whether decoders need a segment: JFIF and Adobe ones say how colours are coded."""
    is_of_colors = (marker == _APP0 and content.startswith(b"JFIF\0")) or (
        marker == _APP14 and content.startswith(b"Adobe")
    )
    return marker not in METADATA or is_of_colors


def _contents(segments: tuple[tuple[int, bytes], ...], marker: int, start: bytes) -> Iterator[bytes]:
    """Yield the contents of the segments that start so, without that start."""
    for each, content in segments:
        if each == marker and content.startswith(start):
            yield content.removeprefix(start)


def _xmp_of(segments: tuple[tuple[int, bytes], ...], warnings: list[str]) -> bytes:
    """Return the XMP packet, joined if it is split over several segments.

    Each segment of extended XMP starts with the name and total length of the extension, and the offset of its part (XMP
    specification, part 3, section 1.1.3.1).
    """
    standard = next(reversed(list(_contents(segments, _APP1, _XMP))), b"")
    extensions = list(_contents(segments, _APP1, EXTENDED_XMP))
    if not extensions:
        return standard
    try:
        name = mark.extended_name(standard)
        parts = sorted((part for part in extensions if part[:32] == name), key=lambda part: part[36:40])
        extended = b"".join(part[40:] for part in parts)
        if not parts or len(extended) != int.from_bytes(parts[0][32:36], "big"):
            raise ValueError("some parts are missing")  # noqa: TRY301 (handled like a damaged part)
        return mark.joined(standard, extended)
    except ValueError as error:
        warnings.append(f"damaged XMP beyond the first 64 KB was dropped: {error}")
        return standard


def _resources_of(segments: tuple[tuple[int, bytes], ...], warnings: list[str]) -> bytes:
    """Return the image resources, joined, including IPTC-IIM."""
    resources = b"".join(_contents(segments, _APP13, PHOTOSHOP))
    kept = without_thumbnails(resources)
    if kept != resources:
        warnings.append(THUMBNAIL_DROPPED)
    return kept


def _profile_of(segments: tuple[tuple[int, bytes], ...], warnings: list[str]) -> bytes | None:
    """Return the ICC profile, joined: each part starts with its number and their count (ICC.1:2010, section B.4)."""
    numbered = {part[:2]: part[2:] for part in _contents(segments, _APP2, _ICC)}
    if not numbered:
        return None
    parts = sorted(numbered.items())
    number, _ = parts[0]
    if len(number) < 2 or number[1] != len(parts):
        warnings.append("the ICC profile is damaged and was ignored: some parts are missing")
        return None
    return b"".join(part for _, part in parts)


def _dpi_of(segments: tuple[tuple[int, bytes], ...], exif: bytes) -> tuple[float, float] | None:
    """Return pixels per inch from JFIF (ITU-T T.871, section 10.1), else from EXIF, whose default is 72."""
    for content in _contents(segments, _APP0, b"JFIF"):
        if len(content) < 8:
            continue
        unit, across, down = struct.unpack_from(">BHH", content, 3)
        if unit in (1, 2):
            scale = 1 if unit == 1 else _INCH
            return valid_dpi((across * scale, down * scale))
    if not exif:
        return None
    try:
        dpi = number_of(exif, _RESOLUTION) * (_INCH if number_of(exif, _RESOLUTION_UNIT) == _CENTIMETRE else 1)
    except (KeyError, ValueError, struct.error):
        dpi = _DEFAULT_DPI
    return valid_dpi((dpi, dpi))


def _warn_of_more_images(segments: tuple[tuple[int, bytes], ...], warnings: list[str]) -> None:
    """Warn that a multi-picture file holds more than the main image (CIPA DC-007, section 5.2.3)."""
    for content in _contents(segments, _APP2, _MULTI_PICTURE):
        try:
            count = int(number_of(content, _NUMBER_OF_IMAGES))
        except (KeyError, ValueError, struct.error):
            warnings.append("a damaged list of more images in the file was dropped")
            continue
        if count > 1:
            warnings.append(f"{count - 1} more images in the file (previews, depth) were dropped")
