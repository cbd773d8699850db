"""What a picture file says beside its pixels, as blocks of bytes that its output takes over."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from PIL import ExifTags

RawTag = tuple[int, int, bytes]
"""Type, count and bytes of a TIFF tag, as they stand in the file."""

_SHORT = 3
"""The 16-bit type of EXIF and TIFF."""


@dataclass(frozen=True)
class Metadata:
    """What the output takes over from its source. Blocks that a format has no place for are empty."""

    exif: bytes = b""
    """A whole EXIF block from its byte order on, with orientation 1; empty for TIFF."""
    xmp: bytes = b""
    """An XMP packet."""
    photoshop: bytes = b""
    """The image resources of a JPEG (APP13), IPTC-IIM among them."""
    comments: tuple[bytes, ...] = ()
    """Of a JPEG."""
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    """Type and content of a PNG's text and time chunks."""
    tiff_tags: Mapping[int, RawTag] = field(default_factory=dict)
    """All tags of a TIFF page that do not say how its pixels are stored."""
    tiff_directories: Mapping[int, Mapping[int, RawTag]] = field(default_factory=dict)
    """The EXIF and GPS directories of a TIFF page, by the tag that points to them."""
    tiff_byte_order: str = "<"
    """In which ``tiff_tags`` are: ``<`` or ``>``."""
    tiff_compression: str | None = None
    """A lossless one of the source, to be used again."""
    tiff_resolution: tuple[tuple[int, int], tuple[int, int], int] | None = None
    """Pixels a unit across and down, as fractions, and TIFF's number of the unit."""
    dpi: tuple[float, float] | None = None
    """Pixels an inch, across and down; not for TIFF."""
    has_profile: bool = False
    """Whether the source carried an ICC profile, so that the output carries one too: that of sRGB."""


def turned(metadata: Metadata) -> Metadata:
    """Return the metadata of a picture whose width and height changed places."""
    dpi, resolution = metadata.dpi, metadata.tiff_resolution
    return replace(
        metadata,
        dpi=dpi and (dpi[1], dpi[0]),
        tiff_resolution=resolution and (resolution[1], resolution[0], resolution[2]),
    )


def upright_exif(exif: bytes) -> bytes:
    """Return an EXIF block with its orientation set to 1 and every other byte as it was: maker notes hold offsets.

    The block is a TIFF header, then the first directory of 12-byte entries (EXIF 2.32, section 4.6.2).

    Raises:
        ValueError, struct.error: it is not such a block.

    """
    block = bytearray(exif.removeprefix(b"Exif\0\0"))
    for entry, order in _orientation_entries(block):
        struct.pack_into(f"{order}HIHH", block, entry + 2, _SHORT, 1, 1, 0)
    return bytes(block)


def orientation_of(exif: bytes) -> int:
    """Return the orientation, 1 to 8, that an EXIF block asks for; 1 when it says nothing sensible.

    Raises:
        ValueError, struct.error: it is not an EXIF block.

    """
    block = exif.removeprefix(b"Exif\0\0")
    for entry, order in _orientation_entries(block):
        (orientation,) = struct.unpack_from(f"{order}H", block, entry + 8)
        return int(orientation) if 1 <= orientation <= 8 else 1
    return 1


def _orientation_entries(block: bytes | bytearray) -> list[tuple[int, str]]:
    """Return where the entries of the orientation begin, and the byte order."""
    if not block:
        return []
    order = {b"II": "<", b"MM": ">"}.get(bytes(block[:2]))
    if order is None:
        raise ValueError("it has no byte order")
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    (count,) = struct.unpack_from(f"{order}H", block, start)
    entries = range(start + 2, start + 2 + 12 * count, 12)
    tags = [(entry, struct.unpack_from(f"{order}H", block, entry)[0]) for entry in entries]
    return [(entry, order) for entry, tag in tags if tag == ExifTags.Base.Orientation]
