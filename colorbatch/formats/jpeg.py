"""JPEG: the pixels of a grey, RGB or CMYK file, and its metadata segments."""

import io
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base
from PIL.Image import Resampling
from PIL.JpegPresets import presets

from colorbatch.formats import icc, mark
from colorbatch.formats.image import as_stored
from colorbatch.formats.jpeg_metadata import EXTENDED_XMP, PHOTOSHOP
from colorbatch.formats.jpeg_scans import InterleavedLumaError, grey_file, luma_scans, with_chroma
from colorbatch.formats.jpeg_segments import ARITHMETIC_FRAMES, FRAMES, OTHER_FRAMES, segment, segments
from colorbatch.formats.jpeg_separation import separated
from colorbatch.pixels import resize
from colorbatch.pixels.chroma import REACH, Pixels, chroma_planes, halved_chroma_planes
from colorbatch.pixels.color import Plane
from colorbatch.pixels.metadata import Metadata
from colorbatch.pixels.picture import CodedLuma, Frame, JpegOrigin

LONGEST_SIDE = 65_500
"""Maximum side in pixels, of libjpeg."""
_DEFAULT_LUMA_TABLE: list[int] = presets["web_maximum"]["quantization"][0]  # type: ignore[index] # untyped
_FINE_CHROMA_TABLE = [min(step, 2) for step in presets["web_maximum"]["quantization"][1]]  # type: ignore[index] # untyped
"""Chroma of a network is smooth, so a fine table costs little, and errors of chroma would change luma where RGB clips:
with the preset's own steps of 3, 3 pixels of 28 pictures changed by 2 levels; with these, for 4 % more bytes, none."""
_FINE_QUALITY = 99
"""Quality of libjpeg whose table also has no step of more than 2."""
_DAMAGES = (ValueError, IndexError, OSError, struct.error, imagecodecs.Jpeg8Error)
"""What reading a damaged file raises."""
_FRAME_SIZE = 5
"""Bytes of the header of a frame up to its height and width."""
_MAX_SEGMENT_BYTES = 65_533
_MAX_XMP_BYTES = 65_400
"""Maximum number of bytes of a packet, or of a part of one, in a segment that also holds its header."""


def luma_table_of(image: Image.Image) -> Sequence[int] | None:
    """Return the quantisation table of luma; ``None`` for CMYK and for RGB stored as such, which have none.

    Steps of more than 255 are reduced to 255, the maximum of baseline JPEG.
    """
    if image.mode not in ("L", "RGB") or getattr(image, "layers", 1) not in (1, 3):
        return None
    table: Sequence[int] | None = getattr(image, "quantization", {}).get(0)
    return table and [min(step, 255) for step in table]


class LumaNotCopiedError(Exception):
    """The coded luma of a JPEG cannot be copied; the message states why."""


def is_arithmetic(data: bytes) -> bool:
    """Return whether a JPEG file has arithmetic codes, which libjpeg reads only in one piece."""
    marker, _ = _frame_of(data)
    return marker in ARITHMETIC_FRAMES


def bits_of(data: bytes) -> int:
    """Return the bits per sample of a JPEG file (ITU-T T.81, section B.2.2); 8 if that is unreadable."""
    _, content = _frame_of(data)
    return content[0] if content else 8


def short_side_of(data: bytes) -> int:
    """Return the shorter side of a JPEG file in pixels (ITU-T T.81, section B.2.2); 0 if its frame does not say it."""
    _, content = _frame_of(data)
    return min(struct.unpack_from(">HH", content, 1)) if len(content) >= _FRAME_SIZE else 0


def has_chroma(data: bytes) -> bool:
    """Return whether a JPEG file has three components, so that its luma may have to be separated from chroma."""
    marker, content = _frame_of(data)
    return marker in FRAMES and content[5:6] == b"\x03"


def _frame_of(data: bytes) -> tuple[int, bytes]:
    """Return marker and content of the first frame of a JPEG file; 0 and nothing if there is none."""
    try:
        return next((each[:2] for each in segments(data) if each[0] in FRAMES | OTHER_FRAMES), (0, b""))
    except _DAMAGES:
        return 0, b""


def coded_luma_of(data: bytes, levels: NDArray[np.uint8] | None = None) -> CodedLuma:
    """Return the luma of a JPEG file as it is coded.

    Args:
        data: the file.
        levels: luma ``[H, W]`` as stored, where it is known already.

    Raises:
        LumaNotCopiedError: it cannot be copied.

    """
    try:
        try:
            luma_scans(data)
        except InterleavedLumaError:
            return _separated(data)
        return CodedLuma(data, _decoded_luma(data) if levels is None else levels)
    except ValueError as error:
        raise LumaNotCopiedError(str(error)) from error
    except _DAMAGES as error:
        raise LumaNotCopiedError(f"its segments are damaged ({error})") from error


def _separated(data: bytes) -> CodedLuma:
    """Return the coded luma of a file in which it shares scans with chroma, compared with what that decodes to."""
    file = separated(data)
    levels = _decoded_luma(file)
    if not np.array_equal(levels, _decoded_luma(data)):
        raise LumaNotCopiedError("separated from chroma, it decodes to other levels")
    return CodedLuma(file, levels)


def _decoded_luma(data: bytes) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = imagecodecs.jpeg8_decode(data, outcolorspace="GRAYSCALE")
    return levels


def metadata_as_stored(origin: JpegOrigin) -> Metadata:
    """Return the metadata of an output that holds the coded luma of its source.

    Raises:
        LumaNotCopiedError: that luma cannot be copied.

    """
    if origin.obstacle:
        raise LumaNotCopiedError(origin.obstacle)
    if not origin.profile:
        return origin.metadata
    try:
        return replace(origin.metadata, profile=icc.in_color(origin.profile))
    except (ValueError, imagecodecs.CmsError) as error:
        raise LumaNotCopiedError(f"its ICC profile cannot be kept: {error}") from error


def to_grey(data: bytes) -> bytes | None:
    """Return a grey JPEG of the coded luma of a file; ``None``: it has none in separate scans.

    Of the metadata it has what its appearance depends on: resolution, orientation and tone curve.
    """
    try:
        return grey_file(luma_scans(data), _appearance_of(data))
    except _DAMAGES:
        return None


def _appearance_of(data: bytes) -> bytes:
    """Return segments for a grey JPEG that is to look like a file in colour."""
    parts = [segment(marker, content) for marker, content, _ in segments(data) if content.startswith(b"JFIF\0")]
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        orientation, profile = image.getexif().get(Base.Orientation, 1), image.info.get("icc_profile")
    if orientation != 1:
        exif = Image.Exif()
        exif[Base.Orientation] = orientation
        parts.append(segment(0xE1, exif.tobytes()))
    if profile and not icc.is_srgb(profile):
        parts.append(segment(0xE2, b"ICC_PROFILE\0\1\1" + icc.in_grey(profile)))
    return b"".join(parts)


def encode(frame: Frame, origin: JpegOrigin | None = None, coded: CodedLuma | None = None) -> bytes:
    """Return a JPEG of a frame.

    Args:
        frame: what to write.
        origin: the source; ``None``: it is no JPEG.
        coded: luma that is copied; ``None``: luma is encoded again with the table of the source, in one scan with the
            chroma, by which :func:`to_grey` recognises that it is not the source's.

    Raises:
        ValueError, OSError: the metadata does not fit into its segments.

    """
    arguments, origin = _metadata_arguments(frame.metadata), origin or JpegOrigin()
    if coded is None or frame.chroma is None:
        tables = [origin.luma_table or _DEFAULT_LUMA_TABLE, _FINE_CHROMA_TABLE]
        return _encoded(Image.fromarray(frame.merged().pixels), qtables=tables, subsampling=0, **arguments)
    luma = luma_scans(coded.file)
    chroma = np.stack([as_stored(plane, origin.orientation) for plane in frame.chroma])
    slope = icc.slope_of(frame.metadata.profile) if frame.metadata.profile else None
    planes = _chroma_planes_of(coded.levels, chroma, slope)
    if frame.own_color is not None:
        planes = _with_own_chroma(planes, frame.pixels, frame.own_color, origin.orientation)
    cb, cr = (_encoded_plane(plane, is_progressive=luma.is_progressive) for plane in planes)
    return with_chroma(luma, cb, cr, metadata_from=_encoded(Image.new("L", (1, 1)), **arguments))


def _chroma_planes_of(levels: NDArray[np.uint8], chroma: Plane, slope: Plane | None) -> NDArray[np.uint8]:
    """Return Cb and Cr ``[2, h, w]``: of half the size if that is fine enough for the resolution of ``chroma``."""
    is_coarse = all(REACH * small <= side for small, side in zip(chroma.shape[1:], levels.shape, strict=True))
    return (halved_chroma_planes if is_coarse else chroma_planes)(levels, chroma, slope)


def _with_own_chroma(planes: NDArray[np.uint8], pixels: Pixels, weights: Plane, orientation: int) -> NDArray[np.uint8]:
    """Return Cb and Cr ``[2, h, w]``, as stored, with those of upright RGB pixels where their weight is 1."""
    height, width = planes.shape[1:]
    shown = resize.Enlarged(as_stored(weights, orientation)[None], (height, width)).rows(0, height)[0]
    source = Image.fromarray(as_stored(pixels, orientation)).convert("YCbCr").resize((width, height), Resampling.BOX)
    own = np.moveaxis(np.asarray(source)[..., 1:], -1, 0)
    mixed: NDArray[np.uint8] = np.round(planes + np.clip(shown, 0, 1) * (own - planes.astype(float))).astype(np.uint8)
    return mixed


def _encoded_plane(plane: NDArray[np.uint8], *, is_progressive: bool) -> bytes:
    """Return a grey JPEG of a plane of chroma ``[H, W]``, quantised in steps of at most 2."""
    if is_progressive:  # imagecodecs cannot; Pillow can, but blocks other threads meanwhile
        return _encoded(Image.fromarray(plane), qtables=[_FINE_CHROMA_TABLE], progressive=True)
    return bytes(imagecodecs.jpeg8_encode(plane, level=_FINE_QUALITY))


def _metadata_arguments(metadata: Metadata) -> dict[str, Any]:
    """Return Pillow's arguments for writing the metadata."""
    packet, extended = mark.split(metadata.xmp, _MAX_XMP_BYTES)
    segments = [
        *_extended_xmp_segments(extended),
        *_split_into_segments(0xED, PHOTOSHOP, metadata.photoshop),
        *(segment(0xFE, text) for text in metadata.comments),
    ]
    arguments: dict[str, Any] = {"extra": b"".join(segments)}
    if metadata.has_profile:
        arguments["icc_profile"] = metadata.profile or icc.srgb_profile()
    if metadata.dpi:
        arguments["dpi"] = metadata.dpi
    if metadata.exif:
        arguments["exif"] = b"Exif\0\0" + metadata.exif
    if packet:
        arguments["xmp"] = packet
    return arguments


def _encoded(image: Image.Image, **arguments: Any) -> bytes:  # noqa: ANN401 (Pillow's)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **arguments)
    return buffer.getvalue()


def _extended_xmp_segments(extended: bytes) -> list[bytes]:
    head = EXTENDED_XMP + mark.name_of(extended) + len(extended).to_bytes(4, "big")
    return [
        segment(0xE1, head + start.to_bytes(4, "big") + extended[start : start + _MAX_XMP_BYTES - len(head)])
        for start in range(0, len(extended), _MAX_XMP_BYTES - len(head))
    ]


def _split_into_segments(marker: int, prefix: bytes, content: bytes) -> list[bytes]:
    room = _MAX_SEGMENT_BYTES - len(prefix)
    parts = [content[start : start + room] for start in range(0, len(content), room)]
    return [segment(marker, prefix + part) for part in parts]
