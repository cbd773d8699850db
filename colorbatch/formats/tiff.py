"""TIFF: every page, 8 and 16 bits, and every tag that describes the photograph (TIFF 6.0, BigTIFF)."""

import io
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats import tiff_images, tiff_masks, tiff_strips
from colorbatch.formats.icc import srgb_profile
from colorbatch.formats.tiff_directory import Layout, layout_of, pages_of, write_directory
from colorbatch.pixels.metadata import Metadata, RawTag
from colorbatch.pixels.picture import Frame, MaskPage, Pixels

_PLACEHOLDERS = {34665: 34664, 34853: 34852}
"""Placeholders: tifffile does not write these pointers, so they are written as the next lower tag, then renamed."""
_EXIF, _INTEROPERABILITY, _XMP = 34665, 40965, 700
_LONG, _LONG8 = 4, 16
LOSSLESS = {1: "none", 5: "lzw", 8: "zlib", 32946: "zlib", 32773: "packbits", 34925: "lzma", 50000: "zstd"}
"""Compressions that are kept in the output, with their names in tifffile."""
_DEFAULT_COMPRESSION = "zlib"
_MAX_CLASSIC_BYTES = 3_900_000_000
"""Bytes of pixels above which a BigTIFF is written."""
_MINISWHITE, _MINISBLACK, _RGB, _CMYK = 0, 1, 2, 5


def is_deep(page: tifffile.TiffPage) -> bool:
    """Return whether a page has more than 8 bits per channel, or floating-point samples."""
    return bool(page.bitspersample > 8 or page.sampleformat == tifffile.SAMPLEFORMAT.IEEEFP)


def sizes_of(page: tifffile.TiffPage) -> tuple[tuple[int, int], ...]:
    """Return width and height of what is decoded at once: the page, and a tile, which may be larger."""
    tile = ((page.tilewidth, page.tilelength),) if page.is_tiled else ()
    return (page.imagewidth, page.imagelength), *tile


def refuse_unsound(page: tifffile.TiffPage) -> None:
    """Raise if a page would be decoded with missing or invented parts.

    Raises:
        UnsupportedPictureError: it has more than one plane.
        UnreadablePictureError: it has no pixels, or not all strips or tiles.

    """
    if page.imagedepth > 1:
        raise UnsupportedPictureError(f"it is a volume of {page.imagedepth} planes")
    if 0 in page.shaped:
        raise UnreadablePictureError("damaged or truncated: a page without pixels")
    parts = math.prod(page.chunked)
    if len(page.dataoffsets) < parts and page.compression != tifffile.COMPRESSION.OJPEG:  # old-style JPEG may have none
        raise UnreadablePictureError(f"damaged or truncated: it has {len(page.dataoffsets)} of {parts} strips or tiles")


def is_known_to_pillow(page: tifffile.TiffPage) -> bool:
    """Return whether Pillow fully supports the compression of a page."""
    return (
        int(page.compression) in TiffImagePlugin.COMPRESSION_INFO and int(page.compression) != tifffile.COMPRESSION.WEBP
    )


def decode(page: tifffile.TiffPage) -> tuple[Pixels, Pixels | None]:
    """Return pixels and alpha of 8 bits, or of 16 if the samples have more; CMYK has four channels.

    Unsigned samples of more than 8 bits are scaled from 0..2^N-1 to 0..65535. The range of floating-point samples is
    0..1 if all are within it; otherwise, as for signed samples, it is from the minimum to the maximum of the page.

    Raises:
        UnsupportedPictureError: the samples have no clear meaning as a photograph.
        UnreadablePictureError: damaged or truncated.

    """
    colors, extra = _channels_of(page)
    try:
        samples = tiff_images.decode(page) if tiff_images.is_of_images(page) else page.asarray()
    except UnreadablePictureError:
        raise
    except Exception as error:  # on damaged files, tifffile raises errors of many kinds
        raise UnreadablePictureError(f"damaged or truncated: {error}") from error
    if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        samples = np.moveaxis(samples, 0, -1)
    planes = _to_levels(samples, int(page.bitspersample))
    top = np.iinfo(planes.dtype).max
    pixels = planes if planes.ndim == 2 else planes[..., 0] if colors == 1 else planes[..., :colors]
    if int(page.photometric) == _MINISWHITE:
        pixels = top - pixels
    alpha = planes[..., -1] if extra else None
    if alpha is not None and extra[0] == int(tifffile.EXTRASAMPLE.ASSOCALPHA):
        opacity = np.maximum(alpha, 1).astype(np.float32) / np.float32(top)
        shape = opacity if pixels.ndim == 2 else opacity[..., None]
        pixels = np.clip(pixels / shape + 0.5, 0, top).astype(planes.dtype)
    return pixels, alpha


def _channels_of(page: tifffile.TiffPage) -> tuple[int, list[int]]:
    """Return the number of colour channels of a page, and the kinds of its extra ones; called before decoding.

    Raises:
        UnsupportedPictureError: they have no clear meaning.

    """
    channels, extra = page.samplesperpixel, [int(kind) for kind in page.extrasamples]
    colors = channels - len(extra)
    if {_MINISWHITE: 1, _MINISBLACK: 1, _RGB: 3, _CMYK: 4}.get(int(page.photometric)) != colors:
        raise UnsupportedPictureError(
            f"a TIFF of photometric {int(page.photometric)} with {channels} channels of {page.bitspersample} bits"
        )
    if len(extra) > 1 or 0 in extra:
        raise UnsupportedPictureError(f"it has {len(extra)} extra channels without a stated meaning")
    return colors, extra


def _to_levels(samples: NDArray[np.generic], bits: int) -> Pixels:
    if samples.dtype == np.uint8 and bits == 8:
        return samples.astype(np.uint8)
    if samples.dtype.kind == "u":
        largest = 2**bits - 1
        if largest == np.iinfo(np.uint16).max:
            return samples.astype(np.uint16)
        scaled: NDArray[np.uint16] = np.round(samples.astype(np.float64) * (65535 / largest)).astype(np.uint16)
        return scaled
    if samples.dtype.kind not in "fi":
        raise UnsupportedPictureError(f"samples of {samples.dtype} are not brightness levels")
    values = samples.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise UnsupportedPictureError("some samples are not finite numbers")
    if samples.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    stretched: NDArray[np.uint16] = np.round((values - low) * (65535 / max(high - low, 1e-300))).astype(np.uint16)
    return stretched


def encode(frames: Sequence[Frame], masks: Sequence[MaskPage] = ()) -> bytes:
    """Return a TIFF with one page per frame, each with its own bit depth and its tags unchanged, and mask pages."""
    order = frames[0].metadata.tiff_byte_order
    size = sum(math.prod(tiff_strips.shape_of(frame)) * frame.pixels.itemsize for frame in frames)
    is_big = size + sum(len(segment) for mask in masks for segment in mask.segments) > _MAX_CLASSIC_BYTES
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=is_big, byteorder=order) as writer:
        for frame in frames:
            _write_page(writer, frame, order)
    return tiff_masks.with_masks(_with_directories(buffer.getvalue(), [frame.metadata for frame in frames]), masks)


def _write_page(writer: tifffile.TiffWriter, frame: Frame, byte_order: Literal["<", ">"]) -> None:
    metadata = frame.metadata
    compression = metadata.tiff_compression or _DEFAULT_COMPRESSION
    height, width, channels = tiff_strips.shape_of(frame)
    tags = dict(metadata.tiff_tags)
    if metadata.xmp:
        tags[_XMP] = (1, len(metadata.xmp), metadata.xmp)
    extra: list[tuple[int, int, int, Any, bool]] = [
        (code, kind, count, value, True) for code, (kind, count, value) in tags.items()
    ]
    extra += [(_PLACEHOLDERS[code], 4, 1, 0, True) for code in metadata.tiff_directories if code in _PLACEHOLDERS]
    resolution = metadata.tiff_resolution
    writer.write(
        tiff_strips.encoded_strips(frame, compression, byte_order),
        shape=(height, width) if channels == 1 else (height, width, channels),
        dtype=frame.pixels.dtype,
        rowsperstrip=tiff_strips.rows_of(frame),
        subfiletype=metadata.tiff_subfile_type,
        resolution=None if resolution is None else resolution[:2],
        resolutionunit=None if resolution is None else resolution[2],
        photometric="minisblack" if channels < 3 else "rgb",
        planarconfig=None if channels == 1 else "contig",
        extrasamples=None if frame.alpha is None else ["unassalpha"],
        compression=None if compression == "none" else compression,
        predictor=compression in tiff_strips.DIFFERENCED,
        iccprofile=srgb_profile() if metadata.has_profile else None,
        software=False,
        metadata=None,
        extratags=extra,
        contiguous=False,
    )


def _with_directories(data: bytes, metadata: Sequence[Metadata]) -> bytes:
    """Return the file with the EXIF and GPS directories appended and their pointers set."""
    if not any(each.tiff_directories for each in metadata):
        return data
    result = bytearray(data)
    layout = layout_of(data)
    kind = _LONG8 if layout.is_big else _LONG
    for page, each in zip(pages_of(data, layout, []), metadata, strict=True):
        directories = dict(each.tiff_directories)
        inner = directories.pop(_INTEROPERABILITY, None)
        if inner is not None and _EXIF in directories:
            offset = _append(result, inner, layout)
            directories[_EXIF] = {
                **directories[_EXIF],
                _INTEROPERABILITY: (kind, 1, struct.pack(layout.pointer, offset)),
            }
        for code, directory in directories.items():
            offset = _append(result, directory, layout)
            entry = [entry for entry in page.entries if entry.code == _PLACEHOLDERS[code]][-1]
            struct.pack_into(layout.entry, result, entry.position, code, kind, 1)
            struct.pack_into(layout.pointer, result, entry.position + struct.calcsize(layout.entry), offset)
    return bytes(result)


def _append(file: bytearray, directory: Mapping[int, RawTag], layout: Layout) -> int:
    """Append a directory to a file, and return its offset, which is even."""
    file += b"\0" * (len(file) % 2)
    offset = len(file)
    file += write_directory(directory, offset, layout)
    return offset
