"""What a raw file says beside its pixels: the descriptive tags of those that are like a TIFF (most are)."""

from dataclasses import replace

from colorbatch.errors import UnreadablePictureError
from colorbatch.formats.tiff_directory import layout_of, pages_of
from colorbatch.formats.tiff_metadata import PageTags, metadata_of, said_in_srgb
from colorbatch.pixels.metadata import Metadata

_LIKE_TIFF = {b"IIRO": b"II*\0", b"IIRS": b"II*\0", b"MMOR": b"MM\0*", b"IIU\0": b"II*\0"}
"""Starts of ORF and RW2, which differ from a TIFF in this alone."""
_EXIF, _GPS = 34665, 34853
_KEPT = frozenset(
    (*(270, 271, 272, 282, 283, 296, 305, 306, 315, 700, 18246, 18249, 33432, 33723), *range(40091, 40096), _EXIF, _GPS)
)
"""Tags that describe the photograph: those of the sensor and of DNG would make readers take the output for raw."""
_OF_SENSOR = frozenset({37500, 40962, 40963, 41730})
"""Tags of EXIF about what was recorded: maker notes, sizes, pattern of the colour filters (EXIF 2.32, 4.6.5)."""


def metadata_of_raw(data: bytes, warnings: list[str]) -> Metadata:
    """Return the metadata of a raw file for a TIFF in sRGB.

    Args:
        data: the file.
        warnings: receives what was left out.

    """
    like_tiff = _LIKE_TIFF.get(data[:4], data[:4]) + data[4:]
    try:
        layout = layout_of(like_tiff)
        first, *_ = pages_of(like_tiff, layout, salvage=True)
    except (UnreadablePictureError, ValueError):
        warnings.append("EXIF and XMP of this kind of raw file are not read, and were dropped")
        return Metadata(has_profile=True)
    kept = replace(first, entries=tuple(entry for entry in first.entries if entry.code in _KEPT))
    metadata = metadata_of(PageTags(like_tiff, kept, layout), like_tiff, None, warnings)
    directories = {
        code: {tag: value for tag, value in directory.items() if tag not in _OF_SENSOR}
        for code, directory in metadata.tiff_directories.items()
    }
    return said_in_srgb(replace(metadata, tiff_directories=directories, has_profile=True))
