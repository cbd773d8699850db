"""Recognise the raw files of cameras and scanners that are TIFFs: DNG, NEF, CR2, ARW, PEF and the like."""

from collections.abc import Iterator, Sequence

from colorbatch.errors import UnsupportedPictureError
from colorbatch.formats.tiff_directory import integers_of, read_directory
from colorbatch.formats.tiff_metadata import PageTags

_SUB_IFDS, _PHOTOMETRIC = 330, 262
_RAW = frozenset({32803, 34892})
"""Photometric interpretations of sensor data: behind a colour filter array, and linear (DNG 1.7, chapter 3)."""
_CANON = slice(8, 10), b"CR"
"""What a CR2 file has behind its header."""


def refuse_raw(data: bytes, pages: Sequence[PageTags]) -> None:
    """Raise if a file holds sensor data, beside which its pages are only previews.

    Args:
        data: the file.
        pages: the tags of its pages.

    Raises:
        UnsupportedPictureError: it is a raw file.

    """
    place, mark = _CANON
    interpretations = {page.integer(_PHOTOMETRIC) for page in (*pages, *_inner(data, pages))}
    if data[place] == mark or interpretations & _RAW:
        raise UnsupportedPictureError(
            "it is a raw file of a camera or scanner", advice="Develop it in a raw converter, and colour the result."
        )


def _inner(data: bytes, pages: Sequence[PageTags]) -> Iterator[PageTags]:
    """Yield the tags of the images within pages, as far as they can be read."""
    for page in pages:
        for offset in integers_of(page.tags[_SUB_IFDS], page.layout.order) if _SUB_IFDS in page.tags else ():
            try:
                directory = read_directory(data, offset, page.layout)
            except ValueError:
                continue
            yield PageTags(data, directory, page.layout)
