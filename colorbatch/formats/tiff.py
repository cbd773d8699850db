"""TIFF: every page, 8 and 16 bits, and every tag that describes the photograph (TIFF 6.0, BigTIFF)."""

import io
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats import tiff_images, tiff_masks, tiff_salvage, tiff_strips
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
_PHOTOMETRIC = 262
_MINISWHITE, _MINISBLACK, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLORS = {_MINISWHITE: 1, _MINISBLACK: 1, _RGB: 3, _CMYK: 4}
"""Numbers of colour channels that :func:`decode` knows, by photometric interpretation."""
_OF_PILLOW = frozenset({_PALETTE, _YCBCR, _LAB})
"""Photometric interpretations that only Pillow converts to RGB."""
_UNSPECIFIED, _PREMULTIPLIED = 0, 1
_ALPHA = frozenset({_PREMULTIPLIED, 2, 999})
"""Kinds of extra channels that are alpha (TIFF 6.0, section 18); 999 is Corel Draw's."""
_FURTHEST_HIGHLIGHT, _MOST_OUTSIDE = 16, 0.25
"""Largest value, and largest share of samples outside 0..1, of a page that is meant to be within it."""
_JPEG_XR = frozenset({tifffile.COMPRESSION.JPEGXR, tifffile.COMPRESSION.JPEGXR_NDPI})
_STRETCHED = frozenset({tifffile.SAMPLEFORMAT.INT, tifffile.SAMPLEFORMAT.IEEEFP})


def is_deep(page: tifffile.TiffPage) -> bool:
    """Return whether a page is decoded to 16 bits: it has more than 8 per channel, or signed or floating samples."""
    return bool(page.bitspersample > 8 or page.sampleformat in _STRETCHED)


def sizes_of(page: tifffile.TiffPage) -> tuple[tuple[int, int], ...]:
    """Return width and height of what is decoded at once: the page, and a tile, which may be larger."""
    tile = ((page.tilewidth, page.tilelength),) if page.is_tiled else ()
    return (page.imagewidth, page.imagelength), *tile


def refuse_unsound(page: tifffile.TiffPage) -> None:
    """Raise if a page would be decoded with missing or invented parts.

    Raises:
        UnsupportedPictureError: it has more than one plane, or a compression that cannot be decoded safely.
        UnreadablePictureError: it has no pixels, or not all strips or tiles.

    """
    if page.compression in _JPEG_XR:  # whose decoder ends the process at damaged files
        raise UnsupportedPictureError("a TIFF in JPEG XR", advice="Convert a copy to another compression.")
    if page.imagedepth > 1:
        raise UnsupportedPictureError(f"it is a volume of {page.imagedepth} planes")
    if 0 in page.shaped:
        raise UnreadablePictureError("damaged or truncated: a page without pixels")
    parts = math.prod(page.chunked)
    if len(page.dataoffsets) < parts and page.compression != tifffile.COMPRESSION.OJPEG:  # old-style JPEG may have none
        raise UnreadablePictureError(f"damaged or truncated: it has {len(page.dataoffsets)} of {parts} strips or tiles")


def refuse_undecodable(page: tifffile.TiffPage) -> None:
    """Raise if a page that is copied as stored could not be decoded, so that readers of the output would fail.

    Raises:
        PictureError: as :func:`refuse_unsound`, and if its strips or tiles are damaged.

    """
    refuse_unsound(page)
    try:
        _ = tiff_images.decode(page) if tiff_images.is_of_images(page) else page.asarray()
    except MemoryError:
        raise
    except Exception as error:  # on damaged files, tifffile raises errors of many kinds
        raise UnreadablePictureError(f"damaged or truncated: {error}") from error


def is_for_pillow(page: tifffile.TiffPage) -> bool:
    """Return whether a page is decoded by Pillow: one of up to 8 bits that it reads in full.

    Pillow knows fax, palettes, CIE Lab and YCbCr, but no big-endian BigTIFF, and no predictor in PackBits; it drops
    channels without a stated meaning.

    Raises:
        UnsupportedPictureError: neither Pillow nor :func:`decode` knows its photometric interpretation or channels.

    """
    compression, file = int(page.compression), page.parent
    has_gap = (
        is_deep(page)
        or compression not in TiffImagePlugin.COMPRESSION_INFO
        or compression == tifffile.COMPRESSION.WEBP
        or (compression == tifffile.COMPRESSION.PACKBITS and page.predictor != tifffile.PREDICTOR.NONE)
        or (file.is_bigtiff and file.byteorder == ">")
    )
    key = (
        TiffImagePlugin.II if file.byteorder == "<" else TiffImagePlugin.MM,
        _YCBCR if compression == tifffile.COMPRESSION.OJPEG else int(page.photometric),
        (int(page.sampleformat),),
        int(page.fillorder),
        (page.bitspersample,) * page.samplesperpixel,
        tuple(int(kind) for kind in page.extrasamples),
    )
    if has_gap or key not in TiffImagePlugin.OPEN_INFO:
        _channels_of(page)
        return False
    if compression == tifffile.COMPRESSION.OJPEG and page.samplesperpixel == 1:
        return False  # Pillow takes any for YCbCr
    has_unnamed = _UNSPECIFIED in page.extrasamples
    if (int(page.photometric) in _OF_PILLOW and not has_unnamed) or compression == tifffile.COMPRESSION.OJPEG:
        return True
    channels = _channels_of(page)
    return channels.unnamed is None and (channels.alpha is None or page.planarconfig != tifffile.PLANARCONFIG.SEPARATE)


def can_decode(page: tifffile.TiffPage) -> bool:
    """Return whether :func:`decode` knows the colours and the compression of a page that Pillow decodes."""
    return int(page.photometric) in _COLORS and int(page.compression) in LOSSLESS


@dataclass(frozen=True)
class Decoded:
    """The samples of a page, ``[H, W]`` or ``[H, W, C]``, of 8 or 16 bits."""

    pixels: Pixels
    """Grey, RGB or CMYK."""
    alpha: Pixels | None
    unnamed: Pixels | None
    """A channel without a stated meaning."""


def decode(page: tifffile.TiffPage, warnings: list[str], *, salvage: bool = False) -> Decoded:
    """Return the samples of a page, in 8 bits, or in 16 if it is deep; CMYK has four channels.

    Unsigned samples are scaled from 0..2^N-1 to 0..255, or from more than 8 bits to 0..65535. The range of
    floating-point samples is 0..1 if they are within it, or if raw converters may have gone beyond it in places, which
    are clipped with a warning; otherwise, as for signed samples, it is from the minimum to the maximum of the page.
    With ``salvage``, strips and tiles that cannot be decoded have the value 0.

    Raises:
        UnsupportedPictureError: the samples have no clear meaning as a photograph.
        UnreadablePictureError: damaged or truncated.

    """
    channels = _channels_of(page)
    try:
        if tiff_images.is_of_images(page):
            samples = tiff_images.decode(page)
        else:
            samples = tiff_salvage.decode(page) if salvage else page.asarray()
    except (UnreadablePictureError, MemoryError):
        raise
    except Exception as error:  # on damaged files, tifffile raises errors of many kinds
        raise UnreadablePictureError(f"damaged or truncated: {error}") from error
    if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        samples = np.moveaxis(samples, 0, -1)
    planes = _to_levels(samples, int(page.bitspersample), warnings)
    top = np.iinfo(planes.dtype).max
    pixels = planes if planes.ndim == 2 else planes[..., 0] if channels.colors == 1 else planes[..., : channels.colors]
    if int(page.photometric) == _MINISWHITE:
        pixels = top - pixels
    alpha = None if channels.alpha is None else planes[..., channels.alpha]
    if alpha is not None and channels.is_premultiplied:
        opacity = np.maximum(alpha, 1).astype(np.float32) / np.float32(top)
        shape = opacity if pixels.ndim == 2 else opacity[..., None]
        pixels = np.clip(pixels / shape + 0.5, 0, top).astype(planes.dtype)
    return Decoded(pixels, alpha, None if channels.unnamed is None else planes[..., channels.unnamed])


def with_stated_black(page: tifffile.TiffPage, decoded: Decoded, warnings: list[str]) -> Decoded:
    """Return the samples of a grey page that may not state whether 0 is black, for which decoders take it for white.

    TIFF 6.0 has no default for it. Most readers take 0 for white in documents of 1 bit, as in fax, and else for black.
    """
    if _PHOTOMETRIC in page.tags or page.samplesperpixel != 1 or page.compression == tifffile.COMPRESSION.OJPEG:
        return decoded
    is_document = page.bitspersample == 1
    warnings.append(f"it does not state whether 0 is black: it was taken for {'white' if is_document else 'black'}")
    return decoded if is_document else replace(decoded, pixels=np.iinfo(decoded.pixels.dtype).max - decoded.pixels)


@dataclass(frozen=True)
class _Channels:
    """Meaning of the channels of a page."""

    colors: int
    """Number of those that are colours, which come first."""
    alpha: int | None
    """Index of alpha."""
    unnamed: int | None
    """Index of the one without a stated meaning, such as the infrared of a scanner."""
    is_premultiplied: bool
    """Whether the colours are multiplied by alpha."""


def _channels_of(page: tifffile.TiffPage) -> _Channels:
    """Return the meaning of the channels of a page; called before decoding.

    Raises:
        UnsupportedPictureError: they have no clear meaning.

    """
    photometric, count = int(page.photometric), page.samplesperpixel
    is_converted = (  # to RGB by its codec
        photometric == _YCBCR
        and page.compression == tifffile.COMPRESSION.JPEG
        and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
    )
    colors = 3 if is_converted else _COLORS.get(photometric, 0)
    if not 0 < colors <= count:
        raise UnsupportedPictureError(
            f"a TIFF of photometric {photometric} with {count} channels of {page.bitspersample} bits"
        )
    kinds = [int(kind) for kind in page.extrasamples][: count - colors]
    kinds += [_UNSPECIFIED] * (count - colors - len(kinds))
    alphas = [number for number, kind in enumerate(kinds, start=colors) if kind in _ALPHA]
    unnamed = [number for number, kind in enumerate(kinds, start=colors) if kind not in _ALPHA]
    if len(alphas) > 1 or len(unnamed) > 1:
        raise UnsupportedPictureError(f"it has {len(kinds)} extra channels without a stated meaning")
    return _Channels(colors, next(iter(alphas), None), next(iter(unnamed), None), _PREMULTIPLIED in kinds)


def _to_levels(samples: NDArray[np.generic], bits: int, warnings: list[str]) -> Pixels:
    if samples.dtype == np.uint8 and bits == 8:
        return samples.astype(np.uint8)
    if bits < 8 and samples.dtype.kind in "bu":
        few: NDArray[np.uint8] = np.round(samples * (255 / (2**bits - 1))).astype(np.uint8)
        return few
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
    if samples.dtype.kind == "f" and _is_meant_as_0_to_1(values, low, high):
        if low < 0 or high > 1:
            values = np.clip(values, 0, 1)
            warnings.append(f"samples outside 0 to 1 were clipped: the range is {low:.6g} to {high:.6g}")
        low, high = 0.0, 1.0
    stretched: NDArray[np.uint16] = np.round((values - low) * (65535 / max(high - low, 1e-300))).astype(np.uint16)
    return stretched


def _is_meant_as_0_to_1(values: NDArray[np.float64], low: float, high: float) -> bool:
    """Return whether floating-point samples are within 0..1 but for a few, by a few stops: highlights and halos."""
    if low >= 0 and high <= 1:
        return True
    is_near = low >= -1 and high <= _FURTHEST_HIGHLIGHT
    return is_near and float(np.mean((values < 0) | (values > 1))) <= _MOST_OUTSIDE


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
    extra_channels = tiff_strips.extra_channels_of(frame)
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
        photometric="minisblack" if channels - len(extra_channels) < 3 else "rgb",
        planarconfig=None if channels == 1 else "contig",
        extrasamples=extra_channels or None,
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
    for page, each in zip(pages_of(data, layout), metadata, strict=True):
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
