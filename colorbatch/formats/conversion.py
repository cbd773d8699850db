"""A decoded picture as one of another format: what that cannot hold of the pixels is refused, of the rest a warning."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np

from colorbatch.errors import UnsupportedPictureError
from colorbatch.formats import photoshop
from colorbatch.formats.description import valid_dpi
from colorbatch.formats.exif_tags import block_of, tags_of
from colorbatch.formats.jpeg_metadata import MAX_EXIF_BYTES
from colorbatch.pixels.color import rounded_to_8_bits
from colorbatch.pixels.metadata import Metadata, RawTag, number_of
from colorbatch.pixels.picture import Frame, Picture, Pixels

_BITS = {"JPEG": 8, "WEBP": 8}
"""Bits per channel of the formats that have no more than these."""
_IPTC, _RESOURCES, _UNDEFINED = 33723, 34377, 7
"""Tags of IPTC-IIM and of image resources in a TIFF (Adobe Photoshop TIFF Technical Notes, 2002), and their type."""
_IPTC_RESOURCE = 1028
_OTHER_RESOURCES = frozenset(range(2**16)) - {_IPTC_RESOURCE}
_X_RESOLUTION, _Y_RESOLUTION, _UNIT, _SHORT, _RATIONAL = 282, 283, 296, 3, 5
"""Tags of the resolution, and their types."""
_INCH = 2
_UNITS_OF_EXIF = frozenset({_INCH, 3})
_PER_INCH = {_INCH: Fraction(1), 3: Fraction("2.54"), 4: Fraction("25.4"), 5: Fraction(25_400)}
"""Units of the resolution of a TIFF in an inch: inch, centimetre, millimetre, micrometre."""
_FINEST = 10_000
"""Maximum denominator of a resolution in a TIFF."""


def converted(picture: Picture, target: str) -> Picture:
    """Return a picture to be encoded in another format, before it is coloured.

    Luma is encoded again from the pixels, also that of a JPEG. Metadata is said as the other format says it.

    Args:
        picture: as decoded.
        target: ``JPEG``, ``PNG``, ``TIFF``, ``WEBP`` or ``JPEG2000``.

    Raises:
        UnsupportedPictureError: that format cannot hold all pages, channels or masks.

    """
    if target == picture.format:
        return picture
    warnings = list(picture.warnings)
    if target == "TIFF":
        frames = tuple(_for_tiff(frame, warnings) for frame in picture.frames)
    else:
        for part in _parts_beyond(picture, target):
            raise UnsupportedPictureError(
                f"{target} cannot hold its {part}",
                advice="Give the output the extension of a TIFF, or give an output folder.",
            )
        frames = (_for_one_image(picture.first, picture.format, target, warnings),)
    return replace(picture, frames=frames, format=target, jpeg=None, warnings=tuple(warnings))


def _parts_beyond(picture: Picture, target: str) -> Iterator[str]:
    """Yield what a format other than TIFF cannot hold of a picture."""
    frame = picture.first
    if len(picture.frames) > 1:
        yield f"{len(picture.frames)} pages"
    if picture.masks:
        yield "mask pages"
    if frame.unnamed is not None:
        yield "extra channel without a stated meaning"
    if target == "JPEG" and frame.alpha is not None and not _is_opaque(frame.alpha):
        yield "transparency"


def _is_opaque(alpha: Pixels) -> bool:
    return bool(alpha.min() == np.iinfo(alpha.dtype).max)


def _for_one_image(frame: Frame, source: str, target: str, warnings: list[str]) -> Frame:
    """Return a frame for a file that holds one image and an EXIF block."""
    bits = _BITS.get(target, frame.bits)
    if bits < frame.bits:
        warnings.append(f"its {frame.bits} bits per channel became {bits}: {target} has no more")
    alpha = None if frame.alpha is None or target == "JPEG" else _with_bits(frame.alpha, bits)
    metadata = _with_block(frame.metadata) if source == "TIFF" else frame.metadata
    return Frame(_with_bits(frame.pixels, bits), alpha, _held_by(target, metadata, warnings))


def _with_bits(pixels: Pixels, bits: int) -> Pixels:
    return rounded_to_8_bits(pixels.astype(np.uint16, copy=False)) if bits < pixels.itemsize * 8 else pixels


def _held_by(target: str, metadata: Metadata, warnings: list[str]) -> Metadata:
    """Return what of the metadata such a format holds."""
    holds = {
        "photoshop": ("IPTC and other image resources of Photoshop", target == "JPEG", b""),
        "comments": ("comments", target == "JPEG", ()),
        "png_chunks": ("texts and times of a PNG", target == "PNG", ()),
        "jp2_boxes": ("boxes of a JPEG 2000", target == "JPEG2000", ()),
        "dpi": ("the resolution", target != "WEBP" or _says_resolution(metadata.exif), None),
    }
    lost = {name: empty for name, (_, is_held, empty) in holds.items() if getattr(metadata, name) and not is_held}
    if lost:
        warnings.append(f"dropped, since {target} does not hold it: {', '.join(holds[name][0] for name in lost)}")
    exif = metadata.exif
    if target == "JPEG" and len(exif) > MAX_EXIF_BYTES:
        warnings.append(f"EXIF was dropped: it has {len(exif):,} bytes, and JPEG can hold {MAX_EXIF_BYTES:,}")
        exif = b""
    return replace(metadata, exif=exif, profile=b"", **lost)  # type: ignore[arg-type] # each has its own type


def _with_block(metadata: Metadata) -> Metadata:
    """Return the metadata of a TIFF page with its tags in an EXIF block, and IPTC in image resources."""
    tags = dict(metadata.tiff_tags)
    _, _, resources = tags.pop(_RESOURCES, (0, 0, b""))
    _, _, iptc = tags.pop(_IPTC, (0, 0, b""))
    if iptc:
        resources = photoshop.only(resources, _OTHER_RESOURCES) + photoshop.resource(_IPTC_RESOURCE, iptc)
    return Metadata(
        exif=block_of(metadata, {**tags, **_tags_of_resolution(metadata)}),
        xmp=metadata.xmp,
        photoshop=resources,
        dpi=_dpi_of(metadata),
        has_profile=metadata.has_profile,
    )


def _tags_of_resolution(metadata: Metadata) -> Mapping[int, RawTag]:
    """Return the resolution of a TIFF page as tags; none in a unit that EXIF does not have (EXIF 2.32, 4.6.4)."""
    if metadata.tiff_resolution is None or metadata.tiff_resolution[2] not in _UNITS_OF_EXIF:
        return {}
    *sides, unit = metadata.tiff_resolution
    order = metadata.tiff_byte_order
    across, down = ((_RATIONAL, 1, struct.pack(f"{order}2I", *side)) for side in sides)
    return {_X_RESOLUTION: across, _Y_RESOLUTION: down, _UNIT: (_SHORT, 1, struct.pack(f"{order}H", unit))}


def _says_resolution(exif: bytes) -> bool:
    try:
        return bool(exif) and number_of(exif, _X_RESOLUTION) > 0
    except (KeyError, ValueError, struct.error):
        return False


def _dpi_of(metadata: Metadata) -> tuple[float, float] | None:
    """Return the resolution of a TIFF page in pixels per inch; ``None``: it has none, or no unit."""
    if metadata.tiff_resolution is None or metadata.tiff_resolution[2] not in _PER_INCH:
        return None
    *sides, unit = metadata.tiff_resolution
    return valid_dpi([float(Fraction(*each) * _PER_INCH[unit]) for each in sides])


def _for_tiff(frame: Frame, warnings: list[str]) -> Frame:
    """Return a frame for a page of a TIFF."""
    held = _held_by("TIFF", replace(frame.metadata, dpi=None, photoshop=b""), warnings)
    said = tags_of(held.exif, warnings)
    tags = {**said.tiff_tags, **_tags_of_resources(frame.metadata.photoshop)}
    dpi = frame.metadata.dpi
    resolution = None if dpi is None else (_fraction(dpi[0]), _fraction(dpi[1]), _INCH)
    metadata = replace(
        said,
        xmp=held.xmp or said.xmp,
        tiff_tags=tags,
        tiff_resolution=resolution or said.tiff_resolution,
        has_profile=held.has_profile,
    )
    return replace(frame, metadata=metadata)


def _tags_of_resources(resources: bytes) -> Mapping[int, RawTag]:
    """Return image resources as tags of a TIFF page: IPTC, and all others."""
    iptc = dict(photoshop.resources_in(resources)).get(_IPTC_RESOURCE, b"")
    blocks = {_IPTC: iptc, _RESOURCES: photoshop.only(resources, _OTHER_RESOURCES)}
    return {tag: (_UNDEFINED, len(content), content) for tag, content in blocks.items() if content}


def _fraction(dpi: float) -> tuple[int, int]:
    found = Fraction(dpi).limit_denominator(_FINEST)
    return max(1, found.numerator), found.denominator
