"""PSD and PSB files of Photoshop: the composite of all layers, which is stored behind them.

Layers are not rendered. Pillow reads composites of 8 bits alone, and takes bitmaps for negatives; psd-tools reads all
layers, and takes some 40 bytes per pixel. Source: Adobe Photoshop File Formats Specification, "Photoshop File Format".
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats.icc import srgb_profile
from colorbatch.formats.image import Stored, refuse_too_large
from colorbatch.formats.photoshop import resources_in
from colorbatch.formats.psd_metadata import metadata_of_psd
from colorbatch.pixels.color import rounded_to_8_bits
from colorbatch.pixels.picture import Pixels

_PSB = 2
_PALETTE = 256
_BITMAP, _GREY, _INDEXED, _RGB, _CMYK, _DUOTONE, _LAB = 0, 1, 2, 3, 4, 8, 9
_COLORS = {_BITMAP: 1, _GREY: 1, _INDEXED: 1, _RGB: 3, _CMYK: 4, _DUOTONE: 1, _LAB: 3}
"""Numbers of colour channels by colour mode."""
_VERSION_INFO, _PROFILE, _TRANSPARENT_INDEX = 1057, 1039, 1047
_HAS_COMPOSITE = 4
"""Place in the version info of whether there is a composite."""
_DEEP_LAYERS = frozenset({b"Lr16", b"Lr32"})
_TRANSPARENT = frozenset({b"Mtrn", b"Mt16", b"Mt32"})
"""Blocks that say that the first channel behind the colours is the transparency of the composite."""
_LONG_BLOCKS = frozenset(
    (*(b"LMsk", b"Lr16", b"Lr32", b"Layr", b"Mt16", b"Mt32", b"Mtrn"), *(b"Alph", b"FMsk", b"lnk2", b"FEid", b"FXid"))
) | {b"PxSD"}
"""Blocks whose length has 8 bytes in a PSB."""
_MOST_UNFOLDED = {0: 1, 1: 64, 2: 1032, 3: 1032}
"""Maximum number of bytes that a byte of the composite unfolds to, by its compression."""
_ADVICE = 'Save it from Photoshop with "Maximize compatibility", or as a flat TIFF.'


@dataclass(frozen=True)
class _Header:
    """The header of a file."""

    is_big: bool
    """Whether it is a PSB, some of whose lengths are longer."""
    channels: int
    height: int
    width: int
    bits: int
    mode: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of one channel."""
        return (self.width * self.bits + 7) // 8


@dataclass(frozen=True)
class _Sections:
    """The sections of a file, but for the layers."""

    palette: bytes
    stored_resources: bytes
    resources: Mapping[int, bytes]
    """Image resources by their numbers."""
    has_layers: bool
    has_transparency: bool
    composite: memoryview
    """The image data section."""


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height.

    Raises:
        UnreadablePictureError: it has no such header.

    """
    header = _header_of(data)
    return header.width, header.height


def is_deep(data: bytes) -> bool:
    """Return whether it has 16 bits per channel."""
    return _header_of(data).bits == 16


def decode(data: bytes, max_megapixels: float, warnings: list[str]) -> Stored:
    """Return the composite of a file.

    Args:
        data: the file.
        max_megapixels: limit of its size.
        warnings: receives what was left out.

    Raises:
        UnreadablePictureError: damaged or truncated.
        UnsupportedPictureError: it has no composite, or one of a kind that is not a photograph.

    """
    header = _header_of(data)
    refuse_too_large(header.width, header.height, max_megapixels)
    _refuse_other_kinds(header)
    sections = _sections_of(data, header)
    colors = _COLORS[header.mode]
    extra = header.channels - colors
    planes = _planes_of(sections.composite, header, colors + min(extra, 2))
    if sections.has_layers:
        _refuse_missing_composite(planes[..., :colors], sections)
        warnings.append("the layers of Photoshop were dropped")
    alpha = planes[..., colors] if extra and sections.has_transparency else None
    unnamed = planes[..., -1] if extra == (1 if alpha is None else 2) else None
    dropped = extra - sum(plane is not None for plane in (alpha, unnamed))
    if dropped:
        warnings.append(f"{dropped} further channels, such as selections and spot colours, were dropped")
    pixels, opacity = _colors_of(planes[..., :colors], sections, header.mode)
    if alpha is not None:
        pixels = _without_white(pixels, alpha, white=0 if header.mode == _CMYK else np.iinfo(pixels.dtype).max)
    metadata = metadata_of_psd(sections.stored_resources, warnings)
    profile = None if header.mode == _LAB else sections.resources.get(_PROFILE)
    return Stored(pixels, opacity if alpha is None else alpha, metadata, profile, 1, unnamed)


def _refuse_other_kinds(header: _Header) -> None:
    is_bitmap = header.mode == _BITMAP
    if header.mode not in _COLORS or header.bits not in ((1,) if is_bitmap else (8, 16)):
        raise UnsupportedPictureError(
            f"a PSD of colour mode {header.mode} with {header.bits} bits", advice="Convert a copy to RGB of 16 bits."
        )
    if header.channels < _COLORS[header.mode]:
        raise UnreadablePictureError(f"damaged or truncated: it has {header.channels} channels")


def _refuse_missing_composite(planes: Pixels, sections: _Sections) -> None:
    """Raise if Photoshop stored no composite of the layers: it says so, and all is white."""
    version_info = sections.resources.get(_VERSION_INFO, b"")
    says_so = len(version_info) > _HAS_COMPOSITE and not version_info[_HAS_COMPOSITE]
    if says_so or not np.ptp(planes, axis=(0, 1)).any():
        raise UnsupportedPictureError("the PSD has layers alone, no composite of them", advice=_ADVICE)


def _header_of(data: bytes) -> _Header:
    try:
        mark, version, channels, height, width, bits, mode = struct.unpack_from(">4sH6xHIIHH", data)
    except struct.error as error:
        raise UnreadablePictureError("not a readable PSD picture") from error
    if mark != b"8BPS" or version not in (1, _PSB) or not (channels and height and width):
        raise UnreadablePictureError("not a readable PSD picture")
    return _Header(version == _PSB, channels, height, width, bits, mode)


def _sections_of(data: bytes, header: _Header) -> _Sections:
    whole = memoryview(data)
    palette, rest = _split(whole[26:], 4)
    resources, rest = _split(rest, 4)
    layers, rest = _split(rest, 8 if header.is_big else 4)
    count, blocks = _layers_in(layers, header)
    has_transparency = count < 0 or not _TRANSPARENT.isdisjoint(blocks)
    stored = bytes(resources)
    return _Sections(bytes(palette), stored, dict(resources_in(stored)), count != 0, has_transparency, rest)


def _split(data: memoryview, size_of_length: int) -> tuple[memoryview, memoryview]:
    """Return what follows a length, and the rest behind it."""
    length = int.from_bytes(data[:size_of_length], "big")
    end = size_of_length + length
    if end > len(data):
        raise UnreadablePictureError("damaged or truncated: a section is longer than the file")
    return data[size_of_length:end], data[end:]


def _layers_in(section: memoryview, header: _Header) -> tuple[int, set[bytes]]:
    """Return the number of layers, negative if the composite is transparent, and the keys of the blocks behind them.

    What cannot be read is left out: pixels do not depend on it.
    """
    long = 8 if header.is_big else 4
    found: set[bytes] = set()
    try:
        layers, rest = _split(section, long)
        count = _count_in(layers)
        _, rest = _split(rest, 4)  # of the global mask
        while len(rest) >= 12 and bytes(rest[:4]) in (b"8BIM", b"8B64"):
            key = bytes(rest[4:8])
            block, rest = _split(rest[8:], 8 if header.is_big and key in _LONG_BLOCKS else 4)
            rest = rest[-len(block) % 4 :]
            found.add(key)
            if key in _DEEP_LAYERS:
                count = _count_in(block)
    except UnreadablePictureError:
        return 0, found
    return count, found


def _count_in(layers: memoryview) -> int:
    return int.from_bytes(layers[:2], "big", signed=True)


def _planes_of(composite: memoryview, header: _Header, count: int) -> Pixels:
    """Return the first channels of the composite, ``[H, W, count]``, as stored; those of 1 bit as 0 and 1."""
    compression, content = int.from_bytes(composite[:2], "big"), composite[2:]
    if len(composite) < 2 or compression not in _CHANNELS_OF:
        raise UnreadablePictureError("damaged or truncated: the composite has no known compression")
    size = header.height * header.row_bytes * header.channels
    if size > len(content) * _MOST_UNFOLDED[compression]:  # before there is memory for it
        raise UnreadablePictureError(f"damaged or truncated: the composite has {len(content):,} bytes")
    planes = np.empty((header.height, header.width, count), np.uint16 if header.bits == 16 else np.uint8)
    for channel, rows in zip(range(count), _CHANNELS_OF[compression](content, header), strict=False):
        planes[..., channel] = _samples_of(rows, header)
    return planes


def _samples_of(rows: NDArray[np.uint8], header: _Header) -> NDArray[np.unsignedinteger]:
    if header.bits == 1:
        return np.unpackbits(rows, axis=1, count=header.width)
    return rows.view(">u2") if header.bits == 16 else rows


def _stored_channels(content: bytes | memoryview, header: _Header) -> Iterator[NDArray[np.uint8]]:
    """Yield the rows of each channel, ``[H, bytes]``."""
    size = header.height * header.row_bytes
    for start in range(0, size * header.channels, size):
        if start + size > len(content):
            raise UnreadablePictureError("damaged or truncated: a channel of the composite is incomplete")
        yield np.frombuffer(content, np.uint8, size, start).reshape(header.height, -1)


def _packed_channels(content: memoryview, header: _Header) -> Iterator[NDArray[np.uint8]]:
    """Yield the rows of each channel, each coded by PackBits; lengths of all rows precede them."""
    kind = np.dtype(">u4" if header.is_big else ">u2")
    rows = header.height * header.channels
    if rows * kind.itemsize > len(content):
        raise UnreadablePictureError("damaged or truncated: the composite ends before its rows")
    lengths = np.frombuffer(content, kind, rows).reshape(header.channels, -1)
    end = rows * kind.itemsize
    for of_channel in lengths.tolist():
        unpacked = np.empty((header.height, header.row_bytes), np.uint8)
        for row, length in zip(unpacked, of_channel, strict=True):
            start, end = end, end + length
            if end > len(content) or len(imagecodecs.packbits_decode(bytes(content[start:end]), out=row.data)) < len(
                row
            ):
                raise UnreadablePictureError("damaged or truncated: a row of the composite is incomplete")
        yield unpacked


def _zipped_channels(content: memoryview, header: _Header) -> Iterator[NDArray[np.uint8]]:
    size = header.height * header.row_bytes * header.channels
    zipped = zlib.decompressobj()
    unzipped = zipped.decompress(content, size + 1)
    if not zipped.eof:
        raise UnreadablePictureError("damaged or truncated: the composite is incomplete")
    yield from _stored_channels(unzipped, header)


def _differenced_channels(content: memoryview, header: _Header) -> Iterator[NDArray[np.uint8]]:
    """Yield the rows of each channel, whose samples are stored as differences from the one to the left."""
    kind = np.dtype(">u2" if header.bits == 16 else "u1")
    for rows in _zipped_channels(content, header):
        yield np.cumsum(rows.view(kind), axis=1, dtype=kind.newbyteorder("=")).astype(kind).view(np.uint8)


_CHANNELS_OF: Mapping[int, Callable[[memoryview, _Header], Iterator[NDArray[np.uint8]]]] = {
    0: _stored_channels,
    1: _packed_channels,
    2: _zipped_channels,
    3: _differenced_channels,
}
"""Readers of the composite, by its compression."""


def _colors_of(planes: Pixels, sections: _Sections, mode: int) -> tuple[Pixels, Pixels | None]:
    """Return grey, RGB or CMYK as other formats store them, and the opacity of a palette with a transparent colour."""
    if mode == _BITMAP:  # 1 is black
        return (1 - planes[..., 0]) * np.uint8(255), None
    if mode == _INDEXED:
        return _of_palette(planes[..., 0], sections)
    if mode == _CMYK:  # as stored, 0 is all of an ink
        return np.iinfo(planes.dtype).max - planes, None
    if mode == _LAB:
        return _rgb_of_lab(planes), None
    return np.ascontiguousarray(planes[..., 0] if planes.shape[2] == 1 else planes), None


def _of_palette(indices: Pixels, sections: _Sections) -> tuple[Pixels, Pixels | None]:
    if len(sections.palette) < 3 * _PALETTE:
        raise UnreadablePictureError("damaged or truncated: its palette is incomplete")
    palette = np.frombuffer(sections.palette, np.uint8, 3 * _PALETTE).reshape(3, -1).T
    transparent = int.from_bytes(sections.resources.get(_TRANSPARENT_INDEX, b"\xff\xff")[:2], "big")
    alpha = np.where(indices == transparent, np.uint8(0), np.uint8(255)) if transparent < _PALETTE else None
    return palette[indices], alpha


def _rgb_of_lab(planes: Pixels) -> Pixels:
    """Return RGB in sRGB of CIE Lab; 128 of 255 is 0 of a* and b*."""
    deep = planes.astype(np.uint16) * np.uint16(65535 // np.iinfo(planes.dtype).max)
    rgb: Pixels = imagecodecs.cms_transform(
        deep, _lab_profile(), srgb_profile(), colorspace="lab", outcolorspace="rgb", outdtype=np.uint16
    )
    return rgb if planes.dtype == np.uint16 else rounded_to_8_bits(rgb.astype(np.uint16, copy=False))


@lru_cache(maxsize=1)
def _lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def _without_white(pixels: Pixels, alpha: Pixels, white: int) -> Pixels:
    """Return the colours of a composite, which is stored as it looks on white, without the white behind it."""
    top = np.iinfo(pixels.dtype).max
    opacity = np.maximum(alpha, 1).astype(np.float32) / np.float32(top)
    if pixels.ndim == 3:
        opacity = opacity[..., None]
    without = (pixels - np.float32(white) * (1 - opacity)) / opacity
    colors: Pixels = np.clip(without + np.float32(0.5), 0, top).astype(pixels.dtype)
    return colors
