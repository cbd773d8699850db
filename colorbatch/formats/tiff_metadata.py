"""What a TIFF page says beside its pixels, as far as it can be read: damaged parts are left out, with a warning."""

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import replace

import tifffile

from colorbatch.formats import iptc, photoshop
from colorbatch.formats.tiff_directory import (
    CREDENTIALS,
    TYPE_BYTES,
    Directory,
    Layout,
    integer_of,
    is_unstated_old_jpeg,
    read_directory,
    read_tags,
)
from colorbatch.pixels.metadata import Metadata, RawTag

_EXIF, _GPS, _INTEROPERABILITY = 34665, 34853, 40965
_DIRECTORIES = {_EXIF: "EXIF", _GPS: "GPS", _INTEROPERABILITY: "interoperability"}
"""Tags that point to another directory; the last is a tag of the EXIF directory."""
_OF_PIXELS = frozenset(
    {
        *(254, 255, 263, 264, 265, 274, 280, 281, 282, 283, 288, 289, 290, 291, 292, 293, 296, 301, 318, 319, 320, 321),
        *(326, 327, 328, 332, 333, 334, 336, 337, 340, 341, 342, 347, *range(512, 522), 529, 530, 531, 532, 34675),
        *tifffile.TIFF.TAG_FILTERED,
    }
)
"""Tags that describe how the pixels are stored and interpreted: an output has its own."""
_COLOR_SPACE, _SHORT, _SRGB = 40961, 3, 1
"""Tag of EXIF, its type, and its value for sRGB (EXIF 2.32, section 4.6.5)."""
_POINTERS = frozenset({13, 18})
"""Types of offsets of directories, which an output does not have where its source has them."""
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _ORIENTATION = 254, 255, 274
_RESOLUTION, _RESOLUTION_UNIT = (282, 283), 296
_XMP, _SUB_IFDS, _PROFILE = 700, 330, 34675
_BYTE, _RATIONAL = 1, 5
_IPTC, _RESOURCES, _LAYERS = 33723, 34377, 37724
"""IPTC-IIM, image resources and layers of Photoshop (Adobe Photoshop TIFF Technical Notes, 2002)."""
_THUMBNAILS = frozenset(range(20498, 20540))
"""Thumbnails of GDI+, which stores them as tags of the page (property tags 0x5012 to 0x503B)."""
_WIDTH, _COMPRESSION, _OLD_JPEG, _JPEG_THUMBNAIL = 256, 259, 6, 513
"""Where pixels are not compressed as old-style JPEG, an offset of a JPEG is that of a thumbnail."""
_NO_UNIT, _INCH, _LAST_UNIT = 1, 2, 5
"""Codes of the unit of resolution: none, inch, centimetre; 4 and 5 are millimetre and micrometre."""
_READ_HERE = frozenset(
    (_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _ORIENTATION, *_RESOLUTION, _RESOLUTION_UNIT, _SUB_IFDS, _PROFILE, _EXIF, _GPS)
)
"""Tags among them whose damage is a warning, too."""
_MOST_NAMED = 8
"""Maximum number of tags that a warning names."""


class PageTags:
    """The tags of a page that can be read."""

    def __init__(self, data: bytes, directory: Directory, layout: Layout) -> None:
        self.layout = layout
        self.tags, self.damaged = read_tags(data, directory, layout)
        states_old_jpeg = self.integer(_COMPRESSION) == _OLD_JPEG
        self.is_old_jpeg = states_old_jpeg or is_unstated_old_jpeg(data, directory.entries, layout)
        """Whether its pixels are in old-style JPEG."""

    def integer(self, code: int) -> int | None:
        """Return the value of a tag that is a single unsigned integer; ``None``: there is none."""
        return integer_of(self.tags, code, self.layout.order)

    @property
    def subfile_type(self) -> int:
        """Flags of the page: reduced version of another (1), one of many (2), mask (4)."""
        old = {2: 1, 3: 2}.get(self.integer(_OLD_SUBFILE_TYPE) or 0, 0)
        return self.integer(_SUBFILE_TYPE) or old

    @property
    def orientation(self) -> int | None:
        """Orientation of the stored pixels, 1 to 8; ``None``: there is no valid tag."""
        value = self.integer(_ORIENTATION)
        return value if value in range(1, 9) else None

    @property
    def is_thumbnail(self) -> bool:
        """Whether it is no page, but a thumbnail as in EXIF (EXIF 2.32, section 4.5.4): a JPEG without a width."""
        return _JPEG_THUMBNAIL in self.tags and _WIDTH not in self.tags

    @property
    def profile(self) -> bytes | None:
        """ICC profile of the pixels."""
        return self.tags[_PROFILE][2] if _PROFILE in self.tags else None


def metadata_of(page: PageTags, data: bytes, compression: str | None, warnings: list[str]) -> Metadata:
    """Return the metadata of a page, with its EXIF and GPS directories as stored in the file.

    Args:
        page: its tags.
        data: the file.
        compression: that the output shall have; ``None``: the usual one.
        warnings: receives what was left out.

    """
    tags = without_damage(page, warnings)
    described = {code: tag for code, tag in tags.items() if code not in _OF_PIXELS and code not in (_XMP, CREDENTIALS)}
    return Metadata(
        xmp=tags[_XMP][2] if _XMP in tags else b"",
        tiff_tags=_without_copies(described, page, warnings),
        tiff_directories=_directories_of(page, data, warnings),
        tiff_byte_order=page.layout.order,
        tiff_subfile_type=page.subfile_type,
        tiff_resolution=_resolution_of(page, warnings),
        tiff_compression=compression,
        has_profile=bool(page.profile),
    )


def said_in_srgb(metadata: Metadata) -> Metadata:
    """Return metadata whose EXIF directory, if it states a colour space, states sRGB."""
    exif = metadata.tiff_directories.get(_EXIF, {})
    if _COLOR_SPACE not in exif:
        return metadata
    srgb = (_SHORT, 1, struct.pack(f"{metadata.tiff_byte_order}H", _SRGB))
    return replace(metadata, tiff_directories={**metadata.tiff_directories, _EXIF: {**exif, _COLOR_SPACE: srgb}})


def without_damage(page: PageTags, warnings: list[str]) -> Mapping[int, RawTag]:
    """Return the tags of a page that can be read and copied, those of pixels included.

    Args:
        page: its tags.
        warnings: receives what was left out.

    """
    _warn_of_damage([code for code in page.damaged if code not in _OF_PIXELS or code in _READ_HERE], "", warnings)
    if _SUB_IFDS in page.tags:
        warnings.append(f"{page.tags[_SUB_IFDS][1]} images within a page (SubIFDs) were dropped")
    pointers = [code for code, (kind, _, _) in page.tags.items() if kind in _POINTERS]
    unknown = [code for code in pointers if code not in _DIRECTORIES and code not in _OF_PIXELS]
    if unknown:
        warnings.append(f"directories of an unknown kind were dropped: {_named(unknown)}")
    left_out = {*pointers, *_DIRECTORIES, _SUB_IFDS}
    return {code: tag for code, tag in page.tags.items() if code not in left_out}


def _without_copies(tags: Mapping[int, RawTag], page: PageTags, warnings: list[str]) -> Mapping[int, RawTag]:
    """Return tags without copies of the picture, which would stay as they are beside the coloured one."""
    kept = {code: tag for code, tag in tags.items() if code != _LAYERS and code not in _THUMBNAILS}
    if _LAYERS in tags:
        warnings.append("the layers of Photoshop were dropped")
    if tags.keys() & _THUMBNAILS or (_JPEG_THUMBNAIL in page.tags and not page.is_old_jpeg):
        warnings.append("a thumbnail was dropped")
    for code, remove, warning in (
        (_IPTC, iptc.without_preview, "a preview in IPTC was dropped"),
        (_RESOURCES, photoshop.without_thumbnails, photoshop.THUMBNAIL_DROPPED),
    ):
        kind, _, value = kept.get(code, (_BYTE, 0, b""))
        left = remove(value)
        if left != value:
            warnings.append(warning)
            size = TYPE_BYTES[kind]
            kept[code] = (kind, math.ceil(len(left) / size), left.ljust(math.ceil(len(left) / size) * size, b"\0"))
    return {code: tag for code, tag in kept.items() if tag[2]}


def _directories_of(page: PageTags, data: bytes, warnings: list[str]) -> Mapping[int, Mapping[int, RawTag]]:
    """Return the EXIF, GPS and interoperability directories, as far as they can be read."""
    found: dict[int, Mapping[int, RawTag]] = {}
    for code, name in _DIRECTORIES.items():
        tags = found.get(_EXIF, {}) if code == _INTEROPERABILITY else page.tags
        if code not in tags:
            continue
        try:
            directory = read_directory(data, integer_of(tags, code, page.layout.order), page.layout)
            inner, damaged = read_tags(data, directory, page.layout)
        except ValueError as error:
            warnings.append(f"the damaged {name} directory was dropped: {error}")
            continue
        _warn_of_damage(damaged, f" of the {name} directory", warnings)
        if inner:
            found[code] = inner
    if _EXIF in found and _INTEROPERABILITY not in found:  # what an offset points to is not in the output
        exif = {code: tag for code, tag in found[_EXIF].items() if code != _INTEROPERABILITY}
        found = {**found, _EXIF: exif}
    return found


def _resolution_of(page: PageTags, warnings: list[str]) -> tuple[tuple[int, int], tuple[int, int], int] | None:
    """Return the resolution of a page; ``None``: it has none, or one that no writer can store."""
    across, down = (_rational_of(page, code) for code in _RESOLUTION)
    if across is None or down is None:
        if any(code in page.tags for code in _RESOLUTION):
            warnings.append("the damaged resolution was dropped")
        return None
    unit = page.integer(_RESOLUTION_UNIT)
    if unit is None and _RESOLUTION_UNIT not in page.tags and _RESOLUTION_UNIT not in page.damaged:
        unit = _INCH
    if unit is None or not _NO_UNIT <= unit <= _LAST_UNIT:
        warnings.append("the damaged unit of the resolution was dropped")
        unit = _NO_UNIT
    return across, down, unit


def _rational_of(page: PageTags, code: int) -> tuple[int, int] | None:
    """Return numerator and denominator of a tag that is one fraction above 0; ``None``: it is not."""
    kind, count, value = page.tags.get(code, (0, 0, b""))
    if (kind, count) != (_RATIONAL, 1):
        return None
    numerator, denominator = struct.unpack(f"{page.layout.order}2I", value)
    return (numerator, denominator) if numerator and denominator else None


def _warn_of_damage(codes: Iterable[int], where: str, warnings: list[str]) -> None:
    named = _named(codes)
    if named:
        warnings.append(f"damaged tags{where} were dropped: {named}")


def _named(codes: Iterable[int]) -> str:
    """Return the numbers of tags with their names, the first few if they are many."""
    known = [f"{code} ({tifffile.TIFF.TAGS[code]})" if code in tifffile.TIFF.TAGS else f"{code}" for code in codes]
    more = len(known) - _MOST_NAMED
    return ", ".join(known[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
