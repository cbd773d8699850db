"""Decode a whole picture file, and encode a coloured one."""

import io
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import tifffile
from PIL import Image, ImageFile, UnidentifiedImageError

from colorbatch.errors import MissingExtraError, PictureError, UnreadablePictureError, UnsupportedPictureError
from colorbatch.extras import needs_extra
from colorbatch.formats import heif, jpeg, jpeg2000, jpeg_end, jpeg_metadata, png, tiff, webp
from colorbatch.formats.description import Description, upright_block, valid_dpi
from colorbatch.formats.image import Stored, current_metadata, make_frame, planes_of, refuse_too_large, stored_of
from colorbatch.formats.kinds import SNIFFED, Kind, sniff
from colorbatch.job import BatchJob
from colorbatch.pixels.metadata import Metadata, Turn
from colorbatch.pixels.picture import Picture, Pixels

SALVAGED = "salvaged, parts of it are missing"
"""Start of the warning about a truncated picture."""
_MAX_SIDE = {"JPEG": jpeg.LONGEST_SIDE, "WEBP": webp.LONGEST_SIDE}


class _TruncatedSwitch:
    """Lock around Pillow's global switch for truncated files: no other thread decodes while it is on."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = 0
        self._salvages = 0
        """Number of salvages waiting or running; new readers wait for them, so that salvages do not starve."""

    @contextmanager
    def off(self) -> Iterator[None]:
        """Decode complete files, concurrently with other threads that do so."""
        with self._condition:
            self._condition.wait_for(lambda: self._salvages == 0)
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Decode a truncated file, while no other thread decodes."""
        with self._condition:
            before = ImageFile.LOAD_TRUNCATED_IMAGES
            self._salvages += 1
            try:
                self._condition.wait_for(lambda: self._readers == 0)
                ImageFile.LOAD_TRUNCATED_IMAGES = True
                yield
            finally:
                ImageFile.LOAD_TRUNCATED_IMAGES = before
                self._salvages -= 1
                self._condition.notify_all()


_TRUNCATED_SWITCH = _TruncatedSwitch()


def decode(data: bytes, max_megapixels: float = BatchJob.max_megapixels, *, salvage: bool = False) -> Picture:
    """Decode a whole file: every frame upright and in sRGB, alpha separate, bit depth kept.

    Frames larger than ``max_megapixels`` are refused: a few bytes can claim billions of pixels. With ``salvage`` the
    readable part of a truncated file is returned, and the first warning starts with ``SALVAGED``.

    Raises:
        UnreadablePictureError: not a known picture format, or damaged or truncated.
        UnsupportedPictureError: a kind that would lose something, or more pixels than allowed.

    """
    if not data:
        raise UnreadablePictureError("the file is empty")
    kind = sniff(data[:SNIFFED])
    if kind is None:
        raise UnreadablePictureError("not a known picture format")
    Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit is lower; ours is checked before a pixel is decoded
    try:
        with _TRUNCATED_SWITCH.off():
            return _decode(data, kind, max_megapixels)
    except UnreadablePictureError as error:
        if not salvage:
            raise
        with _TRUNCATED_SWITCH.on():
            picture = _decode(data, kind, max_megapixels)
        return replace(picture, has_luma_scans=False, warnings=(f"{SALVAGED}: {error}", *picture.warnings))


def _decode(data: bytes, kind: Kind, max_megapixels: float) -> Picture:
    try:
        return _DECODERS.get(kind.name, _decode_image)(data, kind, max_megapixels)
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
        if kind.name == "TIFF":
            with tifffile.TiffFile(io.BytesIO(data)) as file:
                pages = [file.pages[number] for number in range(len(file.pages))]
                pixels = (max(width * height for width, height in tiff.sizes_of(page)) for page in pages)
                return 3 * sum(int(each) * (1 + tiff.is_deep(page)) for each, page in zip(pixels, pages, strict=True))
        if kind.name == "PNG":  # its header suffices, even where Pillow opens the file only to salvage it
            width, height = png.size_of(data)
            return 3 * width * height * (2 if png.bit_depth(data) == 16 else 1)
        if kind.name == "JPEG2000":
            width, height = jpeg2000.size_of(data)
            return 3 * width * height * (2 if jpeg2000.is_deep(data) else 1)
        with _open(data, kind) as image:
            return 3 * int(image.width) * int(image.height) * (2 if image.mode.startswith("I") else 1)
    except Exception:  # noqa: BLE001 (a damaged file raises errors of any kind; decoding will report what is wrong)
        return 0


def encode(picture: Picture, jpeg_source: bytes = b"") -> bytes:
    """Encode a picture deterministically, with unchanged luma and metadata.

    Args:
        picture: what to encode; the chroma of its frames is merged here.
        jpeg_source: the file that it was decoded from, whose luma it still has; the coded luma of a grey JPEG is then
            copied unchanged, and chroma added to it. If empty, luma is encoded from the pixels.

    Raises:
        UnsupportedPictureError: the format cannot hold it.

    """
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
                return tiff.encode(picture.frames)
            case "JPEG":
                return jpeg.encode(
                    picture.first, picture.jpeg_luma_table, jpeg_source if picture.has_luma_scans else b""
                )
            case "WEBP":
                return webp.encode(picture.first.merged())
            case "JPEG2000":
                return jpeg2000.encode(picture.first.merged())
            case _:
                return png.encode(picture.first.merged())
    except (ValueError, OSError, struct.error) as error:
        raise UnsupportedPictureError(f"cannot write it as {picture.format}: {error}") from error


def _decode_image(data: bytes, kind: Kind, max_megapixels: float) -> Picture:
    """Decode a format that Pillow reads at full depth: at most 8 bits per channel, one frame."""
    warnings: list[str] = []
    whole = _with_end(data, kind, max_megapixels, warnings)
    with _open(whole, kind) as image:
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
        described = _description_of(data, kind, image, warnings)
        frame = make_frame(stored_of(pixels, alpha, described), warnings)
        if kind.name != "JPEG":
            return Picture((frame,), kind.written_as, warnings=tuple(warnings))
        table = jpeg.luma_table_of(image)
    is_as_stored = frame.pixels is pixels or np.array_equal(frame.pixels, pixels)  # not rotated, no profile conversion
    has_luma_scans = pixels.ndim == 2 and is_as_stored and jpeg.has_luma_scans(data)
    return Picture((frame,), kind.written_as, table, has_luma_scans, tuple(warnings))


def _with_end(data: bytes, kind: Kind, max_megapixels: float, warnings: list[str]) -> bytes:
    """Return a JPEG with the marker of its end, where it lacks nothing else; another file as it is."""
    if kind.name != "JPEG" or not jpeg_end.is_endless(data):
        return data
    with _open(data, kind) as image:
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
    with _open(data, kind) as image:
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
    """Decode every page: 8-bit ones with Pillow if possible, others with tifffile."""
    warnings: list[str] = []
    frames = []
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for number in range(len(file.pages)):
            page = file.pages[number]
            assert isinstance(page, tifffile.TiffPage)
            for width, height in tiff.sizes_of(page):
                refuse_too_large(width, height, max_megapixels)
            tiff.refuse_unsound(page)
            metadata = tiff.metadata_of(file, page, data, warnings)
            orientation = tiff.orientation_of(page)
            if tiff.is_deep(page) or not tiff.is_known_to_pillow(page):
                pixels, alpha = tiff.decode(page)
            else:
                with _open(data, kind) as image:
                    image.seek(number)
                    if {*image.size} != {page.imagewidth, page.imagelength}:  # Pillow rotates some
                        raise UnreadablePictureError("damaged or truncated: its size is ambiguous")
                    image.info.pop("xmp", None)  # Pillow would also rotate the picture by the orientation in XMP
                    image.load()  # rotates a TIFF upright by its orientation tag
                    pixels, alpha = planes_of(image)
                if orientation is not None:
                    turn = Turn(orientation, page.imagewidth, page.imagelength)
                    metadata, orientation = current_metadata(metadata, turn, warnings), 1
            stored = Stored(pixels, alpha, metadata, page.iccprofile, orientation)
            frames.append(make_frame(stored, warnings))
    if not frames:
        raise UnreadablePictureError("a TIFF without pages")
    return Picture(tuple(frames), kind.written_as, warnings=tuple(warnings))


def _description_of(data: bytes, kind: Kind, image: Image.Image, warnings: list[str]) -> Description:
    """Return what a file says beside its pixels, which ``image`` has been opened for."""
    if kind.name in _DESCRIPTIONS:
        return _DESCRIPTIONS[kind.name](data, warnings)
    if kind.name in _WITHOUT_METADATA:
        try:
            with Image.open(io.BytesIO(data), formats=(kind.name,)) as whole:
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


def _open(data: bytes, kind: Kind) -> Image.Image:
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


_DECODERS: dict[str, Callable[[bytes, Kind, float], Picture]] = {
    "PNG": _decode_png,
    "TIFF": _decode_tiff,
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
    "JPEG": jpeg_metadata.description_of,
    "WEBP": webp.description_of,
}
