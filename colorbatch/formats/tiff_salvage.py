"""The readable strips and tiles of a damaged TIFF page, one by one."""

from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from colorbatch.errors import UnreadablePictureError


def decode(page: tifffile.TiffPage) -> NDArray[Any]:
    """Return the samples of a page as ``TiffPage.asarray`` does; those that cannot be read are 0.

    Of a strip without compression that is cut short, what there is counts; of a compressed one, nothing.

    Raises:
        UnreadablePictureError: no strip or tile can be read.

    """
    samples = np.zeros(page.shaped, page.dtype)
    readable = 0
    for index, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=False)):
        data = _read(page, offset, count)
        try:
            part, (plane, depth, top, left, _), shape = page.decode(
                data, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader
            )
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001, S112 (on damaged data, decoders raise errors of many kinds)
            continue
        if part is None:
            continue
        place = samples[plane, depth : depth + shape[0], top : top + shape[1], left : left + shape[2]]
        place[:] = part[: place.shape[0], : place.shape[1], : place.shape[2]]
        readable += 1
    if not readable:
        raise UnreadablePictureError("damaged or truncated: none of its strips or tiles can be decoded")
    return samples.reshape(page.shape)


def _read(page: tifffile.TiffPage, offset: int, count: int) -> bytes | None:
    """Return the bytes of a strip or tile; ``None``: there are none, or too few to be decoded."""
    file = page.parent.filehandle
    file.seek(min(offset, file.size))
    data: bytes = file.read(min(count, file.size))
    if len(data) == count:
        return data
    is_plain = page.compression == tifffile.COMPRESSION.NONE
    return data.ljust(min(count, page.nbytes), b"\0") if is_plain and data else None
