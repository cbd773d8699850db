"""The end of a JPEG: a file without its last marker, lost codes, and a height that only follows a scan (ITU-T T.81)."""

import hashlib
import io
import re
import struct
from collections.abc import Iterator

from PIL import Image

from colorbatch.formats.jpeg_segments import EOI, SOS

_SCAN_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
"""A marker that ends the coded data of a scan: not a stuffed byte or a restart marker."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_NUMBER_OF_LINES = re.compile(rb"\xff\xdc\x00\x04(..)", re.DOTALL)
"""The segment that follows the first scan if the frame says no height (section B.2.5)."""
_HEIGHT = slice(5, 7)
"""Place of the height in the segment of a frame, with its marker."""
_COEFFICIENTS = 64
_FILLINGS = tuple(each * 2048 for each in (b"\0\0", b"\x55\x55", b"\xaa\xaa", b"\xff\0"))
"""What is put behind the coded data: if bits are missing there, these make different pixels of them. The longest unit
that can be missing has 10 blocks of 64 coefficients of up to 26 bits, some of them beyond the edge of the picture."""

_ZERO_RUN = bytes(64)
"""More zero bytes in a row than chance brings about."""
_SURPLUS = 64
"""Bytes that are longer than the code of any last block."""


def with_height(data: bytes) -> bytes:
    """Return the file with its height in the frame, where libjpeg needs it."""
    for marker, start, end in _segments(data):
        if marker in _FRAMES and data[start + _HEIGHT.start : start + _HEIGHT.stop] == b"\0\0":
            lines = _NUMBER_OF_LINES.search(data, end)
            if lines is not None:
                return data[: start + _HEIGHT.start] + lines[1] + data[start + _HEIGHT.stop :]
        if marker == SOS:
            break
    return data


def is_endless(data: bytes) -> bool:
    """Return whether a file lacks the marker of its end."""
    scan = next((start for marker, start, _ in _segments(data) if marker == SOS), -1)
    return scan >= 0 and data.find(EOI, scan) < 0


def completed(data: bytes) -> bytes:
    """Return a file whose pixels are all there as other readers need it: with its height and the marker of its end."""
    whole = with_height(data)
    return whole.removesuffix(b"\xff") + EOI if is_endless(whole) else whole


def with_end(data: bytes) -> bytes | None:
    """Return a file that lacks the marker of its end with that marker; ``None``: some of its pixels are missing too.

    All scans have to be there, and whatever follows the last of them must not change a pixel.
    """
    coded = data[:-1] if data.endswith(b"\xff") else data
    if not _has_all_scans(coded):
        return None
    pixels = _digest(coded + EOI)
    is_complete = all(_digest(coded + filling + EOI) == pixels for filling in _FILLINGS)
    return coded + EOI if is_complete else None


def has_lost_data(data: bytes) -> bool:
    """Return whether zero bytes stand where there was coded data, as a failing disk or an interrupted copy leaves them.

    Blank areas are coded in runs of zero bytes too. But zero bytes in place of other codes describe fewer blocks or
    more. If fewer, the picture has blocks that are not coded, which libjpeg makes of whatever follows; if more, the
    last codes are not needed, though those in the middle are.
    """
    found = list(_segments(data))
    scans = [end for marker, _, end in found if marker == SOS]
    last = _SCAN_END.search(data, scans[-1]) if scans else None
    coded = data[: last.start()] if last else b""
    needed = coded.rstrip(b"\0")
    if not coded or needed.find(_ZERO_RUN, scans[0]) < 0:
        return False
    pixels = _digest(coded + EOI)

    def changes_with_what_follows(start: bytes) -> bool:
        return any(_digest(start + filling + EOI) != pixels for filling in _FILLINGS)

    if changes_with_what_follows(coded):
        return True
    is_progressive = any(marker in _PROGRESSIVE for marker, _, _ in found)
    ends_blank = needed[-_SURPLUS:].count(0) > _SURPLUS // 4  # of which nothing can be told
    if is_progressive or ends_blank:
        return False
    middle = needed[: (scans[-1] + len(needed)) // 2]
    return changes_with_what_follows(middle) and not changes_with_what_follows(needed[:-_SURPLUS])


def _digest(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return hashlib.sha256(image.tobytes()).digest()


def _has_all_scans(data: bytes) -> bool:
    """Return whether the scans bring every component, and every bit of its coefficients (section G.1.1.1)."""
    missing: dict[int, list[int]] = {}
    is_progressive = False
    for marker, start, end in _segments(data):
        content = data[start + 4 : end]
        if marker in _FRAMES:
            is_progressive = marker in _PROGRESSIVE
            missing = {component: [1] * _COEFFICIENTS for component in content[6 : 6 + 3 * content[5] : 3]}
        elif marker == SOS:
            count = content[0]
            first, last, bits = content[1 + 2 * count : 4 + 2 * count] if is_progressive else (0, _COEFFICIENTS - 1, 0)
            for component in content[1 : 1 + 2 * count : 2]:
                if component in missing:
                    missing[component][first : last + 1] = [bits & 15] * (last + 1 - first)
    return bool(missing) and not any(map(any, missing.values()))


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment that is complete, without the coded data after it."""
    position = 2
    while (found := _SCAN_END.search(data, position)) is not None:
        start = found.end() - 2
        if found.end() + 2 > len(data):
            return
        (length,) = struct.unpack_from(">H", data, found.end())
        end = found.end() + length
        if data[found.end() - 1 : found.end()] == EOI[1:] or length < 2 or end > len(data):
            return
        yield data[found.end() - 1], start, end
        position = end
