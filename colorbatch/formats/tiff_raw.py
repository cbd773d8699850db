"""Recognise the raw files of cameras and scanners that are TIFFs: DNG, NEF, CR2, ARW, PEF and the like."""

from collections.abc import Iterator, Sequence

from colorbatch.formats.tiff_directory import integers_of, read_directory
from colorbatch.formats.tiff_metadata import PageTags

_SUB_IFDS, _PHOTOMETRIC, _COMPRESSION = 330, 262, 259
_SENSOR = frozenset({32803, 34892})
"""Photometric interpretations of sensor data: behind a colour filter array, and linear (DNG 1.7, chapter 3)."""
_COMPRESSIONS = frozenset({32767, 32770, 34713, 65000, 65535})
"""Compressions of sensor data by Sony, Samsung, Nikon, Kodak and Pentax."""
_MARKS = (b"CR", b"IIIITwaR", b"IIIICwaR", b"MMMMRawT")
"""What CR2 and IIQ have behind the header of a TIFF."""
_BEHIND_HEADER = 8


def is_raw(data: bytes, pages: Sequence[PageTags]) -> bool:
    """Return whether a file holds sensor data, beside which its pages are only previews.

    Args:
        data: the file.
        pages: the tags of its pages.

    """
    return data.startswith(_MARKS, _BEHIND_HEADER) or any(map(_is_of_sensor, (*pages, *_inner(data, pages))))


def _is_of_sensor(page: PageTags) -> bool:
    return page.integer(_PHOTOMETRIC) in _SENSOR or page.integer(_COMPRESSION) in _COMPRESSIONS


def _inner(data: bytes, pages: Sequence[PageTags]) -> Iterator[PageTags]:
    """Yield the tags of the images within pages, as far as they can be read."""
    for page in pages:
        for offset in integers_of(page.tags[_SUB_IFDS], page.layout.order) if _SUB_IFDS in page.tags else ():
            try:
                directory = read_directory(data, offset, page.layout)
            except ValueError:
                continue
            yield PageTags(data, directory, page.layout)
