"""Decode the picture files of each kind into frames."""

import io
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cache

import numpy as np
import tifffile
from PIL import Image, ImageFile

from colorbatch.errors import MissingExtraError, PictureError, UnreadablePictureError, UnsupportedPictureError
from colorbatch.extras import needs_extra
from colorbatch.formats import (
    heif,
    jpeg,
    jpeg2000,
    jpeg_end,
    jpeg_metadata,
    png,
    psd,
    raw,
    tiff,
    tiff_directory,
    tiff_masks,
    webp,
)
from colorbatch.formats.description import Description, upright_block, valid_dpi
from colorbatch.formats.image import Stored, make_frame, planes_of, refuse_too_large, stored_of
from colorbatch.formats.kinds import Kind
from colorbatch.formats.outdated import current_xmp
from colorbatch.formats.raw_metadata import metadata_of_raw
from colorbatch.formats.tiff_metadata import PageTags, metadata_of
from colorbatch.formats.tiff_raw import is_raw
from colorbatch.pixels.metadata import Metadata, Turn, current_exif, oriented_exif
from colorbatch.pixels.picture import Frame, JpegOrigin, MaskPage, Picture, Pixels
from colorbatch.pixels.toning import is_neutral

REDUCTION = 8
"""Divisor of the size of a reduced JPEG."""
_JPEG_BITS = 8
"""Most bits per channel of a JPEG that is decoded, and of those that are written."""


def decode_image(data: bytes, kind: Kind, max_megapixels: float) -> Picture:
    """Decode a format that Pillow reads at full depth: at most 8 bits per channel, one frame."""
    warnings: list[str] = []
    with open_image(data, kind) as image:
        refuse_too_large(image.width, image.height, max_megapixels)
        if getattr(image, "n_frames", 1) > 1:
            raise UnsupportedPictureError(
                f"it is an animation of {image.n_frames} frames", advice="Extract the frame you want."
            )
        if kind.name == "PPM" and image.mode == "RGB" and _netpbm_maximum(data) > 255:
            raise UnsupportedPictureError("it has 16 bits per channel", advice="Convert a copy to TIFF or PNG.")
        if (kind.name == "AVIF" and _is_deep_avif(data)) or (kind.name == "HEIF" and image.info["bit_depth"] > 8):
            raise UnsupportedPictureError("it has 10 or 12 bits per channel", advice="Convert a copy to TIFF or PNG.")
        image.load()
        if image.mode == "I":  # Netpbm with more than 8 bits
            pixels: Pixels = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
            alpha: Pixels | None = None
        else:
            pixels, alpha = planes_of(image)
        stored = stored_of(pixels, alpha, _description_of(data, kind, image, warnings))
    return Picture((make_frame(stored, warnings),), kind.written_as, warnings=tuple(warnings))


def decode_jpeg(data: bytes, kind: Kind, max_megapixels: float, *, is_reduced: bool = False) -> Picture:
    """Decode a JPEG, in full or at an eighth of its size: of each block, libjpeg then computes the mean alone."""
    warnings: list[str] = []
    if (bits := jpeg.bits_of(data)) > _JPEG_BITS:
        raise UnsupportedPictureError(f"a JPEG of {bits} bits", advice="Convert a copy to TIFF or PNG.")
    with open_image(_with_end(data, kind, max_megapixels, warnings), kind) as image:
        refuse_too_large(image.width, image.height, max_megapixels)
        if jpeg.is_arithmetic(data):
            image.decodermaxblock = len(data)  # libjpeg reads such codes only in one piece
        elif not ImageFile.LOAD_TRUNCATED_IMAGES and jpeg_end.has_lost_data(_jpeg_without_metadata(data)):
            raise UnreadablePictureError("damaged or truncated: zero bytes stand in place of a part of its coded data")
        if is_reduced:
            image.draft(None, (image.width // REDUCTION, image.height // REDUCTION))
        image.load()
        pixels, alpha = planes_of(image)
        table = jpeg.luma_table_of(image)
    stored = stored_of(pixels, alpha, jpeg_metadata.description_of(data, warnings))
    in_srgb = stored.in_srgb(warnings)
    frame = make_frame(in_srgb, warnings)
    profile = b"" if in_srgb.pixels is pixels else stored.profile or b""
    obstacle = "" if not profile or is_neutral(pixels) else "it is toned, and has a color profile other than sRGB"
    metadata = _as_stored(stored, has_srgb=stored.metadata.has_profile and not profile)
    origin = JpegOrigin(metadata, stored.upright_by, table, profile, obstacle)
    return Picture((frame,), kind.written_as, tuple(warnings), origin)


def _as_stored(stored: Stored, *, has_srgb: bool) -> Metadata:
    """Return the metadata of a JPEG whose pixels are not turned, without what will not be true of it.

    Args:
        stored: the image.
        has_srgb: whether the output has a profile, that of sRGB.

    """
    metadata, not_turned = stored.metadata, Turn(1, *stored.pixels.shape[1::-1])
    exif = oriented_exif(current_exif(metadata.exif, not_turned, is_srgb=has_srgb), stored.upright_by)
    return replace(metadata, exif=exif, xmp=current_xmp(metadata.xmp, not_turned, []))  # frames have its warnings


def _with_end(data: bytes, kind: Kind, max_megapixels: float, warnings: list[str]) -> bytes:
    """Return a JPEG with the marker of its end, where it lacks nothing else."""
    if not jpeg_end.is_endless(data):
        return data
    with open_image(data, kind) as image:
        refuse_too_large(image.width, image.height, max_megapixels)
    whole = jpeg_end.with_end(_jpeg_without_metadata(data))
    if whole is None:
        return data
    warnings.append("the marker of its end is missing, but all its pixels are there")
    return whole


def _decode_png(data: bytes, kind: Kind, max_megapixels: float) -> Picture:
    if png.has_frames(data):
        raise UnsupportedPictureError("it is an animation", advice="Extract the frame you want.")
    warnings: list[str] = []
    with open_image(data, kind) as image:
        refuse_too_large(image.width, image.height, max_megapixels)
        image.load()
        pixels, alpha = png.decode_deep(data) if png.bit_depth(data) == 16 else planes_of(image)
    stored = stored_of(pixels, alpha, png.description_of(data, warnings))
    return Picture((make_frame(stored, warnings),), kind.written_as, warnings=tuple(warnings))


def _decode_jpeg2000(data: bytes, kind: Kind, max_megapixels: float) -> Picture:
    warnings: list[str] = []
    refuse_too_large(*jpeg2000.size_of(data), max_megapixels)
    pixels, alpha = jpeg2000.decode(data)
    stored = stored_of(pixels, alpha, jpeg2000.description_of(data, warnings))
    return Picture((make_frame(stored, warnings),), kind.written_as, warnings=tuple(warnings))


def _decode_tiff(data: bytes, kind: Kind, max_megapixels: float) -> Picture:
    """Decode every page that is a photograph, and copy the others."""
    warnings: list[str] = []
    layout = tiff_directory.layout_of(data)
    salvage = ImageFile.LOAD_TRUNCATED_IMAGES
    directories = tiff_directory.pages_of(data, layout, salvage=salvage)
    if not directories:
        raise UnreadablePictureError("a TIFF without pages", advice=UnreadablePictureError.without_salvage)
    pages = [PageTags(data, directory, layout) for directory in directories]
    if is_raw(data, pages):
        return _decode_raw(data, kind, max_megapixels)
    bare = tiff_directory.copy_for_decoders(data, directories, layout)
    frames: list[Frame] = []
    masks: list[MaskPage] = []
    photographs: set[tuple[int, ...]] = set()
    orientation = None
    with ExitStack() as opened, io.BytesIO(bare) as buffer, tifffile.TiffFile(buffer) as file:  # which holds the buffer
        image = cache(lambda: opened.enter_context(open_image(bare, kind)))  # once: it finds a page from the last
        for number, tags in enumerate(pages):
            if frames and tags.is_thumbnail:
                warnings.append("a thumbnail was dropped")
            elif tiff_masks.is_mask(tags, photographs):
                try:
                    mask = tiff_masks.read_mask(data, tags, len(frames), orientation, warnings)
                    _refuse_unsound_mask(file.pages[number], max_megapixels)
                    masks.append(mask)
                except PictureError as error:
                    if isinstance(error, UnreadablePictureError) and not salvage:
                        raise
                    warnings.append(f"page {number + 1}, a mask, was dropped: {error}")
            else:
                photographs.add(tiff_masks.sides_of(tags))
                orientation = tags.orientation
                page = file.pages[number]
                assert isinstance(page, tifffile.TiffPage)
                decoded = _decode_tiff_page(page, image, number, max_megapixels, warnings)
                decoded = tiff.with_stated_black(page, decoded, warnings)
                metadata = metadata_of(tags, data, tiff.LOSSLESS.get(int(page.compression)), warnings)
                stored = Stored(decoded.pixels, decoded.alpha, metadata, tags.profile, orientation, decoded.unnamed)
                frames.append(make_frame(stored, warnings))
    if not frames:
        raise UnsupportedPictureError("all its pages are masks, none is a photograph")
    return Picture(tuple(frames), kind.written_as, warnings=tuple(warnings), masks=tuple(masks))


def _decode_psd(data: bytes, kind: Kind, max_megapixels: float) -> Picture:
    warnings: list[str] = []
    frame = make_frame(psd.decode(data, max_megapixels, warnings), warnings)
    return Picture((frame,), kind.written_as, warnings=tuple(warnings))


def _decode_raw(data: bytes, kind: Kind, max_megapixels: float) -> Picture:
    warnings: list[str] = []
    developed = raw.develop(data, max_megapixels)
    stored = Stored(developed.pixels, None, metadata_of_raw(data, warnings), None, developed.orientation)
    return Picture((make_frame(stored, warnings),), kind.written_as, warnings=tuple(warnings))


def _refuse_unsound_mask(page: object, max_megapixels: float) -> None:
    assert isinstance(page, tifffile.TiffPage)
    for width, height in tiff.sizes_of(page):
        refuse_too_large(width, height, max_megapixels)
    tiff.refuse_undecodable(page)


def _decode_tiff_page(
    page: tifffile.TiffPage, opened: Callable[[], Image.Image], number: int, max_megapixels: float, warnings: list[str]
) -> tiff.Decoded:
    """Decode one page with Pillow, which has ``opened`` the file, or with tifffile, whichever reads it in full."""
    salvage = ImageFile.LOAD_TRUNCATED_IMAGES
    for width, height in tiff.sizes_of(page):
        refuse_too_large(width, height, max_megapixels)
    tiff.refuse_unsound(page)
    if not tiff.is_for_pillow(page):
        return tiff.decode(page, warnings, salvage=salvage)
    try:
        image = opened()
        image.seek(number)
        if image.size != (page.imagewidth, page.imagelength):
            raise UnreadablePictureError("damaged or truncated: its size is ambiguous")
        image.load()
        return tiff.Decoded(*planes_of(image), unnamed=None)
    except (OSError, ValueError, SyntaxError):
        if salvage and tiff.can_decode(page):  # Pillow reads all of a compressed page, or nothing
            return tiff.decode(page, warnings, salvage=True)
        raise


def _description_of(data: bytes, kind: Kind, image: Image.Image, warnings: list[str]) -> Description:
    """Return what a file says beside its pixels, which ``image`` has been opened for."""
    if kind.name in _DESCRIPTIONS:
        return _DESCRIPTIONS[kind.name](data, warnings)
    if kind.name in _WITHOUT_METADATA:
        try:
            with Image.open(io.BytesIO(heif.with_known_brand(data)), formats=(kind.name,)) as whole:
                described = _told(whole, warnings)
        except Exception:  # noqa: BLE001 (on damaged metadata, Pillow raises errors of many kinds)
            warnings.append("damaged EXIF and XMP were dropped")
            described = _told(image, warnings)
        profile = described.profile or heif.profile_of(data, is_grey=image.mode in ("L", "LA"))
        return replace(described, profile=profile, metadata=replace(described.metadata, has_profile=bool(profile)))
    return _told(image, warnings)


def _told(image: Image.Image, warnings: list[str]) -> Description:
    """Return what Pillow tells of an opened file."""
    exif, orientation = upright_block(image.info.get("exif") or b"", warnings)
    xmp = image.info.get("xmp", b"")
    profile = image.info.get("icc_profile")
    metadata = Metadata(
        exif=exif,
        xmp=xmp if isinstance(xmp, bytes) else b"",
        dpi=valid_dpi(image.info.get("dpi")),
        has_profile=bool(profile),
    )
    return Description(metadata, profile, orientation)


def open_image(data: bytes, kind: Kind) -> Image.Image:
    """Open a file without reading its metadata, where that can be told from its pixels."""
    if kind.name == "HEIF":
        _register_heif()
    bare = _WITHOUT_METADATA[kind.name](data) if kind.name in _WITHOUT_METADATA else data
    return Image.open(io.BytesIO(bare), formats=(kind.name,))


def _register_heif() -> None:
    try:
        with needs_extra("heif"):
            import pillow_heif
    except MissingExtraError as error:  # fail the picture, not the run
        raise UnsupportedPictureError(f"HEIC: {error}", advice=error.advice) from error
    pillow_heif.register_heif_opener()


def _netpbm_maximum(data: bytes) -> int:
    """Return the maximum sample value in a Netpbm header: its fourth word, without comments."""
    lines = (line.split(b"#", 1)[0] for line in data[:4096].split(b"\n"))
    words = b" ".join(lines).split(maxsplit=4)
    return int(words[3])


def _is_deep_avif(data: bytes) -> bool:
    """Return whether the AV1 configuration has the high bit depth flag (AV1 in ISOBMFF, section 2.3.3)."""
    place = data.find(b"av1C")
    return place >= 0 and bool(data[place + 6] & 0x40)


def _jpeg_without_metadata(data: bytes) -> bytes:
    return jpeg_end.with_height(jpeg_metadata.without_metadata(data))


Decoder = Callable[[bytes, Kind, float], Picture]
"""Decodes a file of a kind, of no more than so many megapixels."""

DECODERS: dict[str, Decoder] = {
    "JPEG": decode_jpeg,
    "PNG": _decode_png,
    "TIFF": _decode_tiff,
    "RAW": _decode_raw,
    "PSD": _decode_psd,
    "JPEG2000": _decode_jpeg2000,
}
_WITHOUT_METADATA: dict[str, Callable[[bytes], bytes]] = {
    "JPEG": _jpeg_without_metadata,
    "PNG": png.without_metadata,
    "WEBP": webp.without_metadata,
    "AVIF": heif.without_metadata,
    "HEIF": heif.without_metadata,
}
_DESCRIPTIONS: dict[str, Callable[[bytes, list[str]], Description]] = {
    "WEBP": webp.description_of,
}
