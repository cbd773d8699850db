"""Compare the coded luma of two JPEGs: the second opinion on the code that copies it."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, JpegImagePlugin

from colorbatch.formats.jpeg_end import completed

_TOLERANCE = 1.0
"""Maximum difference of grey levels that a viewer shows: profiles of the same tone curve are rounded differently."""


def is_luma_copied(source: bytes, output: bytes) -> bool:
    """Return whether two JPEGs have the same luma: levels and quantisation table, as Pillow reads them.

    Nothing is shared with the code that copies luma but for what completes a source without its end marker.
    """
    try:
        (before, table), (after, other_table) = _decoded_luma(completed(source)), _decoded_luma(output)
    except (OSError, ValueError, SyntaxError):
        return False
    return list(table) == list(other_table) and np.array_equal(before, after) and _shows_same_greys(source, output)


def _shows_same_greys(source: bytes, output: bytes) -> bool:
    """Return whether a viewer shows the grey levels of two JPEGs alike, whatever their profiles."""
    shown = []
    for data in (source, output):
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            profile, mode = image.info.get("icc_profile"), image.mode
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).convert(mode)
        shown.append(np.asarray(_in_srgb(ramp, profile).convert("L"), int))
    return bool(np.abs(shown[0] - shown[1]).max() <= _TOLERANCE)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return what a viewer shows of an image: one without a profile, or with one for another mode, as it is."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        transform = ImageCms.buildTransform(
            opened, ImageCms.createProfile("sRGB"), image.mode, "RGB", flags=ImageCms.Flags.NOOPTIMIZE
        )
        return ImageCms.applyTransform(image, transform) or image
    except (OSError, ImageCms.PyCMSError):
        return image


def _decoded_luma(data: bytes) -> tuple[NDArray[np.uint8], Sequence[int]]:
    """Return the luma of a JPEG, as stored, and its quantisation table.

    Raises:
        ValueError: it is not a JPEG, or not in YCbCr or grey, or lossless, without a table.

    """
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        components = image.layer
        if len(components) not in (1, 3) or image.info.get("adobe_transform", 1) == 0:
            raise ValueError("it has no luma")
        table: Sequence[int] | None = image.quantization.get(components[0][3])
        if table is None:
            raise ValueError("it has no quantisation table")
        image.draft("L", image.size)
        return np.asarray(image), table
