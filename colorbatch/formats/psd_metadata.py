"""What a PSD says beside its pixels, in its image resources, for a TIFF."""

import math
import struct
from dataclasses import replace

from colorbatch.formats import exif_tags, iptc, photoshop
from colorbatch.formats.tiff_metadata import said_in_srgb
from colorbatch.pixels.metadata import Metadata

_RESOLUTION, _IPTC, _PROFILE, _EXIF, _XMP = 1005, 1028, 1039, 1058, 1060
_KEPT = frozenset((1034, 1035, *range(2000, 3000)))
"""Copyright flag, address in the web, and paths. Other resources are said elsewhere in a TIFF, or are about layers."""
_IPTC_TAG, _RESOURCES_TAG, _UNDEFINED = 33723, 34377, 7
"""Tags of IPTC-IIM and of image resources in a TIFF (Adobe Photoshop TIFF Technical Notes, 2002), and their type."""
_INCH = 2
_FIXED_POINT = 2**16
"""Resolutions have 16 bits before the point, and 16 behind it."""


def metadata_of_psd(stored: bytes, warnings: list[str]) -> Metadata:
    """Return the metadata in image resources.

    Args:
        stored: the resources, as in the file.
        warnings: receives what was left out.

    """
    resources = dict(photoshop.resources_in(stored))
    metadata = replace(
        exif_tags.tags_of(resources.get(_EXIF, b""), warnings),
        xmp=resources.get(_XMP, b""),
        tiff_resolution=_resolution_of(resources.get(_RESOLUTION, b"")),
        has_profile=bool(resources.get(_PROFILE)),
    )
    whole = resources.get(_IPTC, b"")
    block = iptc.without_preview(whole)
    if block != whole:
        warnings.append("a preview in IPTC was dropped")
    blocks = {_IPTC_TAG: block, _RESOURCES_TAG: photoshop.only(stored, _KEPT)}
    tags = {tag: (_UNDEFINED, len(content), content) for tag, content in blocks.items() if content}
    metadata = replace(metadata, tiff_tags={**metadata.tiff_tags, **tags})
    return said_in_srgb(metadata) if metadata.has_profile else metadata


def _resolution_of(content: bytes) -> tuple[tuple[int, int], tuple[int, int], int] | None:
    """Return the resolution in pixels per inch, whatever unit it is shown in."""
    if len(content) < 12:
        return None
    across, down = struct.unpack_from(">I4xI", content)
    return (_fraction(across), _fraction(down), _INCH) if across and down else None


def _fraction(fixed: int) -> tuple[int, int]:
    divisor = math.gcd(fixed, _FIXED_POINT)
    return fixed // divisor, _FIXED_POINT // divisor
