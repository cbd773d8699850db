"""Metadata of a picture file, as blocks of bytes that are copied to its output."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from PIL import ExifTags

RawTag = tuple[int, int, bytes]
"""Type, count and bytes of a TIFF tag, as stored in the file."""

_SHORT = 3
"""Number of the 16-bit type of EXIF and TIFF."""
_NUMBERS = {3: "H", 4: "I", 5: "II", 8: "h", 9: "i", 10: "ii"}
"""Layouts of the numeric types of EXIF, by their numbers; two numbers are a fraction."""
_INLINE_BYTES = 4
"""Longest value that an entry of a directory holds itself."""


@dataclass(frozen=True)
class Metadata:
    """Metadata that the output inherits from its source. Blocks that the format does not have are empty."""

    exif: bytes = b""
    """EXIF block, starting with its byte order, with orientation 1; empty for TIFF."""
    xmp: bytes = b""
    """XMP packet."""
    photoshop: bytes = b""
    """Image resources of a JPEG (APP13), including IPTC-IIM."""
    comments: tuple[bytes, ...] = ()
    """Comments of a JPEG."""
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    """Type and content of the text and time chunks of a PNG."""
    jp2_boxes: tuple[tuple[bytes, bytes], ...] = ()
    """Type and content of the metadata boxes of a JP2 file."""
    tiff_tags: Mapping[int, RawTag] = field(default_factory=dict)
    """Tags of a TIFF page, except those that describe how its pixels are stored."""
    tiff_directories: Mapping[int, Mapping[int, RawTag]] = field(default_factory=dict)
    """EXIF and GPS directories of a TIFF page, by the tag that points to them."""
    tiff_subfile_type: int = 0
    """Flags of a TIFF page: reduced version of another (1), one of many (2), mask (4)."""
    tiff_byte_order: Literal["<", ">"] = "<"
    """Byte order of ``tiff_tags``: ``<`` or ``>``."""
    tiff_compression: str | None = None
    """Lossless compression of the source, to be used again."""
    tiff_resolution: tuple[tuple[int, int], tuple[int, int], int] | None = None
    """Pixels per unit across and down, as fractions, and the TIFF code of the unit."""
    dpi: tuple[float, float] | None = None
    """Pixels per inch, across and down; not for TIFF."""
    has_profile: bool = False
    """Whether the source has an ICC profile, so that the output gets one too: that of sRGB."""


def turned(metadata: Metadata) -> Metadata:
    """Return the metadata of a picture whose width and height were swapped."""
    dpi, resolution = metadata.dpi, metadata.tiff_resolution
    return replace(
        metadata,
        dpi=dpi and (dpi[1], dpi[0]),
        tiff_resolution=resolution and (resolution[1], resolution[0], resolution[2]),
    )


def upright_exif(exif: bytes) -> bytes:
    """Return an EXIF block with orientation 1, and without its thumbnail, which is grey and may be rotated.

    All other bytes are unchanged, since maker notes hold offsets: only the pointer to the thumbnail is cleared. The
    block is a TIFF header, then the first directory of 12-byte entries, then the offset of the next one, which is the
    thumbnail's (EXIF 2.32, sections 4.5.3 and 4.6.2).

    Raises:
        ValueError, struct.error: it is not an EXIF block.

    """
    block = bytearray(exif.removeprefix(b"Exif\0\0"))
    for entry, order in _orientation_entries(block):
        struct.pack_into(f"{order}HIHH", block, entry + 2, _SHORT, 1, 1, 0)
    if block:
        order, end = _byte_order(block), _end_of_first_directory(block)
        struct.pack_into(f"{order}I", block, end, 0)
    return bytes(block)


def orientation_of(exif: bytes) -> int | None:
    """Return the orientation of an EXIF block, 1 to 8; ``None``: it has none, or an invalid one.

    Raises:
        ValueError, struct.error: it is not an EXIF block.

    """
    block = exif.removeprefix(b"Exif\0\0")
    for entry, order in _orientation_entries(block):
        (orientation,) = struct.unpack_from(f"{order}H", block, entry + 8)
        return int(orientation) if 1 <= orientation <= 8 else None
    return None


def number_of(exif: bytes, tag: int) -> float:
    """Return the first value of a numeric tag in the first directory of an EXIF block.

    Raises:
        KeyError: it has no such tag.
        ValueError, struct.error: it is not an EXIF block, or the tag is not a number.

    """
    block = exif.removeprefix(b"Exif\0\0")
    order, entry = _byte_order(block), dict(_tags(block))[tag]
    (kind,) = struct.unpack_from(f"{order}H", block, entry + 2)
    if kind not in _NUMBERS:
        raise ValueError(f"tag {tag} is not a number")
    layout = order + _NUMBERS[kind]
    place = entry + 8
    if struct.calcsize(layout) > _INLINE_BYTES:
        (place,) = struct.unpack_from(f"{order}I", block, place)
    value, *divisor = struct.unpack_from(layout, block, place)
    if divisor == [0]:
        raise ValueError(f"tag {tag} divides by 0")
    return float(value / divisor[0] if divisor else value)


def _orientation_entries(block: bytes | bytearray) -> list[tuple[int, str]]:
    """Return the offsets of the orientation entries, each with the byte order."""
    entries = _tags(block) if block else []
    return [(entry, _byte_order(block)) for tag, entry in entries if tag == ExifTags.Base.Orientation]


def _tags(block: bytes | bytearray) -> list[tuple[int, int]]:
    """Return the tags of the first directory, each with the offset of its entry."""
    order = _byte_order(block)
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    entries = range(start + 2, _end_of_first_directory(block), 12)
    return [(struct.unpack_from(f"{order}H", block, entry)[0], entry) for entry in entries]


def _byte_order(block: bytes | bytearray) -> str:
    order = {b"II": "<", b"MM": ">"}.get(bytes(block[:2]))
    if order is None:
        raise ValueError("it has no byte order")
    return order


def _end_of_first_directory(block: bytes | bytearray) -> int:
    order = _byte_order(block)
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    (count,) = struct.unpack_from(f"{order}H", block, start)
    return int(start + 2 + 12 * count)
