"""Pages of a TIFF that are no photographs: masks, and the infrared pages of scanners, copied as they are stored."""

import struct
from collections.abc import Collection, Sequence

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats.tiff_directory import Layout, integers_of, layout_of, pages_of, write_directory
from colorbatch.formats.tiff_metadata import PageTags, without_damage
from colorbatch.pixels.metadata import RawTag
from colorbatch.pixels.picture import MaskPage

_WIDTH, _HEIGHT, _PHOTOMETRIC, _CHANNELS = 256, 257, 262, 277
_STRIPS, _TILES = (273, 279), (324, 325)
"""Offsets and byte counts."""
_OLD_JPEG = frozenset({513, 519, 520, 521})
"""Offsets of parts of an old-style JPEG, which are outside the strips (TIFF 6.0, section 22)."""
_REDUCED, _MASK = 1, 4
"""Flags of NewSubfileType (TIFF 6.0, section 8)."""
_TRANSPARENCY_MASK = 4
"""Photometric interpretation of a mask."""
_ORIENTATION = 274
_SHORT, _LONG, _LONG8 = 3, 4, 16


def sides_of(page: PageTags) -> tuple[int, ...]:
    """Return the short and the long side of a page, whichever way it lies."""
    return tuple(sorted(page.integer(code) or 0 for code in (_WIDTH, _HEIGHT)))


def is_mask(page: PageTags, photographs: Collection[tuple[int, ...]]) -> bool:
    """Return whether a page is a mask or infrared.

    Some programs declare an infrared page as a reduced version of the photograph, though it is no smaller.

    Args:
        page: its tags.
        photographs: sides of the photographs before it.

    """
    if page.subfile_type & _MASK or page.integer(_PHOTOMETRIC) == _TRANSPARENCY_MASK:
        return True
    is_grey = page.integer(_CHANNELS) in (None, 1)
    return bool(page.subfile_type & _REDUCED) and is_grey and sides_of(page) in photographs


def read_mask(data: bytes, page: PageTags, position: int, orientation: int | None, warnings: list[str]) -> MaskPage:
    """Return a mask page as stored; ``warnings`` receives the tags that were left out.

    Args:
        data: the file.
        page: the tags of the page.
        position: number of photographs before it.
        orientation: of the photograph before it, which the mask gets if it has none: the photograph is turned upright.
        warnings: as for :func:`colorbatch.formats.tiff_metadata.metadata_of`.

    Raises:
        UnreadablePictureError: it is damaged or truncated.
        UnsupportedPictureError: it cannot be copied.

    """
    order = page.layout.order
    offset_code, count_code = _TILES if _TILES[0] in page.tags else _STRIPS
    if offset_code not in page.tags or count_code not in page.tags or page.tags.keys() & _OLD_JPEG:
        raise UnsupportedPictureError("its strips or tiles cannot be copied")
    offsets, counts = (integers_of(page.tags[code], order) for code in (offset_code, count_code))
    if len(offsets) != len(counts) or any(
        start + size > len(data) for start, size in zip(offsets, counts, strict=True)
    ):
        raise UnreadablePictureError("damaged or truncated: strips or tiles of a mask are outside the file")
    segments = tuple(data[start : start + size] for start, size in zip(offsets, counts, strict=True))
    tags = dict(without_damage(page, warnings))
    if orientation not in (None, 1) and _ORIENTATION not in tags:
        tags[_ORIENTATION] = (_SHORT, 1, struct.pack(f"{order}H", orientation))
    return MaskPage(position, {code: tags[code] for code in tags if code not in (*_STRIPS, *_TILES)}, segments)


def with_masks(data: bytes, masks: Sequence[MaskPage]) -> bytes:
    """Return a TIFF with mask pages between its own, of the same byte order."""
    if not masks:
        return data
    layout = layout_of(data)
    result = bytearray(data)
    photographs = [directory.offset for directory in pages_of(data, layout)]
    pages: list[int] = []
    for number in range(len(photographs) + 1):
        pages += [_append(result, mask, layout) for mask in masks if mask.position == number]
        pages += photographs[number : number + 1]
    link = layout.first_offset
    for page in pages:
        struct.pack_into(layout.pointer, result, link, page)
        (count,) = struct.unpack_from(layout.count, result, page)
        link = page + layout.head_size + count * layout.entry_size
    struct.pack_into(layout.pointer, result, link, 0)
    return bytes(result)


def _append(file: bytearray, mask: MaskPage, layout: Layout) -> int:
    """Append a mask page to a file, and return the offset of its directory, which is even."""
    offsets = []
    for segment in mask.segments:
        file += b"\0" * (len(file) % 2)
        offsets.append(len(file) if segment else 0)  # empty: omitted, as in sparse files
        file += segment
    offset_code, count_code = _TILES if mask.is_tiled else _STRIPS
    tags = {
        **mask.tags,
        offset_code: _integers(offsets, layout),
        count_code: _integers([len(segment) for segment in mask.segments], layout),
    }
    file += b"\0" * (len(file) % 2)
    directory = len(file)
    file += write_directory(tags, directory, layout)
    return directory


def _integers(values: Sequence[int], layout: Layout) -> RawTag:
    packed = b"".join(struct.pack(layout.pointer, value) for value in values)
    return (_LONG8 if layout.is_big else _LONG, len(values), packed)
