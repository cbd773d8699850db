"""What a picture file says beside its pixels, and how it is handed on to the output."""

import struct
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
_UNSUPPORTED_TIFF_TAGS = {700: "XMP", 33723: "IPTC", 34665: "EXIF", 34853: "GPS"}
_SHORT = 3
"""The 16-bit type of EXIF and TIFF."""
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
            exif = _upright_exif(image.info.get("exif", b""))
        except (struct.error, ValueError, TypeError) as error:
            warnings.append(f"EXIF is damaged and was left out: {error}")
    left_out = sorted(_UNSUPPORTED_TIFF_TAGS[tag] for tag in _tiff_tags(image) if tag in _UNSUPPORTED_TIFF_TAGS)
    if left_out:
        warnings.append(f"left out of the TIFF: {', '.join(left_out)}")
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


def _upright_exif(exif: bytes) -> bytes:
    """Return an EXIF block with its orientation set to 1 and every other byte as it was: maker notes hold offsets.

    The block is a TIFF header, then the first directory of 12-byte entries (EXIF 2.32, section 4.6.2).

    Raises:
        ValueError, struct.error: it is not such a block.

    """
    prefix = b"Exif\0\0" if exif.startswith(b"Exif\0\0") else b""
    block = bytearray(exif[len(prefix) :])
    if not block:
        return b""
    order = {b"II": "<", b"MM": ">"}.get(bytes(block[:2]))
    if order is None:
        raise ValueError("it has no byte order")
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    (count,) = struct.unpack_from(f"{order}H", block, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from(f"{order}H", block, entry)
        if tag == ExifTags.Base.Orientation:
            struct.pack_into(f"{order}HIHH", block, entry + 2, _SHORT, 1, 1, 0)
    return prefix + bytes(block)


def _tiff_tags(image: Image.Image) -> Mapping[int, Any]:
    return image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}


def _descriptive_tags(image: Image.Image) -> dict[int, Any]:
    """Return the tags of text, as bytes: Pillow reads them as Latin-1 and would write question marks for the rest."""
    tags = _tiff_tags(image)
    texts = {tag: tags[tag] for tag in _DESCRIPTIVE_TIFF_TAGS if tag in tags}
    return {tag: text.encode("latin-1", "replace") for tag, text in texts.items() if isinstance(text, str)}


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    """Return pixels an inch, across and down, where the file gives sound ones."""
    if image.format == "TIFF" and TiffImagePlugin.X_RESOLUTION not in _tiff_tags(image):
        return None  # Pillow makes one up
    try:
        across, down = (float(value) for value in image.info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None
