"""Read luma without the code that coloured it: with libpng, libtiff, libwebp and integer colour transforms."""

import io
import re
import struct
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.ExifTags import Base

from colorbatch.pixels.color import Plane

_READERS: dict[str, Callable[[bytes], NDArray[Any]]] = {
    "PNG": imagecodecs.png_decode,
    "TIFF": imagecodecs.tiff_decode,
    "WEBP": imagecodecs.webp_decode,
}
_COLOR_CHUNKS = re.compile(b"gAMA|cHRM|cICP")
"""Chunks of a PNG that describe its colours instead of a profile."""
_HIDDEN_METADATA = re.compile(rb"Raw profile type (?:APP1|xmp)\0")
"""Keyword of a text of a PNG whose metadata Pillow does not read: there may be an orientation in it."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns stored pixels upright, by orientation (EXIF 2.32, table 6)."""
_LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601-7, section 2.5.1."""
_PHOTOMETRIC = 262
_MINISWHITE, _MINISBLACK, _RGB = 0, 1, 2
_CHANNELS = {_MINISWHITE: 1, _MINISBLACK: 1, _RGB: 3}
_UNREADABLE = (
    *(OSError, ValueError, RuntimeError, LookupError, TypeError, SyntaxError, struct.error),
    *(tifffile.TiffFileError, ImageCms.PyCMSError),
)
"""What readers raise at a file that they do not know; the reader of a run then has the only word."""


def luma_of_file(data: bytes) -> Plane | None:
    """Return the luma ``[H, W]`` in 0..1 of the first page of a file, upright and in sRGB.

    Returns:
        ``None`` if it is not a WebP, a PNG whose colours are those of sRGB or of a profile and whose metadata Pillow
        reads, or a plain TIFF: grey or RGB of 8 or 16 bits, without further channels.

    """
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_READERS)) as image:
            kind, profile = str(image.format), image.info.get("icc_profile")
            orientation = image.getexif().get(Base.Orientation, 1)
        if kind == "PNG" and profile is None and _COLOR_CHUNKS.search(data, 0, data.find(b"IDAT")):
            return None
        if kind == "PNG" and _HIDDEN_METADATA.search(data):
            return None
        levels = _levels_of_tiff(data) if kind == "TIFF" else _READERS[kind](data)
        is_rgb = levels.ndim == 3 and levels.shape[2] > 2
        luma = _luma_in_srgb(levels[..., :3] if is_rgb else np.atleast_3d(levels)[..., 0], profile)
        upright = Image.fromarray(luma)
        return np.asarray(upright.transpose(_TURNS[orientation]) if orientation in _TURNS else upright)
    except _UNREADABLE:
        return None


def _levels_of_tiff(data: bytes) -> NDArray[Any]:
    """Return the levels of the first page of a TIFF, grey ``[H, W]`` or RGB ``[H, W, 3]``.

    Raises:
        ValueError: it is not plain.

    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        photometric = int(page.photometric)
        is_plain = _PHOTOMETRIC in page.tags and page.bitspersample in (8, 16) and page.dtype in (np.uint8, np.uint16)
        if not is_plain or _CHANNELS.get(photometric) != page.samplesperpixel:
            raise ValueError("it is not grey or RGB of 8 or 16 bits")
        is_planar = page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        is_negative = photometric == _MINISWHITE and page.compression != tifffile.COMPRESSION.JPEG
    levels = _READERS["TIFF"](data)  # which inverts JPEG itself
    levels = np.moveaxis(levels, 0, -1) if is_planar else levels
    return np.iinfo(levels.dtype).max - levels if is_negative else levels


def _luma_in_srgb(levels: NDArray[Any], profile: bytes | None) -> Plane:
    """Return luma of grey ``[H, W]`` or RGB ``[H, W, 3]``.

    Raises:
        ValueError, OSError, ImageCms.PyCMSError: the profile is of another kind, or damaged.

    """
    top = np.iinfo(levels.dtype).max
    if profile is None:
        return _luma(levels, top)
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = str(opened.profile.xcolor_space).strip()
    if levels.ndim == 2 and space == "RGB":  # grey in the levels of a working space
        return _luma(levels, top)
    if space != ("GRAY" if levels.ndim == 2 else "RGB"):
        raise ValueError(f"a profile of {space}")
    converted = imagecodecs.cms_transform(
        np.ascontiguousarray(levels),
        profile,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        colorspace="minisblack" if levels.ndim == 2 else "rgb",
        outcolorspace="rgb",
        outdtype=levels.dtype,
        intent=int(ImageCms.Intent.PERCEPTUAL),
        flags=int(ImageCms.Flags.NOOPTIMIZE),
    )
    return _luma(converted, top)


def _luma(levels: NDArray[Any], top: int) -> Plane:
    luma = levels if levels.ndim == 2 else levels @ _LUMA_WEIGHTS
    return (luma / top).astype(np.float32)
