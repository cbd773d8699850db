"""JPEG 2000, always lossless, and the metadata boxes of a JP2 file (ISO/IEC 15444-1, annex I)."""

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction

import imagecodecs
import numpy as np

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats.description import Description, upright_block, valid_dpi
from colorbatch.pixels.metadata import Metadata
from colorbatch.pixels.picture import Frame, Pixels

_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""UUID of XMP boxes (XMP specification, part 3, section 1.1.4)."""
_EXIF = b"JpgTiffExif->JP2"
"""UUID under which Adobe, Exiv2 and ExifTool write EXIF."""
_START_OF_CODESTREAM = b"\xff\x4f\xff\x51"
_KEPT_BOXES = frozenset({b"uuid", b"xml "})
_MAX_16_BITS = 65_535
_ENUMERATED, _PROFILES = 1, (2, 3)
"""Methods of a colour specification: a number, or an ICC profile (section I.5.3.3, and part 2, section M.11.7.3)."""
_SPACES = frozenset({16, 17, 18})
"""sRGB, grey, and sYCC, which the decoder converts (section I.5.3.3)."""
_CAPTURE = struct.Struct(">4H2b")
"""Pixels per metre of capture: a fraction down, one across, and a power of ten for each."""
_INCH = 0.0254
"""An inch in metres: JP2 has pixels per metre."""


def decode(data: bytes) -> tuple[Pixels, Pixels | None]:
    """Return grey or RGB pixels of 8 or 16 bits, and alpha.

    Channels of 1 to 7 bits are scaled to 8, those of 9 to 15 to 16.

    Raises:
        UnreadablePictureError: damaged, truncated, or of a kind without such planes.

    """
    try:
        image = imagecodecs.jpeg2k_decode(_without_profile(data))
    except MemoryError:
        raise
    except Exception as error:  # on damaged files it raises errors of several kinds
        raise UnreadablePictureError(f"damaged or truncated: {error}") from error
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3):
        raise UnreadablePictureError(f"JPEG 2000 with samples of {image.dtype} is not supported")
    image = _scaled(image, _bits_of(data))
    if image.ndim == 2:
        return image, None
    channels = image.shape[2]
    alpha = image[..., -1] if channels in (2, 4) else None
    return (image[..., 0] if channels < 3 else image[..., :3]), alpha


def is_deep(data: bytes) -> bool:
    """Return whether the first channel has more than 8 bits."""
    return _bits_of(data)[0] > 8


def _bits_of(data: bytes) -> list[int]:
    """Return the bits of each channel: of the palette if there is one, else of the codestream (I.5.3.4, A.5.1).

    Raises:
        UnreadablePictureError, struct.error, IndexError: it has no codestream.

    """
    palette = next((content for kind, content, _ in _boxes_in(_header_of(data)) if kind == b"pclr"), None)
    if palette is not None:
        return [(bits & 0x7F) + 1 for bits in palette[3 : 3 + palette[2]]]
    place = _codestream_of(data)
    (channels,) = struct.unpack_from(">H", data, place + 40)
    return [(data[place + 42 + 3 * channel] & 0x7F) + 1 for channel in range(channels)]


def _scaled(image: Pixels, bits: Sequence[int]) -> Pixels:
    """Return samples scaled to the whole range of their type."""
    full = 8 * image.dtype.itemsize
    if all(each == full for each in bits):
        return image
    channels = 1 if image.ndim == 2 else image.shape[2]
    factors = [np.iinfo(image.dtype).max / (2 ** min(each, full) - 1) for each in bits][:channels]
    if len(factors) < channels:
        raise UnreadablePictureError("damaged or truncated: it has more channels than it states")
    scaled: Pixels = np.round(image * (np.array(factors) if image.ndim == 3 else factors[0])).astype(image.dtype)
    return scaled


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height of the codestream: the extent of its grid less the offset (SIZ marker, section A.5.1).

    Raises:
        UnreadablePictureError, struct.error: it has no codestream.

    """
    right, bottom, left, top = struct.unpack_from(">4I", data, _codestream_of(data) + 8)
    return right - left, bottom - top


def description_of(data: bytes, warnings: list[str]) -> Description:
    """Return what the boxes say; ``warnings`` receives what could not be kept."""
    exif, orientation = upright_block(_uuid_content(data, _EXIF), warnings)
    profile = _profile_of(data, warnings)
    metadata = Metadata(
        exif=exif,
        xmp=_uuid_content(data, _XMP),
        jp2_boxes=_kept_boxes(data),
        dpi=_capture_resolution(data),
        has_profile=bool(profile),
    )
    return Description(metadata, profile, orientation)


def _codestream_of(data: bytes) -> int:
    """Return the offset of the codestream.

    Raises:
        UnreadablePictureError: there is none.

    """
    box = next((start for kind, _, start in _boxes(data) if kind == b"jp2c"), 0)
    place = data.find(_START_OF_CODESTREAM, box)
    if place < 0:
        raise UnreadablePictureError("damaged or truncated: it has no pixels")
    return place


def _kept_boxes(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return type and content of the metadata boxes of other programs, without EXIF and XMP."""
    found = ((kind, bytes(content)) for kind, content, _ in _boxes(data) if kind in _KEPT_BOXES)
    return tuple((kind, content) for kind, content in found if not content.startswith((_XMP, _EXIF)))


def encode(frame: Frame) -> bytes:
    """Return a lossless JP2 file of the frame's bit depth."""
    metadata = frame.metadata
    planes = frame.pixels if frame.alpha is None else np.dstack([frame.pixels, frame.alpha])
    contiguous = np.ascontiguousarray(planes)
    encoded = bytes(imagecodecs.jpeg2k_encode(contiguous, level=0, reversible=True, codecformat="jp2"))
    metadata_boxes = [_box(kind, content) for kind, content in metadata.jp2_boxes]
    metadata_boxes += [
        _box(b"uuid", uuid + block) for uuid, block in ((_EXIF, metadata.exif), (_XMP, metadata.xmp)) if block
    ]
    return (_with_resolution(encoded, metadata) if metadata.dpi else encoded) + b"".join(metadata_boxes)


def _with_resolution(data: bytes, metadata: Metadata) -> bytes:
    """Return the file with the capture resolution appended to its header box (section I.5.3.7)."""
    assert metadata.dpi is not None
    (*across, power_across), (*down, power_down) = map(_pixels_per_metre, metadata.dpi)
    resolution = _box(b"res ", _box(b"resc", _CAPTURE.pack(*down, *across, power_down, power_across)))
    start, end = next((start, start + 8 + len(content)) for kind, content, start in _boxes(data) if kind == b"jp2h")
    header = _box(b"jp2h", data[start + 8 : end] + resolution)
    return data[:start] + header + data[end:]


def _pixels_per_metre(dpi: float) -> tuple[int, int, int]:
    """Return numerator, denominator and power of ten; the first two have 16 bits and are not 0."""
    value, power = Fraction(dpi / _INCH), 0
    while value > _MAX_16_BITS:
        value, power = value / 10, power + 1
    while value < 1:
        value, power = value * 10, power - 1
    fraction = value.limit_denominator(int(_MAX_16_BITS / value))
    return fraction.numerator, fraction.denominator, power


def _profile_of(data: bytes, warnings: list[str]) -> bytes | None:
    """Return the ICC profile of the colour specification, if it has one (section I.5.3.3); ``None``: it is sRGB.

    Raises:
        UnsupportedPictureError: the colour space is not supported.

    """
    for kind, content, _ in _boxes_in(_header_of(data)):
        if kind != b"colr":
            continue
        method = content[0] if content else 0
        if method == _ENUMERATED and len(content) >= 7:
            (space,) = struct.unpack_from(">I", content, 3)
            if space not in _SPACES:
                raise UnsupportedPictureError(
                    f"its colour space is not supported: number {space} of JPEG 2000",
                    advice="Convert a copy to sRGB.",
                )
            return None
        if method in _PROFILES:
            return bytes(content[3:])
        warnings.append("the colour specification is damaged and was ignored")
    return None


def _without_profile(data: bytes) -> bytes:
    """Return the file without colour specifications that are profiles, which are applied later, or damaged."""
    for kind, header, start in _boxes(data):
        if kind != b"jp2h":
            continue
        inner = list(_boxes_in(header))
        kept = [each for each in inner if each[0] != b"colr" or (bytes(each[1][:1]) == b"\1" and len(each[1]) >= 7)]
        if len(kept) == len(inner):
            break
        end = start + (16 if data[start : start + 4] == b"\0\0\0\1" else 8) + len(header)
        return data[:start] + _box(b"jp2h", b"".join(_box(each, content) for each, content, _ in kept)) + data[end:]
    return data


def _header_of(data: bytes) -> memoryview:
    return next((content for kind, content, _ in _boxes(data) if kind == b"jp2h"), memoryview(b""))


def _capture_resolution(data: bytes) -> tuple[float, float] | None:
    """Return pixels per inch, across and down, from the box in the header that says them (section I.5.3.7.1)."""
    for kind, resolutions, _ in _boxes_in(_header_of(data)):
        for inner, content, _ in _boxes_in(resolutions) if kind == b"res " else ():
            if inner == b"resc" and len(content) >= _CAPTURE.size:
                rows, per_rows, columns, per_columns, power_down, power_across = _CAPTURE.unpack_from(content)
                return valid_dpi((_dpi(columns, per_columns, power_across), _dpi(rows, per_rows, power_down)))
    return None


def _dpi(numerator: int, denominator: int, power: int) -> float | None:
    return 254 * numerator * 10**power / (10_000 * denominator) if denominator else None


def _uuid_content(data: bytes, uuid: bytes) -> bytes:
    """Return the content of the first box of a UUID; empty if there is none."""
    found = (bytes(content[16:]) for kind, content, _ in _boxes(data) if kind == b"uuid" and content[:16] == uuid)
    return next(found, b"")


def _boxes(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yield type, content and offset of the top-level boxes; nothing for a bare codestream (section I.4)."""
    return _boxes_in(memoryview(data if data[4:8] == b"jP  " else b""))


def _boxes_in(data: memoryview) -> Iterator[tuple[bytes, memoryview, int]]:
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if length == 1 and position + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, position + 8)
            head = 16
        end = position + length if length else len(data)
        if end < position + head:
            return
        yield kind, data[position + head : end], position
        position = end


def _box(kind: bytes, content: bytes | memoryview) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content
