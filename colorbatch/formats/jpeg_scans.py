"""The coded luma of a JPEG, handed on as it is: chroma is added to a grey file without decoding it.

A JPEG may hold each component in scans of its own (ITU-T T.81, section A.2). The scans of a grey file become those of
luma, byte for byte, and the scans of two other grey files those of Cb and Cr. So every decoder finds exactly the luma
of the source, and the source's picture can be had back.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_DHT, _SOS, _DQT, _DRI = 0xC4, 0xDA, 0xDB, 0xDD
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive, all with Huffman codes; the others are hardly ever met."""
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {_DHT, 0xC8, 0xCC}
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""A marker that ends the coded data of a scan: no stuffed byte, and no restart."""
_TABLES = frozenset({_DHT, _DQT, _DRI})
_BESIDE = frozenset({*range(0xE0, 0xF0), 0xFE})
"""Application segments and comments."""


@dataclass(frozen=True)
class LumaScans:
    """The frame and the coded luma of a JPEG."""

    frame: int
    """Marker of the frame."""
    height: int
    width: int
    quantization: int
    """Number of the table of luma."""
    coded: bytes
    """Tables and scans, from the first table to the end of the last scan of luma."""
    has_restarts: bool
    """Whether markers from which decoding can go on are among them."""

    @property
    def is_progressive(self) -> bool:
        """Whether scans refine each other."""
        return self.frame == 0xC2


def luma_scans(data: bytes) -> LumaScans | None:
    """Return the coded luma of a JPEG file; ``None`` where it is not in scans of its own, of 8 bits in Huffman codes.

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


def with_chroma(luma: LumaScans, cb: bytes, cr: bytes, described: bytes) -> bytes:
    """Return a JPEG of the given luma, and of chroma of the same or half its size.

    Blocks of a scan of one component are counted by that component's own size (ITU-T T.81, section A.2.2), so that the
    scans of luma are the same whatever the size of chroma.

    Args:
        luma: of the source.
        cb: a grey JPEG file with one table of quantisation, progressive where luma is; of the size of luma, or of half
            of it, rounded up.
        cr: a grey JPEG file, quantised and coded as ``cb`` is.
        described: a JPEG file; what stands beside its picture goes into the output.

    """
    table = 1 if luma.quantization == 0 else 0
    sampling = 0x11 if _size_of(cb) == (luma.height, luma.width) else 0x22
    components = bytes([1, sampling, luma.quantization, 2, 0x11, table, 3, 0x11, table])
    frame = struct.pack(">BHHB", 8, luma.height, luma.width, 3) + components
    beside = [_segment(marker, content) for marker, content, _ in _segments(described) if marker in _BESIDE]
    parts: list[bytes | memoryview] = [_SOI, *beside, _segment(luma.frame, frame), luma.coded]
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
    """Return a grey JPEG of the luma of a file; ``None`` where :func:`luma_scans` finds none.

    What stands beside the picture is left out but for the resolution (JFIF's segment).

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
    """Yield marker and content of each segment, with a view of the coded data behind it where it begins a scan.

    Raises:
        ValueError, struct.error, IndexError: the file is damaged.

    """
    position = len(_SOI)
    while True:
        if data[position] != 0xFF:
            raise ValueError("it has bytes between its segments")
        while data[position + 1] == 0xFF:  # filling
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
        following = _AFTER_SCAN.search(data, position)
        if following is None:
            raise ValueError("it breaks off within a scan")
        begin, position = position, following.start()
        yield marker, content, memoryview(data)[begin:position]


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
