"""The format of a file as archives name it: by PRONOM, the registry of The National Archives.

The identifiers and the first bytes that tell them are those of the signature file of DROID, version 109.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from colorbatch.store.store import Store

_START = 64 * 1024


@dataclass(frozen=True)
class FileFormat:
    """A format, as PRONOM calls it."""

    name: str
    version: str = ""
    """Empty: it has none, or it is not told."""
    puid: str = ""
    """The identifier of PRONOM; empty: not told."""


UNKNOWN = FileFormat("unknown")
XMP = FileFormat("Extensible Metadata Platform (XMP)")
_JFIF = {version: f"1.0{version}" for version in range(3)}
_EXIF = {
    b"0200": FileFormat("Exchangeable Image File Format (Compressed)", "2.0", "x-fmt/398"),
    b"0210": FileFormat("Exchangeable Image File Format (Compressed)", "2.1", "x-fmt/390"),
    b"0220": FileFormat("Exchangeable Image File Format (Compressed)", "2.2", "x-fmt/391"),
    b"0221": FileFormat("Exchangeable Image File Format (Compressed)", "2.2.1", "fmt/645"),
    **dict.fromkeys(
        (b"023%d" % digit for digit in range(10)),
        FileFormat("Exchangeable Image File Format (Compressed)", "2.3.x", "fmt/1507"),
    ),
}
_EXIF_VERSION = re.compile(rb"(?:\x90\x00\x00\x07\x00\x00\x00\x04|\x00\x90\x07\x00\x04\x00\x00\x00)(02\d\d)")
_WEBP = {
    b"VP8 ": FileFormat("WebP", "Lossy", "fmt/566"),
    b"VP8L": FileFormat("WebP", "Lossless", "fmt/567"),
    b"VP8X": FileFormat("WebP", "Extended", "fmt/568"),
}
_PNG_1_0 = FileFormat("Portable Network Graphics", "1.0", "fmt/11")
_PNG_1_1 = FileFormat("Portable Network Graphics", "1.1", "fmt/12")
_PNG_1_2 = FileFormat("Portable Network Graphics", "1.2", "fmt/13")
_STARTS = (
    (re.compile(rb"GIF87a"), FileFormat("Graphics Interchange Format", "87a", "fmt/3")),
    (re.compile(rb"GIF89a"), FileFormat("Graphics Interchange Format", "89a", "fmt/4")),
    (re.compile(rb"8BPS\x00\x01\x00{6}"), FileFormat("Adobe Photoshop", "", "x-fmt/92")),
    (
        re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n.{4}ftypjp2", re.DOTALL),
        FileFormat("JP2 (JPEG 2000 part 1)", "", "x-fmt/392"),
    ),
    (
        re.compile(rb".{4}ftyp(?:mif1|msf1|hei[cx]|hev[cx])", re.DOTALL),
        FileFormat("High Efficiency Image File Format", "", "fmt/1101"),
    ),
    (re.compile(rb"II\*\x00\x10\x00\x00\x00CR\x02\x00"), FileFormat("Canon RAW", "2.0", "fmt/592")),
    (re.compile(rb"II\x2b\0|MM\0\x2b"), FileFormat("BigTIFF")),
)
_TIFF = re.compile(rb"II\*\0|MM\0\*")
"""Also the start of most raw files of cameras, which PRONOM tells apart by what follows: so the extension counts."""


def format_of_file(store: Store, key: str) -> FileFormat:
    """Return the format of a file; only of a PNG is more than the start read.

    Args:
        store: where it is.
        key: its name there.

    Raises:
        OSError: it cannot be read.

    """
    start = store.head(key, _START).start
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(_chunk_types(store.chunks(key)))
    return format_of(start, PurePosixPath(key).suffix.lower())


def format_of(start: bytes, extension: str) -> FileFormat:
    """Return the format of a file that is no PNG, by its first bytes and its extension in lower case."""
    if start.startswith(b"\xff\xd8\xff"):
        return _jpeg(start)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _WEBP.get(start[12:16], UNKNOWN)
    if found := next((each for pattern, each in _STARTS if pattern.match(start)), None):
        return found
    if _TIFF.match(start) and extension in (".tif", ".tiff"):
        return FileFormat("Tagged Image File Format", "", "fmt/353")
    return UNKNOWN


def _jpeg(start: bytes) -> FileFormat:
    if start[2:4] == b"\xff\xe0" and start[6:12] == b"JFIF\0\1" and start[12] in _JFIF:
        return FileFormat("JPEG File Interchange Format", _JFIF[start[12]], f"fmt/{42 + start[12]}")
    if start[2:4] == b"\xff\xe1" and start[6:12] == b"Exif\0\0" and (found := _EXIF_VERSION.search(start)):
        return _EXIF.get(found[1], FileFormat("Raw JPEG Stream", "", "fmt/41"))
    return FileFormat("Raw JPEG Stream", "", "fmt/41")


def _png(types: Iterable[bytes]) -> FileFormat:
    """Return the version whose chunks a PNG has."""
    found = _PNG_1_0
    for each in types:
        if each == b"iTXt":
            return _PNG_1_2
        if each in (b"iCCP", b"sPLT", b"sRGB"):
            found = _PNG_1_1
    return found


def _chunk_types(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the types of the chunks of a PNG, whose data is skipped (PNG, section 5.3)."""
    buffer, skipped = b"", 8
    for part in parts:
        buffer += part
        while len(buffer) >= skipped + 8:
            length, kind = int.from_bytes(buffer[skipped : skipped + 4], "big"), buffer[skipped + 4 : skipped + 8]
            yield kind
            skipped += length + 12
        buffer, skipped = buffer[skipped:], max(0, skipped - len(buffer))
