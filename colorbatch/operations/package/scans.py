"""The scans of a package as IIIF shows them: their pages, and their tiles where they are asked for."""

import hashlib
from collections.abc import Callable, Sequence
from typing import get_args

from colorbatch.errors import PictureError, reason_of
from colorbatch.formats import decode, mark
from colorbatch.job import DigitalSourceType
from colorbatch.operations.package import iiif, tiles
from colorbatch.operations.package.contents import Holding, Member, url_below
from colorbatch.operations.package.delivery import Delivered, UnsoundError
from colorbatch.operations.package.file_format import UNKNOWN, format_of_file
from colorbatch.pixels.picture import Frame
from colorbatch.records.row import Row
from colorbatch.text import to_utf_8

Write = Callable[[str, Sequence[bytes]], Delivered]
"""Writes a file of the package."""


def is_shown(holding: Holding) -> bool:
    """Return whether a row has what a canvas shows: an output, a scan, and a size."""
    row = holding.row
    return None not in (holding.output, holding.source, row.width, row.height) and row.status == "done"


def scan_of(holding: Holding, base: str) -> iiif.Scan:
    """Return a scan with its first page, as its files are.

    Raises:
        UnsoundError: a file cannot be read.

    """
    assert holding.source is not None
    assert holding.output is not None
    original, colored = (_image(member, base, holding.row) for member in (holding.source, holding.output))
    return iiif.Scan(holding, [iiif.Page(original, None if _is_copy(holding.row) else colored)])


def tiled_scan_of(holding: Holding, base: str, write: Write) -> tuple[iiif.Scan, Sequence[Delivered]]:
    """Write the tiles of a scan and of its output; return the scan with all its pages, and what was written.

    Raises:
        UnsoundError: a file cannot be read, or its pages are not those of the other.
        OutputUnwritableError, StoreUnavailableError: the package cannot be written.

    """
    assert holding.source is not None
    assert holding.output is not None
    row = holding.row
    originals = _frames(holding.source, row)
    colored: Sequence[Frame | None] = [None] * len(originals) if _is_copy(row) else _frames(holding.output, row)
    if len(originals) != len(colored):
        raise UnsoundError(f"it has {len(colored)} pages, and its source {len(originals)}")
    written: list[Delivered] = []
    xmp = _mark(row)
    pages = []
    for number, (before, after) in enumerate(zip(originals, colored, strict=True), start=1):
        original = _tiled(before, iiif.tiles_folder(holding.name, "original", number), b"", base, write, written)
        folder = iiif.tiles_folder(holding.name, "coloured", number)
        coloured = None if after is None else _tiled(after, folder, xmp, base, write, written)
        pages.append(iiif.Page(original, coloured))
    return iiif.Scan(holding, pages), written


def _tiled(frame: Frame, folder: str, xmp: bytes, base: str, write: Write, written: list[Delivered]) -> iiif.Image:
    """Write the tiles of a page, and return it."""
    service = url_below(base, folder)
    image = tiles.image_of(frame)
    written += [write(f"{folder}/{path}", [data]) for path, data in tiles.files_of(image, xmp)]
    written.append(write(f"{folder}/info.json", [tiles.information(service, *image.size)]))
    return iiif.Image(f"{service}/full/max/0/default.jpg", "image/jpeg", *image.size, service)


def _frames(member: Member, row: Row) -> Sequence[Frame]:
    """Return the pages of a file.

    Raises:
        UnsoundError: it cannot be read.

    """
    if member.origin is None:
        raise UnsoundError("it stays away, and tiles are made of files: give --with-sources")
    try:
        data = member.origin.read(member.key)
        if member.sha256 not in (None, hashlib.sha256(data).hexdigest()):
            raise UnsoundError("it was altered after the manifest was written")
        return decode(data, max_megapixels=float("inf"), salvage=row.is_salvaged).frames
    except OSError as error:
        raise UnsoundError(f"it cannot be read: {reason_of(error)}") from error
    except (PictureError, MemoryError) as error:
        raise UnsoundError(f"no tiles can be made of it: {error or 'not enough memory'}") from error


def _image(member: Member, base: str, row: Row) -> iiif.Image:
    try:
        file_format = UNKNOWN if member.origin is None else format_of_file(member.origin, member.key)
    except OSError as error:
        raise UnsoundError(f"it cannot be read: {reason_of(error)}") from error
    return iiif.image_of(base, member, file_format, row)


def _is_copy(row: Row) -> bool:
    return row.output_sha256 == row.input_sha256


def _mark(row: Row) -> bytes:
    """Return the XMP that states in each tile that a model made its colours; empty: the output does not state it."""
    kind = next((each for each in get_args(DigitalSourceType) if each == row.digital_source_type), None)
    if kind is None:
        return b""
    origin = mark.Origin(
        to_utf_8(row.input),
        row.input_sha256 or "",
        row.model or "",
        row.model_sha256 or "",
        row.settings_sha256 or "",
        kind,
    )
    return mark.marked(b"", origin)
