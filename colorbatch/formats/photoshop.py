"""Image resources of Photoshop, also in JPEG, TIFF and PNG (Adobe Photoshop File Formats, "Image resource blocks")."""

import struct
from collections.abc import Container, Iterator

from colorbatch.formats import iptc

THUMBNAIL_DROPPED = "a grey thumbnail of Photoshop was dropped"
_SIGNATURES = frozenset({b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR"})
_IPTC = 1028
_THUMBNAILS = frozenset({1033, 1036})
"""Numbers of the thumbnails: of Photoshop 4 and of Photoshop 5 and later."""


def without_thumbnails(resources: bytes) -> bytes:
    """Return the image resources without thumbnails and the preview in IPTC, which show the picture as it was.

    All other bytes stay. What cannot be read as blocks is kept as it is, with everything after it.
    """
    kept, end = [], 0
    for number, start, content, end in _blocks(resources):
        if number == _IPTC:
            kept.append(_without_preview(resources, start, content, end))
        elif number not in _THUMBNAILS:
            kept.append(resources[start:end])
    return b"".join(kept) + resources[end:]


def resources_in(resources: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and data of each image resource, as far as they can be read as blocks."""
    for number, _, content, _ in _blocks(resources):
        (size,) = struct.unpack_from(">I", resources, content - 4)
        yield number, resources[content : content + size]


def only(resources: bytes, numbers: Container[int]) -> bytes:
    """Return those of the image resources that have one of the numbers, as far as they can be read as blocks."""
    return b"".join(resources[start:end] for number, start, _, end in _blocks(resources) if number in numbers)


def resource(number: int, content: bytes) -> bytes:
    """Return an image resource without a name."""
    return struct.pack(">4sHHI", b"8BIM", number, 0, len(content)) + content + bytes(len(content) % 2)


def _without_preview(resources: bytes, start: int, content: int, end: int) -> bytes:
    """Return a block without the preview in its IPTC data."""
    (size,) = struct.unpack_from(">I", resources, content - 4)
    block = resources[content : content + size]
    left = iptc.without_preview(block)
    if left == block:
        return resources[start:end]
    return resources[start : content - 4] + struct.pack(">I", len(left)) + left + bytes(len(left) % 2)


def _blocks(resources: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, start, start of the data and end of each block: a name and the data, each of an even length."""
    start = 0
    while start + 7 <= len(resources) and resources[start : start + 4] in _SIGNATURES:
        (number,) = struct.unpack_from(">H", resources, start + 4)
        length = start + 6 + (resources[start + 6] + 2) // 2 * 2  # of the name: a byte and so many characters
        if length + 4 > len(resources):
            return
        (size,) = struct.unpack_from(">I", resources, length)
        end = length + 4 + size
        if end > len(resources):
            return
        end = min(end + size % 2, len(resources))  # the last one may lack its padding
        yield number, start, length + 4, end
        start = end
