"""TIFF strips and tiles that are images with a size of their own: none is decoded whose size contradicts its page.

Such codecs store width and height themselves, and would allocate whatever these claim: gigabytes, for a few bytes.
"""

import io
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import UnreadablePictureError

_LERC = 34887
_WEBP = 50001
_OLD_JPEG = 6
_OLD_JPEG_STREAM, _OLD_JPEG_LENGTH = 513, 514
_JPEG = frozenset({6, 7, 33007, 34892})
_RGB = 2


def is_of_images(page: tifffile.TiffPage) -> bool:
    """Return whether the strips or tiles of a page state their own size."""
    return int(page.compression) == _LERC or page.compression in tifffile.TIFF.IMAGE_COMPRESSIONS


def decode(page: tifffile.TiffPage) -> NDArray[Any]:
    """Return the samples of a page, in the shape that tifffile returns.

    Raises:
        UnreadablePictureError: a strip or tile has another size.
        Exception: of any kind that codecs raise.

    """
    if page.compression == _OLD_JPEG:
        return _decode_old_jpeg(page)
    decompress = _decompressor_of(page)
    samples = np.zeros(page.shaped, page.dtype)
    count = math.prod(page.chunked)
    for segment, index in page.parent.filehandle.read_segments(page.dataoffsets[:count], page.databytecounts[:count]):
        if segment is None:  # omitted, as in sparse files
            continue
        _, (plane, _, top, left, _), (_, rows, columns, _) = page.decode(None, index)
        target = samples[plane, 0, top : top + rows, left : left + columns]
        part = _decode_segment(partial(decompress, segment), target, (rows, columns, samples.shape[-1]))
        target[...] = part[: target.shape[0], : target.shape[1]]
    return samples.reshape(page.shape)


def _decode_old_jpeg(page: tifffile.TiffPage) -> NDArray[Any]:
    """Return the samples of a grey page in old-style JPEG, ``[H, W]``.

    The stream that tag 513 points to is a whole JPEG file, or all of one but the coded data, which then is in strips
    (TIFF 6.0, section 22).
    """
    starts, lengths = (page.tags.valueof(code) for code in (_OLD_JPEG_STREAM, _OLD_JPEG_LENGTH))
    if not starts:
        raise UnreadablePictureError("damaged or truncated: an old-style JPEG without its stream")
    file = page.parent.filehandle
    file.seek(starts[0])
    stream = file.read(lengths[0] if lengths and lengths[0] else -1)
    if not starts[0] <= page.dataoffsets[0] < starts[0] + len(stream):
        for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False):
            file.seek(offset)
            stream += file.read(size)
    with Image.open(io.BytesIO(stream), formats=("JPEG",)) as image:
        if image.mode != "L" or (image.height, image.width) != page.shape:
            raise UnreadablePictureError("damaged or truncated: an old-style JPEG has another size than its page")
        return np.asarray(image)


def _decode_segment(decompress: Callable[..., Any], target: NDArray[Any], whole: tuple[int, ...]) -> NDArray[Any]:
    """Return one strip or tile; one at the border may be stored whole, or cropped to the page."""
    for shape in dict.fromkeys((whole, target.shape)):
        part = np.empty(shape[:2] if shape[2] == 1 else shape, target.dtype)
        with suppress(ValueError):  # raised before anything of another size is decoded
            decompress(out=part)
            return part.reshape(shape)
    raise UnreadablePictureError("damaged or truncated: a strip or tile has another size than its page states")


def _decompressor_of(page: tifffile.TiffPage) -> Callable[..., Any]:
    """Return a function that decodes a strip or tile into the array ``out``, as tifffile itself does."""
    compression = int(page.compression)
    if compression in _JPEG:
        is_rgb = int(page.photometric) == _RGB and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
        space = _RGB if is_rgb else None  # of a single plane, the codec tells
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
