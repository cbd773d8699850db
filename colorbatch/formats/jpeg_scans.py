"""Copy the coded luma of a JPEG unchanged: chroma is added to a grey file without decoding it.

A JPEG may store each component in separate scans (ITU-T T.81, section A.2). The scans of a grey file become those of
luma, byte for byte, and the scans of two other grey files those of Cb and Cr. So every decoder finds exactly the luma
of the source, and the picture of the source can be restored.
"""

import struct
from dataclasses import dataclass, replace

from colorbatch.formats.jpeg_segments import (
    DHT,
    DQT,
    DRI,
    EOI,
    FRAMES,
    METADATA,
    OTHER_FRAMES,
    PROGRESSIVE,
    SOI,
    SOS,
    segment,
    segments,
)

_TABLES = frozenset({DHT, DQT, DRI})
_APP0, _APP14 = 0xE0, 0xEE
_YCBCR = 1
"""Transform code of YCbCr in the Adobe segment."""


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
        return self.frame == PROGRESSIVE


class InterleavedLumaError(ValueError):
    """A JPEG whose luma shares its scans with chroma."""


def luma_scans(data: bytes) -> LumaScans:
    """Return the coded luma of a JPEG file that is grey, or YCbCr with luma in separate scans.

    Raises:
        InterleavedLumaError: its luma shares its scans with chroma.
        ValueError, struct.error, IndexError: it is of another kind, or damaged.

    """
    found: LumaScans | None = None
    parts: list[bytes | memoryview] = []
    end = component = 0
    has_restarts = False
    transform: int | None = None
    for marker, content, entropy in segments(data):
        if marker in OTHER_FRAMES:
            raise ValueError("it is not coded in Huffman codes")
        if marker == _APP0 and content.startswith(b"JFIF\0"):
            transform = _YCBCR
        elif marker == _APP14 and content.startswith(b"Adobe") and transform is None:
            transform = content[11]
        elif marker in FRAMES:
            if found is not None:
                raise ValueError("it has several frames")
            found = _frame_of(marker, content, transform)
            component = content[6]
        elif marker in _TABLES:
            parts.append(segment(marker, content))
            has_restarts |= marker == DRI
        elif marker == SOS:
            if found is None:
                raise ValueError("a scan comes before its frame")
            if content[0] > 1 and component in content[1 : 1 + 2 * content[0] : 2]:
                raise InterleavedLumaError("its luma shares its scans with chroma")
            if content[0] == 1 and content[1] == component:
                parts += [segment(SOS, b"\1\1" + content[2:]), entropy]
                end = len(parts)
    if found is None or not end:
        raise ValueError("it has no luma")
    return replace(found, coded=b"".join(parts[:end]), has_restarts=has_restarts)


def _frame_of(marker: int, content: bytes, transform: int | None) -> LumaScans:
    """Return what the segment of a frame says about luma, still without scans.

    Args:
        marker: of the frame.
        content: of its segment.
        transform: that of the Adobe segment (ITU-T T.872, section 6.5.3); ``None``: there is none, so that the names
            of the components decide, as in libjpeg.

    """
    bits, height, width, count = struct.unpack_from(">BHHB", content)
    names, sampling = content[6 : 6 + 3 * count : 3], content[7 : 7 + 3 * count : 3]
    if count == 4:
        raise ValueError("it is stored as CMYK")
    if count == 3 and (names == b"RGB" if transform is None else transform != _YCBCR):
        raise ValueError("it is stored as RGB")
    if count not in (1, 3):
        raise ValueError(f"it has {count} components")
    if bits != 8:
        raise ValueError(f"it has {bits} bits per sample")
    if not height:
        raise ValueError("its height is not in its frame")
    if any(each >> 4 > sampling[0] >> 4 or each & 15 > sampling[0] & 15 for each in sampling):
        raise ValueError("its luma has fewer samples than its chroma")
    return LumaScans(marker, height, width, content[8], b"", has_restarts=False)


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
    metadata = [segment(marker, content) for marker, content, _ in segments(metadata_from) if marker in METADATA]
    parts: list[bytes | memoryview] = [SOI, *metadata, segment(luma.frame, frame), luma.coded]
    if luma.has_restarts:
        parts.append(segment(DRI, b"\0\0"))
    for component, data in ((2, cb), (3, cr)):
        for marker, content, entropy in segments(data):
            if marker == DQT and component == 2:
                parts.append(segment(DQT, bytes([content[0] & 0xF0 | table]) + content[1:]))
            elif marker == DHT:
                parts.append(segment(DHT, content))
            elif marker == SOS:
                parts += [segment(SOS, bytes([1, component]) + content[2:]), entropy]
    return b"".join([*parts, EOI])


def _size_of(data: bytes) -> tuple[int, int]:
    """Return the height and width of a JPEG file."""
    frame = next(content for marker, content, _ in segments(data) if marker in FRAMES)
    height, width = struct.unpack_from(">HH", frame, 1)
    return height, width


def grey_file(luma: LumaScans, head: bytes = b"") -> bytes:
    """Return a grey JPEG of coded luma, with the segments ``head`` at its start."""
    frame = struct.pack(">BHHB", 8, luma.height, luma.width, 1) + bytes([1, 0x11, luma.quantization])
    return b"".join([SOI, head, segment(luma.frame, frame), luma.coded, EOI])
