"""Decode a whole picture file, and encode a coloured one."""

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from colorbatch.errors import PictureError, UnreadablePictureError, UnsupportedPictureError
from colorbatch.file_type import SNIFFED as TYPE_SNIFFED
from colorbatch.file_type import file_type_of
from colorbatch.formats import (
    jpeg,
    jpeg2000,
    jpeg_end,
    png,
    psd,
    raw,
    tiff,
    tiff_directory,
    webp,
)
from colorbatch.formats.decoders import DECODERS, REDUCTION, Decoder, decode_image, decode_jpeg, open_image
from colorbatch.formats.kinds import SNIFFED, Kind, sniff
from colorbatch.formats.outdated import REGIONS_DROPPED
from colorbatch.formats.tiff_metadata import PageTags
from colorbatch.formats.tiff_raw import is_raw
from colorbatch.formats.truncated_switch import TRUNCATED_SWITCH
from colorbatch.job import BatchJob
from colorbatch.pixels.picture import Frame, JpegOrigin, Picture

SALVAGED = "salvaged, parts of it are missing"
"""Start of the warning about a truncated picture."""
_LOADED = imagecodecs.png_decode, imagecodecs.jpeg2k_decode, imagecodecs.jpeg8_decode, imagecodecs.cms_transform
"""One function of each library that is loaded on first use: where there is no memory for that later, amid pictures, it
is missing until the process ends. Together they take 0.01 s."""
_MAX_SIDE = {"JPEG": jpeg.LONGEST_SIDE, "WEBP": webp.LONGEST_SIDE}


def decode(data: bytes, max_megapixels: float = BatchJob.max_megapixels, *, salvage: bool = False) -> Picture:
    """Decode a whole file: every frame upright and in sRGB, alpha separate, bit depth kept.

    Frames larger than ``max_megapixels`` are refused: a few bytes can claim billions of pixels. With ``salvage`` the
    readable part of a truncated file is returned, and the first warning starts with ``SALVAGED``.

    Raises:
        UnreadablePictureError: not a known picture format, or damaged or truncated.
        UnsupportedPictureError: a kind that would lose something, or more pixels than allowed.

    """
    kind = _kind_of(data)
    return _decode_or_salvage(data, kind, DECODERS.get(kind.name, decode_image), max_megapixels, salvage=salvage)


def decode_reduced(
    data: bytes, short_side: int, max_megapixels: float = BatchJob.max_megapixels, *, salvage: bool = False
) -> Picture | None:
    """Decode a file at a reduced size, only to look at it; ``None``: its format or its size does not allow that.

    A large JPEG is decoded at an eighth of its size. All of its coded data is read, so that the same files fail as with
    :func:`decode`. Other formats are not: the reduced pages of a TIFF are pictures of their own, which need not be like
    the whole.

    Args:
        data: the file.
        short_side: minimum short side of the result in pixels.
        max_megapixels: as for :func:`decode`.
        salvage: as for :func:`decode`.

    Raises:
        UnreadablePictureError, UnsupportedPictureError: as :func:`decode`.

    """
    kind = _kind_of(data)
    if kind.name != "JPEG" or jpeg.short_side_of(data) < short_side * REDUCTION:
        return None
    return _decode_or_salvage(data, kind, partial(decode_jpeg, is_reduced=True), max_megapixels, salvage=salvage)


def _kind_of(data: bytes) -> Kind:
    """Return the kind of a picture file.

    Raises:
        UnreadablePictureError, UnsupportedPictureError: it is of none.

    """
    if not data:
        raise UnreadablePictureError("the file is empty", advice=UnreadablePictureError.without_salvage)
    kind = sniff(data[:SNIFFED])
    if kind is None and data.count(0) == len(data):
        raise UnreadablePictureError("the file has only zero bytes")
    if kind is None:
        raise _not_a_picture(data[:TYPE_SNIFFED])
    return kind


def _decode_or_salvage(data: bytes, kind: Kind, decoder: Decoder, max_megapixels: float, *, salvage: bool) -> Picture:
    Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit is lower; ours is checked before a pixel is decoded
    try:
        with TRUNCATED_SWITCH.off():
            return _decode(data, kind, decoder, max_megapixels)
    except UnreadablePictureError as error:
        if not salvage:
            raise
        try:
            with TRUNCATED_SWITCH.on():
                picture = _decode(data, kind, decoder, max_megapixels)
        except UnreadablePictureError as failure:
            if failure.advice == UnreadablePictureError.advice:  # which was followed
                failure.advice = f"No part of it can be read. {UnreadablePictureError.without_salvage}"
            raise
        jpeg_origin = picture.jpeg and replace(picture.jpeg, obstacle="parts of it are missing")
        return replace(picture, jpeg=jpeg_origin, warnings=(f"{SALVAGED}: {error}", *picture.warnings))


def _not_a_picture(head: bytes) -> PictureError:
    """Return the error for a file that begins like no picture that is read."""
    found = file_type_of(head)
    if found is not None:
        return UnsupportedPictureError(f"it is {found.name}, not a picture that can be coloured", advice=found.advice)
    return UnreadablePictureError(
        "not a known picture format",
        advice="Convert a copy to TIFF or PNG if it is a picture of another kind; restore it from a backup if it is "
        "damaged.",
    )


def _decode(data: bytes, kind: Kind, decoder: Decoder, max_megapixels: float) -> Picture:
    try:
        return decoder(data, kind, max_megapixels)
    except (PictureError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise UnreadablePictureError(f"not a readable {kind.name} picture") from error
    except Exception as error:  # on damaged files, decoders raise errors of any kind
        raise UnreadablePictureError(f"damaged or truncated: {error}") from error


def decoded_bytes(data: bytes) -> int:
    """Return the bytes of the pixels of a file in colour, from its header alone; 0 if that is unreadable."""
    kind = sniff(data[:SNIFFED])
    if kind is None:
        return 0
    Image.MAX_IMAGE_PIXELS = None
    try:
        return _SIZES.get(kind.name, _bytes_of_image)(data, kind)
    except Exception:  # noqa: BLE001 (a damaged file raises errors of any kind; decoding will report what is wrong)
        return 0


def _bytes_of(width: int, height: int, *, is_deep: bool) -> int:
    return 3 * width * height * (2 if is_deep else 1)


def _bytes_of_tiff(data: bytes, kind: Kind) -> int:
    layout = tiff_directory.layout_of(data)
    directories = tiff_directory.pages_of(data, layout, salvage=True)
    if is_raw(data, [PageTags(data, directory, layout) for directory in directories]):
        return _bytes_of_raw(data, kind)
    with tifffile.TiffFile(io.BytesIO(tiff_directory.copy_for_decoders(data, directories, layout))) as file:
        pages = [file.pages[number] for number in range(len(file.pages))]
        pixels = (max(width * height for width, height in tiff.sizes_of(page)) for page in pages)
        return 3 * sum(int(each) * (1 + tiff.is_deep(page)) for each, page in zip(pixels, pages, strict=True))


def _bytes_of_raw(data: bytes, _kind: Kind) -> int:
    return _bytes_of(*raw.size_of(data), is_deep=True)


def _bytes_of_png(data: bytes, _kind: Kind) -> int:
    """Return the bytes from its header, which suffices even where Pillow opens the file only to salvage it."""
    return _bytes_of(*png.size_of(data), is_deep=png.bit_depth(data) == 16)


def _bytes_of_psd(data: bytes, _kind: Kind) -> int:
    return _bytes_of(*psd.size_of(data), is_deep=psd.is_deep(data))


def _bytes_of_jpeg2000(data: bytes, _kind: Kind) -> int:
    return _bytes_of(*jpeg2000.size_of(data), is_deep=jpeg2000.is_deep(data))


def _bytes_of_image(data: bytes, kind: Kind) -> int:
    with open_image(data, kind) as image:
        return _bytes_of(image.width, image.height, is_deep=image.mode.startswith("I"))


def needs_transcoder(data: bytes) -> bool:
    """Return whether :func:`with_coded_luma` may have to separate the luma of a file from chroma."""
    kind = sniff(data[:SNIFFED])
    return kind is not None and kind.name == "JPEG" and jpeg.has_chroma(data)


def with_coded_luma(picture: Picture, data: bytes) -> Picture:
    """Return a picture that is encoded with the luma of its source as it is coded there, if that is a JPEG.

    Where that cannot be, the picture has a warning that states why.

    Args:
        picture: as decoded.
        data: the file that it was decoded from.

    """
    if picture.jpeg is None:
        return picture
    try:
        metadata = jpeg.metadata_as_stored(picture.jpeg)
        luma = jpeg.coded_luma_of(jpeg_end.completed(data), _levels_as_stored(picture.first, picture.jpeg))
    except jpeg.LumaNotCopiedError as error:
        return replace(picture, warnings=(*picture.warnings, f"its luma was encoded again: {error}"))
    warnings = tuple(each for each in picture.warnings if not each.startswith(REGIONS_DROPPED))  # it is not turned
    frame = replace(picture.first, metadata=metadata)
    return replace(picture, frames=(frame,), coded_luma=luma, warnings=warnings)


def _levels_as_stored(frame: Frame, origin: JpegOrigin) -> NDArray[np.uint8] | None:
    """Return the luma of a JPEG as stored, ``[H, W]``; ``None``: decoding changed it."""
    is_unchanged = frame.pixels.ndim == 2 and origin.orientation == 1 and not origin.profile
    return frame.pixels.astype(np.uint8, copy=False) if is_unchanged else None


def encode(picture: Picture, jpeg_source: bytes = b"") -> bytes:
    """Encode a picture deterministically, with unchanged luma and metadata.

    Args:
        picture: what to encode; the chroma of its frames is merged here.
        jpeg_source: the file that it was decoded from, if that is a JPEG whose coded luma is to be copied as
            :func:`with_coded_luma` does; empty: luma is encoded from the pixels, unless it was copied already.

    Raises:
        UnsupportedPictureError: the format cannot hold it.

    """
    if jpeg_source and picture.coded_luma is None:
        picture = with_coded_luma(picture, jpeg_source)
    for frame in picture.frames:
        side = max(frame.width, frame.height)
        if side > _MAX_SIDE.get(picture.format, side):
            raise UnsupportedPictureError(
                f"{picture.format} cannot hold this picture of {frame.width} x {frame.height} pixels; "
                f"its longest side is {_MAX_SIDE[picture.format]}"
            )
    try:
        match picture.format:
            case "TIFF":
                return tiff.encode(picture.frames, picture.masks)
            case "JPEG":
                return jpeg.encode(picture.first, picture.jpeg, picture.coded_luma)
            case "WEBP":
                return webp.encode(picture.first.merged())
            case "JPEG2000":
                return jpeg2000.encode(picture.first.merged())
            case _:
                return png.encode(picture.first.merged())
    except (ValueError, OSError, struct.error) as error:
        raise UnsupportedPictureError(f"cannot write it as {picture.format}: {error}") from error


_SIZES: dict[str, Callable[[bytes, Kind], int]] = {
    "PNG": _bytes_of_png,
    "TIFF": _bytes_of_tiff,
    "RAW": _bytes_of_raw,
    "PSD": _bytes_of_psd,
    "JPEG2000": _bytes_of_jpeg2000,
}
