"""TIFF directories: their tags as stored, and copies of a file without the tags that its pixels do not need.

Sources: TIFF 6.0, section 2; BigTIFF (libtiff, 2007).
"""

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from colorbatch.errors import UnreadablePictureError
from colorbatch.pixels.metadata import RawTag

TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value by type (TIFF 6.0, section 2; 16 to 18 are from BigTIFF)."""
_UNSIGNED = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Types of unsigned integers, offsets included, as ``struct`` names them."""
_HEADER_BYTES = 16
_FIRST_OFFSET = {False: 4, True: 8}
"""Position of the offset of the first directory, in a TIFF and in a BigTIFF."""
_MAX_ENTRIES = 4096
"""Number of entries above which a directory is damaged."""
_COMPRESSION, _PREDICTOR, _UNCOMPRESSED = 259, 317, 1
_PALETTE, _SHORT = 320, 3
CREDENTIALS = 52545
"""Content Credentials, which are broken in any other file (C2PA specification 2.2)."""
_JPEG, _OLD_JPEG, _JPEG_STREAM, _JPEG_START = 7, 6, 513, b"\xff\xd8"
_OFFSETS = 273, 324
"""Offsets of strips and of tiles."""
_DECODED = frozenset(
    {
        *(256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 338, 339, 347),
        *(*range(512, 522), 529, 530, 531, 532, 32997, 32998, 50674),
    }
)
"""Tags that a decoder needs: size, samples, compression, strips and tiles, palette, fax, JPEG, YCbCr, depth, LERC."""


class Layout:
    """Layout of directories in a file: its byte order, and ``struct`` formats."""

    def __init__(self, order: Literal["<", ">"], *, is_big: bool) -> None:
        self.order: Literal["<", ">"] = order
        self.is_big = is_big
        self.count, self.entry, self.pointer = (
            (f"{order}Q", f"{order}HHQ", f"{order}Q") if is_big else (f"{order}H", f"{order}HHI", f"{order}I")
        )
        self.inline = struct.calcsize(self.pointer)
        self.head_size = struct.calcsize(self.count)
        self.entry_size = struct.calcsize(self.entry) + self.inline
        self.first_offset = _FIRST_OFFSET[is_big]


@dataclass(frozen=True)
class Entry:
    """An entry of a directory."""

    code: int
    kind: int
    count: int
    position: int
    """Where it is in the file."""


@dataclass(frozen=True)
class Directory:
    """A directory of a file."""

    offset: int
    entries: tuple[Entry, ...]
    following: int
    """Offset of the next directory; 0: it is the last."""

    @property
    def codes(self) -> set[int]:
        """Codes of its tags."""
        return {entry.code for entry in self.entries}


def layout_of(data: bytes) -> Layout:
    """Return the layout of a file.

    Raises:
        UnreadablePictureError: it is not a TIFF.

    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    version = struct.unpack_from(f"{order}H", data, 2)[0] if order and len(data) >= 8 else None
    if version not in (42, 43):
        raise UnreadablePictureError("not a readable TIFF picture")
    return Layout("<" if order == "<" else ">", is_big=version == 43)


def pages_of(data: bytes, layout: Layout, *, salvage: bool = False) -> list[Directory]:
    """Return the directories of the pages; with ``salvage``, those before one that cannot be read.

    A directory that only holds Content Credentials, as in signed files of several pages, is no page.

    Raises:
        UnreadablePictureError: one cannot be read; with ``salvage``, the first one.

    """
    (offset,) = struct.unpack_from(layout.pointer, data.ljust(_HEADER_BYTES), layout.first_offset)
    found: dict[int, Directory] = {}
    while offset and offset not in found:
        try:
            found[offset] = read_directory(data, offset, layout)
        except ValueError as error:
            if not salvage or not found:
                raise UnreadablePictureError(f"damaged or truncated: of page {len(found) + 1}, {error}") from error
            break
        offset = found[offset].following
    return [each for each in found.values() if each.codes != {CREDENTIALS} or len(found) == 1]


def read_directory(data: bytes, offset: int | None, layout: Layout) -> Directory:
    """Return the directory at ``offset``.

    Raises:
        ValueError: it is not within the file, or is none.

    """
    if not offset:
        raise ValueError("it has no offset")
    try:
        (count,) = struct.unpack_from(layout.count, data, offset)
    except (struct.error, OverflowError) as error:
        raise ValueError("the directory is outside the file") from error
    start = offset + layout.head_size
    end = start + count * layout.entry_size
    if count > _MAX_ENTRIES or end > len(data):
        raise ValueError(f"the directory claims {count} entries")
    entries = []
    for position in range(start, end, layout.entry_size):
        code, kind, values = struct.unpack_from(layout.entry, data, position)
        entries.append(Entry(code, kind, values, position))
    is_followed = end + layout.inline <= len(data)  # some writers leave this out at the end of a file
    following = struct.unpack_from(layout.pointer, data, end)[0] if is_followed else 0
    return Directory(offset, tuple(entries), following)


def read_tags(data: bytes, directory: Directory, layout: Layout) -> tuple[dict[int, RawTag], list[int]]:
    """Return the tags of a directory as stored, and the codes of those whose values cannot be read.

    Values outside the file cannot, nor those of unknown types, nor what is left once they take more than the file.
    """
    tags: dict[int, RawTag] = {}
    damaged: list[int] = []
    bytes_left = len(data)
    for entry in directory.entries:
        size = entry.count * TYPE_BYTES.get(entry.kind, 0)
        place = _place_of(data, entry, size, layout)
        if not 0 < size <= min(bytes_left, len(data) - place):
            damaged.append(entry.code)
            continue
        bytes_left -= size
        tags[entry.code] = (entry.kind, entry.count, data[place : place + size])
    return tags, damaged


def _place_of(data: bytes, entry: Entry, size: int, layout: Layout) -> int:
    """Return where the values of an entry are, which take ``size`` bytes."""
    place = entry.position + struct.calcsize(layout.entry)
    return place if size <= layout.inline else int(struct.unpack_from(layout.pointer, data, place)[0])


def integers_of(tag: RawTag, order: str) -> tuple[int, ...]:
    """Return the values of a tag of unsigned integers; none if it is of another type."""
    kind, count, value = tag
    return struct.unpack(f"{order}{count}{_UNSIGNED[kind]}", value) if kind in _UNSIGNED else ()


def integer_of(tags: Mapping[int, RawTag], code: int, order: str) -> int | None:
    """Return the value of a tag that is a single unsigned integer; ``None``: there is none."""
    values = integers_of(tags[code], order) if code in tags else ()
    return values[0] if len(values) == 1 else None


def copy_for_decoders(data: bytes, directories: Sequence[Directory], layout: Layout) -> bytes:
    """Return a copy of a file in which the directories of its pages have nothing but what decoders need.

    So no decoder stumbles over damaged metadata, nor rotates by it, nor takes the file for one of a private kind.
    Where nothing is compressed, there is no predictor either (TIFF 6.0, section 14), which decoders disagree upon.
    Palettes of 8 bits are widened to the 16 that they should have, and old-style JPEG is stated as such.
    """
    copy = io.BytesIO(data)
    offsets = [*(directory.offset for directory in directories[1:]), 0]
    for directory, following in zip(directories, offsets, strict=True):
        entries = [entry for entry in directory.entries if entry.code in _DECODED]
        if _is_uncompressed(data, entries, layout):
            entries = [entry for entry in entries if entry.code != _PREDICTOR]
        is_old_jpeg = is_unstated_old_jpeg(data, entries, layout)
        copy.seek(directory.offset)
        copy.write(struct.pack(layout.count, len(entries)))
        for entry in entries:
            if is_old_jpeg and entry.code == _COMPRESSION:
                value = struct.pack(f"{layout.order}H", _OLD_JPEG).ljust(layout.inline, b"\0")
                copy.write(struct.pack(layout.entry, _COMPRESSION, _SHORT, 1) + value)
            else:
                copy.write(data[entry.position : entry.position + layout.entry_size])
        copy.write(struct.pack(layout.pointer, following))
        for place, palette in _widened_palettes(data, entries, layout):
            copy.seek(place)
            copy.write(palette)
    return copy.getvalue()


def _widened_palettes(data: bytes, entries: Sequence[Entry], layout: Layout) -> Iterator[tuple[int, bytes]]:
    """Yield places and values of palettes that have 0 to 255 instead of 0 to 65,535, as some writers store them."""
    for entry in entries:
        if entry.code != _PALETTE or entry.kind != _SHORT:
            continue
        tags, _ = read_tags(data, Directory(0, (entry,), 0), layout)
        levels = integers_of(tags[_PALETTE], layout.order) if tags else ()
        if levels and max(levels) < 256:
            widened = struct.pack(f"{layout.order}{len(levels)}H", *(257 * level for level in levels))
            yield _place_of(data, entry, len(widened), layout), widened


def is_unstated_old_jpeg(data: bytes, entries: Sequence[Entry], layout: Layout) -> bool:
    """Return whether a page states JPEG compression, but has a stream of old-style JPEG, within which its data begins.

    Such are written by capture programs of Kodak. In JPEG compression, each strip or tile is a stream of its own
    (Adobe Photoshop TIFF Technical Notes, 2002); in old-style JPEG, only coded data may be in them.
    """
    places = (*_OFFSETS, _JPEG_STREAM)
    known = tuple(entry for entry in entries if entry.code in (_COMPRESSION, *places))
    tags, _ = read_tags(data, Directory(0, known, 0), layout)
    if integer_of(tags, _COMPRESSION, layout.order) != _JPEG or _JPEG_STREAM not in tags:
        return False
    starts = [integers_of(tags[code], layout.order)[:1] for code in places if code in tags]
    parts, stream = [data[start[0] : start[0] + 2] for start in starts[:-1] if start], starts[-1]
    return bool(stream) and data[stream[0] : stream[0] + 2] == _JPEG_START and _JPEG_START not in parts


def _is_uncompressed(data: bytes, entries: Sequence[Entry], layout: Layout) -> bool:
    found = [entry for entry in entries if entry.code == _COMPRESSION]
    tags, _ = read_tags(data, Directory(0, tuple(found), 0), layout)
    return not found or integer_of(tags, _COMPRESSION, layout.order) == _UNCOMPRESSED


def write_directory(tags: Mapping[int, RawTag], position: int, layout: Layout) -> bytes:
    """Return a directory at ``position`` of a file, the last one, followed by its long values."""
    head = layout.head_size + len(tags) * layout.entry_size + layout.inline
    entries, values = [], bytearray()
    for code, (kind, count, value) in sorted(tags.items()):
        if len(value) <= layout.inline:
            stored = value.ljust(layout.inline, b"\0")
        else:
            values += b"\0" * (len(values) % 2)
            stored = struct.pack(layout.pointer, position + head + len(values))
            values += value
        entries.append(struct.pack(layout.entry, code, kind, count) + stored)
    return struct.pack(layout.count, len(tags)) + b"".join(entries) + struct.pack(layout.pointer, 0) + bytes(values)
