"""Strips and tiles of a TIFF that are images of their own: none is decoded that has another size than its page says.

Such codecs hold width and height themselves, and would make room for whatever these claim: gigabytes, of a few bytes.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from colorbatch.errors import UnreadablePictureError

_LERC = 34887
_WEBP = 50001
_JPEG = frozenset({6, 7, 33007, 34892})
_RGB = 2


def is_of_images(page: tifffile.TiffPage) -> bool:
    """Return whether the strips or tiles of a page say their own size."""
    return int(page.compression) == _LERC or page.compression in tifffile.TIFF.IMAGE_COMPRESSIONS


def decode(page: tifffile.TiffPage) -> NDArray[Any]:
    """Return the samples of a page, in the shape that tifffile gives them.

    Raises:
        UnreadablePictureError: a strip or tile has another size.
        Exception: of any kind, as codecs have it.

    """
    decompress = _decompressor_of(page)
    samples = np.zeros(page.shaped, page.dtype)
    count = math.prod(page.chunked)
    for segment, index in page.parent.filehandle.read_segments(page.dataoffsets[:count], page.databytecounts[:count]):
        if segment is None:  # left out, as sparse files do
            continue
        _, (plane, _, top, left, _), (_, rows, columns, _) = page.decode(None, index)
        room = samples[plane, 0, top : top + rows, left : left + columns]
        part = _decoded(partial(decompress, segment), room, (rows, columns, samples.shape[-1]))
        room[...] = part[: room.shape[0], : room.shape[1]]
    return samples.reshape(page.shape)


def _decoded(decompress: Callable[..., Any], room: NDArray[Any], whole: tuple[int, ...]) -> NDArray[Any]:
    """Return one strip or tile; a tile at the border may have the part of it that the page has room for."""
    for shape in dict.fromkeys((whole, room.shape)):
        part = np.empty(shape[:2] if shape[2] == 1 else shape, room.dtype)
        with suppress(ValueError):  # which is raised before anything of another size is decoded
            decompress(out=part)
            return part.reshape(shape)
    raise UnreadablePictureError("damaged or truncated: a strip or tile has another size than its page states")


def _decompressor_of(page: tifffile.TiffPage) -> Callable[..., Any]:
    """Return what decodes a strip or tile into the array ``out``, as tifffile itself has it."""
    compression = int(page.compression)
    if compression in _JPEG:
        space = _RGB if int(page.photometric) == _RGB else None
        return partial(
            imagecodecs.jpeg_decode,
            bitspersample=page.bitspersample,
            tables=page.jpegtables,
            header=page.jpegheader,
            colorspace=space,
            outcolorspace=space,
        )
    if compression == _WEBP:
        return partial(imagecodecs.webp_decode, hasalpha=True if page.samplesperpixel == 4 else None)
    decompress: Callable[..., Any] = tifffile.TIFF.DECOMPRESSORS[compression]
    return decompress
