"""WebP, always lossless."""

import io
from typing import Any

import numpy as np
from PIL import Image

from colorbatch.formats.icc import srgb_profile
from colorbatch.pixels.picture import Frame

LONGEST_SIDE = 16_383
"""Maximum side in pixels, of the format."""


def encode(frame: Frame) -> bytes:
    """Return a lossless WebP file; the colours of transparent pixels are kept."""
    metadata = frame.metadata
    arguments: dict[str, Any] = {"lossless": True, "exact": True, "quality": 50}
    if metadata.has_profile:
        arguments["icc_profile"] = srgb_profile()
    if metadata.exif:
        arguments["exif"] = b"Exif\0\0" + metadata.exif
    if metadata.xmp:
        arguments["xmp"] = metadata.xmp
    planes = frame.pixels if frame.alpha is None else np.dstack([frame.pixels, frame.alpha])
    buffer = io.BytesIO()
    Image.fromarray(planes).save(buffer, "WEBP", **arguments)
    return buffer.getvalue()
