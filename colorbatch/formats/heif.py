"""HEIF and AVIF: their pixels without the metadata items of a file (ISO/IEC 14496-12, section 8.11)."""

import re
import struct

from colorbatch.formats.primaries import profile_of_code_points

_METADATA_ITEM = re.compile(rb"(infe[\2\3].{3}(?:.{4}|.{6}))(?:Exif|mime)", re.DOTALL)
"""Entry of an item: its version, flags, number of 2 or 4 bytes, protection and type (section 8.11.6)."""
_IGNORED_TYPE = b"skip"
_MAJOR_BRAND = slice(8, 12)
_KNOWN_TO_ALL = b"mif1"
_UNKNOWN_BRANDS = frozenset({b"miaf", b"mif2", b"MiHB", b"MiHE", b"MiPr", b"MA1A", b"MA1B"})
"""Brands of profiles, which decoders look for among the compatible ones only."""
_CODE_POINTS = b"colrnclx"
"""Start of a colour information box with code points (ISO/IEC 14496-12, section 12.1.5)."""


def without_metadata(data: bytes) -> bytes:
    """Return the file with its EXIF and XMP items marked as of a type that decoders ignore; no offset changes."""
    return _METADATA_ITEM.sub(rb"\1" + _IGNORED_TYPE, with_known_brand(data))


def with_known_brand(data: bytes) -> bytes:
    """Return the file with a major brand that decoders know, if it has one that names no codec."""
    if data[_MAJOR_BRAND] not in _UNKNOWN_BRANDS:
        return data
    return data[: _MAJOR_BRAND.start] + _KNOWN_TO_ALL + data[_MAJOR_BRAND.stop :]


def profile_of(data: bytes, *, is_grey: bool) -> bytes | None:
    """Return an ICC profile of the colour space that the file names; ``None``: it is sRGB, or it names none.

    Raises:
        UnsupportedPictureError: it is one of high dynamic range, or otherwise unknown.

    """
    place = data.find(_CODE_POINTS)
    if not 0 <= place <= len(data) - len(_CODE_POINTS) - 4:
        return None
    primaries, transfer = struct.unpack_from(">2H", data, place + len(_CODE_POINTS))
    return profile_of_code_points(primaries, transfer, is_grey=is_grey)
