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
_EXIF_DIRECTORY, _COLOR_SPACE, _SRGB = 0x8769, 0xA001, 1
"""Tags of the EXIF directory and of the colour space, and its value for sRGB (EXIF 2.32, section 4.6.5)."""
_PAIRS = ((0x0100, 0x0101), (0x011A, 0x011B), (0xA002, 0xA003), (0xA20E, 0xA20F))
"""Tags that are said of width and of height: sizes of the image, its resolution, sizes in pixels, the focal plane."""
_SWAPPED = {**dict(_PAIRS), **{down: across for across, down in _PAIRS}}
_AREAS = frozenset({0x9214, 0xA214})
"""Tags of the area and of the place of the main subject, in pixels."""
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
    """Whether the source has an ICC profile, so that the output gets one too."""
    profile: bytes = b""
    """ICC profile of the output; empty: that of sRGB."""


@dataclass(frozen=True)
class Turn:
    """How the stored pixels were turned upright."""

    orientation: int
    """Of the stored pixels, 1 to 8."""
    width: int
    """Of the stored pixels; so is the height."""
    height: int

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.orientation in (5, 6, 7, 8)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the stored pixels lies in the upright ones, both 0..1 (EXIF 2.32, table 6)."""
        if self.swaps_sides:
            x, y = y, x
        if self.orientation in (3, 4, 7, 8):
            y = 1 - y
        if self.orientation in (2, 3, 6, 7):
            x = 1 - x
        return x, y


def turned(metadata: Metadata) -> Metadata:
    """Return the metadata of a picture whose width and height were swapped, but for EXIF blocks and XMP."""
    dpi, resolution = metadata.dpi, metadata.tiff_resolution
    return replace(
        metadata,
        dpi=dpi and (dpi[1], dpi[0]),
        tiff_resolution=resolution and (resolution[1], resolution[0], resolution[2]),
        tiff_directories={
            code: {_SWAPPED.get(tag, tag): value for tag, value in directory.items()}
            for code, directory in metadata.tiff_directories.items()
        },
    )


def current_exif(exif: bytes, turn: Turn, *, is_srgb: bool) -> bytes:
    """Return an EXIF block that is true of upright pixels in RGB; one with a damaged directory as it is.

    Sizes and resolutions change places where width and height do, points of interest are turned, and the colour space
    is sRGB where the output says so in a profile. All other bytes stay, since maker notes hold offsets.

    Args:
        exif: the block of the source, or nothing.
        turn: of its pixels.
        is_srgb: whether the output has a profile, that of sRGB.

    """
    try:
        return _current(bytearray(exif), turn, is_srgb=is_srgb) if exif else exif
    except (struct.error, ValueError):
        return exif


def _current(block: bytearray, turn: Turn, *, is_srgb: bool) -> bytes:
    """Return that block.

    Raises:
        ValueError, struct.error: it is damaged.

    """
    order, entries = _byte_order(block), dict(_tags(block))
    if _EXIF_DIRECTORY in entries:
        (start,) = struct.unpack_from(f"{order}I", block, entries[_EXIF_DIRECTORY] + 8)
        entries |= dict(_tags(block, start))
    if turn.swaps_sides:
        _swap(block, entries)
    if turn.orientation != 1:
        for tag in _AREAS & set(entries):
            _turn_area(block, entries[tag], turn)
    if is_srgb and _COLOR_SPACE in entries:
        struct.pack_into(f"{order}H", block, entries[_COLOR_SPACE] + 8, _SRGB)
    return bytes(block)


def _swap(block: bytearray, entries: Mapping[int, int]) -> None:
    """Exchange types, counts and values of the tags that are said of width and of height."""
    for across, down in _SWAPPED.items():
        if across < down and across in entries and down in entries:
            one, other = (slice(entries[tag] + 2, entries[tag] + 12) for tag in (across, down))
            block[one], block[other] = block[other], block[one]


def _turn_area(block: bytearray, entry: int, turn: Turn) -> None:
    """Turn a point, a circle or a rectangle: its centre, then its diameter or width and height (EXIF 2.32, 4.6.5)."""
    order = _byte_order(block)
    kind, count = struct.unpack_from(f"{order}HI", block, entry + 2)
    if kind != _SHORT or not 2 <= count <= 4:
        return
    place = entry + 8
    if count * 2 > _INLINE_BYTES:
        (place,) = struct.unpack_from(f"{order}I", block, place)
    layout = f"{order}{count}H"
    if place + struct.calcsize(layout) > len(block):
        return
    x, y, *size = struct.unpack_from(layout, block, place)
    if x > turn.width or y > turn.height:
        return
    across, down = turn.point(x / turn.width, y / turn.height)
    width, height = (turn.height, turn.width) if turn.swaps_sides else (turn.width, turn.height)
    values = [round(across * width), round(down * height), *(reversed(size) if turn.swaps_sides else size)]
    struct.pack_into(layout, block, place, *values)


def upright_exif(exif: bytes) -> bytes:
    """Return an EXIF block with orientation 1, and without its thumbnail, which is grey and may be rotated.

    All other bytes are unchanged, since maker notes hold offsets: only the pointer to the thumbnail is cleared. The
    block is a TIFF header, then the first directory of 12-byte entries, then the offset of the next one, which is the
    thumbnail's (EXIF 2.32, sections 4.5.3 and 4.6.2).

    Raises:
        ValueError, struct.error: it is not an EXIF block.

    """
    block = bytearray(oriented_exif(exif.removeprefix(b"Exif\0\0"), 1))
    if block:
        order, end = _byte_order(block), _end_of_first_directory(block)
        struct.pack_into(f"{order}I", block, end, 0)
    return bytes(block)


def oriented_exif(exif: bytes, orientation: int) -> bytes:
    """Return an EXIF block in which the orientation, if it has one, is another.

    Raises:
        ValueError, struct.error: it is not an EXIF block.

    """
    block = bytearray(exif)
    for entry, order in _orientation_entries(block):
        struct.pack_into(f"{order}HIHH", block, entry + 2, _SHORT, 1, orientation, 0)
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


def _tags(block: bytes | bytearray, start: int | None = None) -> list[tuple[int, int]]:
    """Return the tags of a directory, the first one by default, each with the offset of its entry."""
    order = _byte_order(block)
    if start is None:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
    entries = range(start + 2, _end_of_directory(block, start), 12)
    return [(struct.unpack_from(f"{order}H", block, entry)[0], entry) for entry in entries]


def _byte_order(block: bytes | bytearray) -> str:
    order = {b"II": "<", b"MM": ">"}.get(bytes(block[:2]))
    if order is None:
        raise ValueError("it has no byte order")
    return order


def _end_of_first_directory(block: bytes | bytearray) -> int:
    (start,) = struct.unpack_from(f"{_byte_order(block)}I", block, 4)
    return _end_of_directory(block, start)


def _end_of_directory(block: bytes | bytearray, start: int) -> int:
    (count,) = struct.unpack_from(f"{_byte_order(block)}H", block, start)
    return int(start + 2 + 12 * count)
