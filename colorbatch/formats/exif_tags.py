"""EXIF blocks, which are TIFFs without pixels, as tags of a TIFF page, and such tags as an EXIF block."""

import struct
from collections.abc import Mapping
from dataclasses import replace

from colorbatch.errors import UnreadablePictureError
from colorbatch.formats.tiff_directory import Layout, layout_of, pages_of, write_directory
from colorbatch.formats.tiff_metadata import PageTags, metadata_of
from colorbatch.pixels.metadata import Metadata, RawTag

_EXIF, _INTEROPERABILITY = 34665, 40965
"""Tags that point to another directory; the second is a tag of the first (EXIF 2.32, section 4.6.3)."""
_LONG, _LAST_TYPE = 4, 13
"""Number of the 32-bit type, and the last type that is not of BigTIFF alone."""
_HEADER_BYTES = 8


def tags_of(block: bytes, warnings: list[str]) -> Metadata:
    """Return the metadata in an EXIF block, as that of a TIFF page.

    Args:
        block: the EXIF block; may be empty.
        warnings: receives what was left out.

    """
    if not block:
        return Metadata()
    try:
        layout = layout_of(block)
        first, *_ = pages_of(block, layout, salvage=True)
    except (UnreadablePictureError, ValueError, struct.error) as error:
        warnings.append(f"damaged EXIF was dropped: {error}")
        return Metadata()
    return replace(metadata_of(PageTags(block, first, layout), block, None, warnings), tiff_subfile_type=0)


def block_of(metadata: Metadata, tags: Mapping[int, RawTag]) -> bytes:
    """Return an EXIF block of tags of a TIFF page and of its EXIF and GPS directories; empty if there are none."""
    tags = _without_big(tags)
    directories = {code: _without_big(inner) for code, inner in metadata.tiff_directories.items()}
    interoperability = directories.pop(_INTEROPERABILITY, None)
    if not tags and not directories:
        return b""
    layout = Layout(metadata.tiff_byte_order, is_big=False)
    pointers = dict.fromkeys(directories, _pointer(0, layout))
    block = bytearray(struct.pack(f"{layout.order}2sHI", b"II" if layout.order == "<" else b"MM", 42, _HEADER_BYTES))
    end = _HEADER_BYTES + len(write_directory({**tags, **pointers}, _HEADER_BYTES, layout))
    block = block.ljust(end, b"\0")
    if interoperability and _EXIF in directories:
        place = _append(block, interoperability, layout)
        directories[_EXIF] = {**directories[_EXIF], _INTEROPERABILITY: _pointer(place, layout)}
    for code, directory in directories.items():
        pointers[code] = _pointer(_append(block, directory, layout), layout)
    block[_HEADER_BYTES:end] = write_directory({**tags, **pointers}, _HEADER_BYTES, layout)
    return bytes(block)


def _without_big(tags: Mapping[int, RawTag]) -> dict[int, RawTag]:
    return {code: tag for code, tag in tags.items() if tag[0] <= _LAST_TYPE}


def _pointer(place: int, layout: Layout) -> RawTag:
    return _LONG, 1, struct.pack(f"{layout.order}I", place)


def _append(block: bytearray, directory: Mapping[int, RawTag], layout: Layout) -> int:
    """Append a directory to a block, and return its offset, which is even."""
    block += b"\0" * (len(block) % 2)
    place = len(block)
    block += write_directory(directory, place, layout)
    return place
