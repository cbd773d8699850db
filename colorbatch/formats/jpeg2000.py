"""JPEG 2000, always without loss; it has no room for metadata that other programs would look for."""

import imagecodecs
import numpy as np

from colorbatch.errors import UnreadablePictureError
from colorbatch.picture import Frame, Pixels

SIGNATURES = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
"""Of the JP2 file format, and of a bare code stream."""


def decode(data: bytes) -> tuple[Pixels, Pixels | None]:
    """Return grey or RGB pixels of 8 or 16 bits, and alpha.

    Raises:
        UnreadablePictureError: broken, cut short, or of a kind that has no such planes.

    """
    try:
        image = imagecodecs.jpeg2k_decode(data)
    except Exception as error:  # a damaged file makes it raise errors of several kinds
        raise UnreadablePictureError(f"broken or cut short: {error}") from error
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3):
        raise UnreadablePictureError(f"JPEG 2000 with samples of {image.dtype} is not supported")
    if image.ndim == 2:
        return image, None
    channels = image.shape[2]
    alpha = image[..., -1] if channels in (2, 4) else None
    return (image[..., 0] if channels < 3 else image[..., :3]), alpha


def encode(frame: Frame) -> bytes:
    """Return a lossless JP2 file of the frame's own bit depth."""
    planes = frame.pixels if frame.alpha is None else np.dstack([frame.pixels, frame.alpha])
    contiguous = np.ascontiguousarray(planes)
    return bytes(imagecodecs.jpeg2k_encode(contiguous, level=0, reversible=True, codecformat="jp2"))
