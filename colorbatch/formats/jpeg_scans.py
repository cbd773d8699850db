"""Copy the coded luma of a JPEG unchanged: chroma is added to a grey file without decoding it.

A JPEG may store each component in separate scans (ITU-T T.81, section A.2). The scans of a grey file become those of
luma, byte for byte, and the scans of two other grey files those of Cb and Cr. So every decoder finds exactly the luma
of the source, and the picture of the source can be restored.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_DHT, _SOS, _DQT, _DRI = 0xC4, 0xDA, 0xDB, 0xDD
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Supported frames: baseline, extended and progressive, all with Huffman codes; others are very rare."""
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {_DHT, 0xC8, 0xCC}
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""A marker that ends the coded data of a scan: not a stuffed byte or a restart marker."""
_TABLES = frozenset({_DHT, _DQT, _DRI})
_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})
"""Application segments and comments."""


@dataclass(frozen=True)
class LumaScans:
    """Coded luma of a JPEG, with properties of its frame."""

    frame: int
    """Marker of the frame."""
    height: int
    width: int
    quantization: int
    """Number of the quantisation table of luma."""
    coded: bytes
    """Tables and scans, from the first table to the end of the last luma scan."""
    has_restarts: bool
    """Whether the scans contain restart markers."""

    @property
    def is_progressive(self) -> bool:
        """Whether the JPEG is progressive."""
        return self.frame == 0xC2


def luma_scans(data: bytes) -> LumaScans | None:
    """Return the coded luma of a JPEG file; ``None``: it is not in separate scans of 8 bits with Huffman codes.

    Raises:
        ValueError, struct.error, IndexError: the file is damaged.

    """
    found: LumaScans | None = None
    parts: list[bytes | memoryview] = []
    end = component = 0
    has_restarts = False
    for marker, content, entropy in _segments(data):
        if marker in _OTHER_FRAMES:
            return None
        if marker in _FRAMES:
            bits, height, width, components = struct.unpack_from(">BHHB", content)
            component, quantization = content[6], content[8]
            if found is not None or bits != 8 or components not in (1, 3) or not height:
                return None
            found = LumaScans(marker, height, width, quantization, b"", has_restarts=False)
        elif marker in _TABLES:
            parts.append(_segment(marker, content))
            has_restarts |= marker == _DRI
        elif marker == _SOS:
            if found is None or (content[0] > 1 and component in content[1 : 1 + 2 * content[0] : 2]):
                return None
            if content[0] == 1 and content[1] == component:
                parts += [_segment(_SOS, b"\1\1" + content[2:]), entropy]
                end = len(parts)
    if found is None or not end:
        return None
    return replace(found, coded=b"".join(parts[:end]), has_restarts=has_restarts)


def with_chroma(luma: LumaScans, cb: bytes, cr: bytes, metadata_from: bytes) -> bytes:
    """Return a JPEG of the given luma, with chroma of the same or half its size.

    The number of blocks in a scan of one component depends on the size of that component alone (ITU-T T.81, section
    A.2.2), so that the luma scans are the same whatever the size of chroma.

    Args:
        luma: of the source.
        cb: a grey JPEG file with one quantisation table, progressive if luma is; of the size of luma, or half of it,
            rounded up.
        cr: a grey JPEG file, quantised and coded like ``cb``.
        metadata_from: a JPEG file whose metadata is copied to the output.

    """
    table = 1 if luma.quantization == 0 else 0
    sampling = 0x11 if _size_of(cb) == (luma.height, luma.width) else 0x22
    components = bytes([1, sampling, luma.quantization, 2, 0x11, table, 3, 0x11, table])
    frame = struct.pack(">BHHB", 8, luma.height, luma.width, 3) + components
    metadata = [_segment(marker, content) for marker, content, _ in _segments(metadata_from) if marker in _METADATA]
    parts: list[bytes | memoryview] = [_SOI, *metadata, _segment(luma.frame, frame), luma.coded]
    if luma.has_restarts:
        parts.append(_segment(_DRI, b"\0\0"))
    for component, data in ((2, cb), (3, cr)):
        for marker, content, entropy in _segments(data):
            if marker == _DQT and component == 2:
                parts.append(_segment(_DQT, bytes([content[0] & 0xF0 | table]) + content[1:]))
            elif marker == _DHT:
                parts.append(_segment(_DHT, content))
            elif marker == _SOS:
                parts += [_segment(_SOS, bytes([1, component]) + content[2:]), entropy]
    return b"".join([*parts, _EOI])


def _size_of(data: bytes) -> tuple[int, int]:
    """Return the height and width of a JPEG file."""
    frame = next(content for marker, content, _ in _segments(data) if marker in _FRAMES)
    height, width = struct.unpack_from(">HH", frame, 1)
    return height, width


def to_grey(data: bytes) -> bytes | None:
    """Return a grey JPEG of the luma of a file; ``None`` if :func:`luma_scans` finds none.

    Metadata is omitted except for the resolution (the JFIF segment).

    Raises:
        ValueError, struct.error, IndexError: the file is damaged.

    """
    luma = luma_scans(data)
    if luma is None:
        return None
    jfif = [_segment(marker, content) for marker, content, _ in _segments(data) if content.startswith(b"JFIF\0")]
    frame = struct.pack(">BHHB", 8, luma.height, luma.width, 1) + bytes([1, 0x11, luma.quantization])
    return b"".join([_SOI, *jfif, _segment(luma.frame, frame), luma.coded, _EOI])


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes | memoryview]]:
    """Yield marker and content of each segment, with a view of the coded data that follows it in a scan.

    Raises:
        ValueError, struct.error, IndexError: the file is damaged.

    """
    position = len(_SOI)
    while True:
        if data[position] != 0xFF:
            raise ValueError("it has bytes between its segments")
        while data[position + 1] == 0xFF:  # fill bytes
            position += 1
        marker = data[position + 1]
        if marker == _EOI[1]:
            return
        (length,) = struct.unpack_from(">H", data, position + 2)
        start, position = position + 4, position + 2 + length
        content = data[start:position]
        if marker != _SOS:
            yield marker, content, b""
            continue
        following = _SCAN_END.search(data, position)
        if following is None:
            raise ValueError("it breaks off within a scan")
        begin, position = position, following.start()
        yield marker, content, memoryview(data)[begin:position]


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
