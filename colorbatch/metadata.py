"""What a picture file says beside its pixels, and how it is handed on to the output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

_DESCRIPTIVE_TIFF_TAGS = (
    269,  # DocumentName
    270,  # ImageDescription
    271,  # Make
    272,  # Model
    285,  # PageName
    305,  # Software
    306,  # DateTime
    315,  # Artist
    316,  # HostComputer
    33432,  # Copyright
)
"""The tags that say something of the photograph; the others describe how the file stores its pixels."""
_ICC_DATE = slice(24, 36)
"""Where an ICC profile keeps its creation date (ICC.1, section 7.2): zeroed, so that equal runs give equal bytes."""


@dataclass(frozen=True)
class Metadata:
    """What the output takes over from its source, and what could not be taken over."""

    exif: bytes = b""
    """A whole EXIF block, orientation left out; empty for TIFF, whose tags are in ``tiff_tags``."""
    tiff_tags: Mapping[int, Any] = field(default_factory=dict)
    dpi: tuple[float, float] | None = None
    comment: bytes = b""
    """JPEG comment."""
    icc_profile: bytes = b""
    """An sRGB profile, when the source had any profile."""
    warnings: tuple[str, ...] = ()


def read_metadata(image: Image.Image) -> Metadata:
    """Read the metadata of an opened image; a malformed block becomes a warning."""
    warnings: list[str] = []
    exif = b""
    if image.format != "TIFF":
        try:
            block = image.getexif()
            block.pop(ExifTags.Base.Orientation, None)  # the pixels are turned upright
            exif = block.tobytes() if block else b""
        except Exception as error:  # noqa: BLE001 (Pillow raises whatever its parser stumbles over)
            warnings.append(f"EXIF is damaged and was left out: {error}")
    comment = image.info.get("comment", b"")
    return Metadata(
        exif=exif,
        tiff_tags=_descriptive_tags(image),
        dpi=_dpi(image),
        comment=comment if isinstance(comment, bytes) else b"",
        icc_profile=srgb_profile() if image.info.get("icc_profile") else b"",
        warnings=tuple(warnings),
    )


def save_arguments(metadata: Metadata, picture_format: str) -> dict[str, Any]:
    """Return the arguments that make ``Image.save`` write the metadata into ``picture_format``."""
    arguments: dict[str, Any] = {}
    if metadata.icc_profile:
        arguments["icc_profile"] = metadata.icc_profile
    if metadata.dpi and picture_format != "WEBP":
        arguments["dpi"] = metadata.dpi
    if metadata.exif and picture_format != "TIFF":
        arguments["exif"] = metadata.exif
    if metadata.comment and picture_format == "JPEG":
        arguments["comment"] = metadata.comment
    if metadata.tiff_tags and picture_format == "TIFF":
        arguments["tiffinfo"] = dict(metadata.tiff_tags)
    return arguments


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return an sRGB ICC profile, always the same bytes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_ICC_DATE] = bytes(12)
    return bytes(profile)


def _descriptive_tags(image: Image.Image) -> dict[int, Any]:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return {}
    return {tag: image.tag_v2[tag] for tag in _DESCRIPTIVE_TIFF_TAGS if tag in image.tag_v2}


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    """Return pixels an inch, across and down, where the file gives sound ones."""
    try:
        across, down = (float(value) for value in image.info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None
