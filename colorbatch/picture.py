"""Decode a picture file into upright 8-bit pixels, and encode the coloured ones into the same format."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError
from PIL.JpegPresets import presets

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.metadata import Metadata, read_metadata, save_arguments

Pixels = NDArray[np.uint8]

PICTURE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
"""Lower-case file name endings of the formats that are read and written."""
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
"""Pillow's names of these formats; its JPEG plugin opens MPO too, which is JPEG with room for more frames."""

_DEFAULT_LUMA_TABLE: list[int]
_FINEST_CHROMA_TABLE: list[int]
_DEFAULT_LUMA_TABLE, _FINEST_CHROMA_TABLE = presets["web_maximum"]["quantization"]  # type: ignore[misc] # untyped
"""Chroma of a network is smooth, so the finest table costs little, and errors of chroma would spill into luma where
RGB clips."""
_LOSSLESS_TIFF = frozenset({"raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "lzma", "zstd"})
_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
"""Of libjpeg and of the WebP format."""
_RENDERING_INTENT = ImageCms.Intent.PERCEPTUAL


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright and in sRGB."""

    pixels: Pixels
    """Grey ``[H, W]`` or RGB ``[H, W, 3]``."""
    format: str = "PNG"
    """``JPEG``, ``PNG``, ``TIFF`` or ``WEBP``."""
    alpha: Pixels | None = None
    """``[H, W]``, kept bit for bit."""
    metadata: Metadata = field(default_factory=Metadata)
    jpeg_luma_table: Sequence[int] | None = None
    """The luma quantisation table of a JPEG source; the output takes it over, so that luma is not quantised anew."""
    tiff_compression: str = "tiff_adobe_deflate"
    warnings: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.pixels.shape[1])


def decode(data: bytes) -> Picture:
    """Decode a whole file: EXIF orientation applied, ICC colours brought to sRGB, alpha set aside.

    Raises:
        UnreadablePictureError: not a picture of a known format, or broken or cut short.
        UnsupportedPictureError: more than 8 bits a channel, more than one frame, or larger than Pillow's limit.

    """
    if not data:
        raise UnreadablePictureError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _refuse_lossy_kinds(image, data)
            image.load()
            return _picture_of(image)
    except UnsupportedPictureError:
        raise
    except Image.DecompressionBombError as error:
        raise UnsupportedPictureError(f"too many pixels: {error}") from error
    except UnidentifiedImageError as error:
        raise UnreadablePictureError("not a JPEG, PNG, TIFF or WebP picture") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise whatever a damaged file makes them stumble over
        raise UnreadablePictureError(f"broken or cut short: {error}") from error


def encode(picture: Picture) -> bytes:
    """Encode a picture into the format it came from: luma as it is, metadata kept, the same bytes every time.

    Raises:
        UnsupportedPictureError: the format cannot hold a picture of this size.

    """
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = np.dstack([pixels, picture.alpha])
    arguments = save_arguments(picture.metadata, picture.format) | _format_arguments(picture)
    side = max(picture.width, picture.height)
    if side > _LONGEST_SIDE.get(picture.format, side):
        raise UnsupportedPictureError(
            f"{picture.format} cannot hold this picture of {picture.width} x {picture.height} pixels; "
            f"its longest side is {_LONGEST_SIDE[picture.format]}"
        )
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    try:
        image.save(buffer, picture.format, **arguments)
    except (ValueError, OSError) as error:
        raise UnsupportedPictureError(f"cannot write it as {picture.format}: {error}") from error
    return buffer.getvalue()


def _format_arguments(picture: Picture) -> dict[str, Any]:
    match picture.format:
        case "JPEG":
            luma_table = picture.jpeg_luma_table or _DEFAULT_LUMA_TABLE
            return {"qtables": [luma_table, _FINEST_CHROMA_TABLE], "subsampling": 0}
        case "WEBP":
            return {"lossless": True, "exact": True, "quality": 50}
        case "TIFF":
            return {"compression": picture.tiff_compression}
        case _:
            return {}


def _refuse_lossy_kinds(image: Image.Image, data: bytes) -> None:
    """Raise for kinds that could only be written with a loss."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise UnsupportedPictureError(
            f"it has {frames} frames, and only the first would be coloured",
            advice="Split it into one file a frame.",
        )
    bits = _bits_per_channel(image, data)
    if bits > 8:
        raise UnsupportedPictureError(
            f"it has {bits} bits a channel, and 8 would be left",
            advice="Convert a copy to 8 bits a channel if that is enough.",
        )


def _bits_per_channel(image: Image.Image, data: bytes) -> int:
    """Return the bits a channel in the file; Pillow cuts some 16-bit kinds to 8 in silence."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))))
    if image.format == "PNG":
        return data[24]  # IHDR begins at byte 16: width, height, bit depth (PNG specification, section 11.2.2)
    return 8


def _picture_of(image: Image.Image) -> Picture:
    warnings: list[str] = []
    tables = getattr(image, "quantization", {})
    compression = image.info.get("compression", "")
    upright = _upright(image, warnings)
    metadata = read_metadata(image)
    icc_profile = image.info.get("icc_profile")

    alpha = None
    if upright.has_transparency_data:
        grey = upright.mode in ("1", "L", "LA", "La")
        upright = upright.convert("LA" if grey and upright.mode != "1" else "RGBA")
        alpha = np.asarray(upright.getchannel("A"))
        upright = upright.convert("L" if upright.mode == "LA" else "RGB")
    if icc_profile:
        upright = _to_srgb(upright, icc_profile, warnings)
    if upright.mode not in ("L", "RGB"):
        upright = upright.convert("L" if upright.mode == "1" else "RGB")
    return Picture(
        pixels=np.asarray(upright),
        format="JPEG" if image.format == "MPO" else str(image.format),
        alpha=alpha,
        metadata=metadata,
        jpeg_luma_table=tables.get(0),
        tiff_compression=compression if compression in _LOSSLESS_TIFF else "tiff_adobe_deflate",
        warnings=(*metadata.warnings, *warnings),
    )


def _upright(image: Image.Image, warnings: list[str]) -> Image.Image:
    """Return the image turned as its EXIF orientation says, or as it is when its EXIF cannot be read."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:  # noqa: BLE001 (Pillow raises whatever its parser stumbles over)
        warnings.append(f"EXIF is damaged, so the picture was not turned: {error}")
        return image


def _to_srgb(image: Image.Image, icc_profile: bytes, warnings: list[str]) -> Image.Image:
    """Return the image in sRGB, or as it is when the profile is sRGB already or cannot be used."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        space = profile.profile.xcolor_space.strip()
        modes = {"GRAY": ("L",), "RGB": ("RGB",), "CMYK": ("CMYK",), "Lab": ("LAB",)}
        if space == "RGB" and image.mode == "L":
            return image  # grey of an RGB working space: its levels are taken as they are
        if image.mode not in modes.get(space, ()):
            warnings.append(f"the ICC profile is for {space}, not for {image.mode}, and was not used")
            return image
        if _is_srgb(profile, image.mode):
            return image
        converted = ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), renderingIntent=_RENDERING_INTENT, outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        warnings.append(f"the ICC profile is damaged and was not used: {error}")
        return image
    return image if converted is None else converted


def _is_srgb(profile: ImageCms.ImageCmsProfile, mode: str) -> bool:
    """Return whether a profile leaves levels as they are: by what it does to a chart, since names mislead."""
    if mode not in ("L", "RGB"):
        return False
    ramp = np.arange(256, dtype=np.uint8)[None]
    image = Image.fromarray(ramp if mode == "L" else np.dstack([ramp, np.roll(ramp, 40), np.roll(ramp, 90)]))
    converted = ImageCms.profileToProfile(
        image, profile, ImageCms.createProfile("sRGB"), renderingIntent=_RENDERING_INTENT, outputMode="RGB"
    )
    difference = np.asarray(converted).astype(int) - np.asarray(image.convert("RGB"))
    return bool(np.abs(difference).max() <= 1)
