"""Segments of a JPEG file (ITU-T T.81, section B)."""

import re
import struct
from collections.abc import Iterator

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
DHT, SOS, DQT, DRI = 0xC4, 0xDA, 0xDB, 0xDD
PROGRESSIVE = 0xC2
FRAMES = frozenset({0xC0, 0xC1, PROGRESSIVE})
"""Frames with Huffman codes: baseline, extended and progressive."""
OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {DHT, 0xC8, 0xCC}
"""Lossless, hierarchical and arithmetic-coded frames, which are very rare."""
ARITHMETIC_FRAMES = frozenset(range(0xC9, 0xD0)) - {0xCC}
METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})
"""Application segments and comments."""
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""A marker that ends the coded data of a scan: not a stuffed byte or a restart marker."""


def segments(data: bytes) -> Iterator[tuple[int, bytes, bytes | memoryview]]:
    """Yield marker and content of each segment, with a view of the coded data that follows it in a scan.

    Raises:
        ValueError, struct.error, IndexError: the file is damaged.

    """
    position = len(SOI)
    while True:
        if data[position] != 0xFF:
            raise ValueError("it has bytes between its segments")
        while data[position + 1] == 0xFF:  # fill bytes
            position += 1
        marker = data[position + 1]
        if marker == EOI[1]:
            return
        (length,) = struct.unpack_from(">H", data, position + 2)
        start, position = position + 4, position + 2 + length
        content = data[start:position]
        if marker != SOS:
            yield marker, content, b""
            continue
        following = _SCAN_END.search(data, position)
        if following is None:
            raise ValueError("it breaks off within a scan")
        begin, position = position, following.start()
        yield marker, content, memoryview(data)[begin:position]


def segment(marker: int, content: bytes) -> bytes:
    """Return a segment.

    Raises:
        struct.error: it has more than 65,533 bytes.

    """
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
