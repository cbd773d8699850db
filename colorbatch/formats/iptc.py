"""IPTC-IIM, the older form of IPTC metadata (Information Interchange Model, version 4.2)."""

import struct
from collections.abc import Iterator

_MARK = 0x1C
_PREVIEW = frozenset({(2, 200), (2, 201), (2, 202)})
"""Record and number of the data sets of a preview: its format, the version of that, and the preview itself."""
_EXTENDED = 0x8000
"""Flag of the size of a data set that is too long for it: the rest is the number of bytes of a size that follows."""


def without_preview(block: bytes) -> bytes:
    """Return a block without the preview of its picture; all other bytes stay.

    What cannot be read as data sets is kept as it is, with everything after it.
    """
    kept, end = [], 0
    for number, start, end in _data_sets(block):
        if number not in _PREVIEW:
            kept.append(block[start:end])
    return b"".join(kept) + block[end:]


def _data_sets(block: bytes) -> Iterator[tuple[tuple[int, int], int, int]]:
    """Yield record and number, start and end of each data set (section 1.5)."""
    start = 0
    while start + 5 <= len(block) and block[start] == _MARK:
        record, number, size = struct.unpack_from(">BBH", block, start + 1)
        content = start + 5
        if size & _EXTENDED:
            content += size - _EXTENDED
            size = int.from_bytes(block[start + 5 : content], "big")
        end = content + size
        if end > len(block):
            return
        yield (record, number), start, end
        start = end
