"""PNG: metadata chunks, and both bit depths (PNG specification, third edition)."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import imagecodecs
import numpy as np

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats.description import MAX_BLOCK_BYTES, Description, upright_block, valid_dpi
from colorbatch.formats.icc import srgb_profile
from colorbatch.formats.photoshop import THUMBNAIL_DROPPED, without_thumbnails
from colorbatch.formats.png_texts import Text, text_of
from colorbatch.formats.primaries import profile_of_code_points, profile_of_gamma
from colorbatch.pixels.metadata import Metadata
from colorbatch.pixels.picture import Frame, Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EXIF_START = b"Exif\0\0"
_XMP_START = b"http://ns.adobe.com/xap/1.0/\0"
"""Start of a block that was the segment of a JPEG."""
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_TIME = b"tIME"
_SHORTEST = {_TIME: 7, b"pHYs": 9, b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
"""Lengths of chunks, which Pillow refuses if they are shorter."""
_DESCRIPTIVE = _TEXTS | {b"eXIf", b"iCCP", *_SHORTEST}
"""Ancillary chunks that are read."""
_UNIT = 100_000
"""What 1 is in gAMA and cHRM."""
_TRANSPARENCY = b"tRNS"
"""The one ancillary chunk that belongs to the pixels: it becomes alpha."""
_INCH = 0.0254
"""An inch in metres: PNG has pixels per metre."""
_MAX_TEXT_BYTES = 2**25
"""Maximum size of all texts together, decompressed: readers refuse files with much more."""
_COMPRESSION_LEVEL = 6
"""Compression level of zlib: higher ones take much time to save a percent or two of a photograph."""


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    content: bytes
    start: int
    end: int
    """Its place in the file, with its length and its checksum."""
    problem: str = ""
    """What is wrong with it; not tested in critical chunks, which decoders test."""

    @property
    def is_critical(self) -> bool:
        """Whether decoders must understand it (section 5.4), or it is none: a type is four letters."""
        return not self.kind.isalpha() or self.kind[:1].isupper()


def without_metadata(data: bytes) -> bytes:
    """Return the file with only the chunks that its pixels depend on."""
    view = memoryview(data)
    kept = (view[each.start : each.end] for each in _chunks(data) if each.is_critical or each.kind == _TRANSPARENCY)
    return b"".join([SIGNATURE, *kept])


def description_of(data: bytes, warnings: list[str]) -> Description:
    """Return what the ancillary chunks say; ``warnings`` receives what could not be kept."""
    sound: dict[bytes, list[bytes]] = {kind: [] for kind in _DESCRIPTIVE}
    for chunk in _chunks(data):
        if chunk.kind in _DESCRIPTIVE and not chunk.problem:
            sound[chunk.kind].append(chunk.content)
        elif chunk.kind in _DESCRIPTIVE:
            warnings.append(f"a damaged {chunk.kind.decode()} chunk was dropped: {chunk.problem}")
    profile = _profile_of(sound, warnings, is_grey=_is_grey(data))
    texts = _texts_of(data, warnings)
    exif, orientation = upright_block(_only("EXIF", sound[b"eXIf"][-1:] + texts.exif, warnings), warnings)
    metadata = Metadata(
        exif=exif,
        xmp=_only("XMP", _packets_of(data, warnings) + texts.xmp, warnings),
        png_chunks=texts.chunks,
        dpi=_dpi_of(sound[b"pHYs"]),
        has_profile=bool(profile),
    )
    return Description(metadata, profile, orientation)


def _only(name: Literal["EXIF", "XMP"], blocks: list[bytes], warnings: list[str]) -> bytes:
    """Return the first of several blocks of the same kind; empty if there is none."""
    first, *others = [block.removeprefix(_EXIF_START) for block in blocks] or [b""]
    if any(other != first for other in others):
        warnings.append(f"a second {name} block was dropped")
    return first


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield every chunk, as far as the file goes."""
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        is_ancillary = kind[:1].islower()
        content = data[position + 8 : position + 8 + length] if is_ancillary else b""
        checksum = data[position + 8 + length : position + 12 + length]
        problem = ""
        if is_ancillary and checksum != struct.pack(">I", zlib.crc32(kind + content)):
            problem = "its checksum is wrong"
        elif is_ancillary and length < _SHORTEST.get(kind, 0):
            problem = "it is too short"
        yield _Chunk(kind, content, position, position + 12 + length, problem)
        if kind == b"IEND":
            return
        position += 12 + length


def bit_depth(data: bytes) -> int:
    """Return the bits per channel; IHDR comes first: width, height, bit depth (section 11.2.1)."""
    return data[24] if len(data) > 24 else 8


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height from IHDR, even if the rest is damaged.

    Raises:
        struct.error: the file ends before them.

    """
    width, height = struct.unpack_from(">2I", data, 16)
    return width, height


def has_frames(data: bytes) -> bool:
    """Return whether a file is an animation of more than one frame (section 11.3.6.1)."""
    return any(chunk.kind == b"acTL" and chunk.content[:4] > b"\0\0\0\1" for chunk in _chunks(data))


def xmp_of(data: bytes) -> bytes:
    """Return the XMP packet of the iTXt chunk that holds it (XMP specification, part 3, section 1.1.5).

    A compressed one is cut off at ``MAX_BLOCK_BYTES``.

    Raises:
        ValueError, zlib.error: it is damaged.

    """
    for chunk in _chunks(data):
        if not chunk.problem and _is_xmp(chunk):
            return text_of(chunk.kind, chunk.content, MAX_BLOCK_BYTES).text
    return b""


def _is_xmp(chunk: _Chunk) -> bool:
    return chunk.kind == b"iTXt" and chunk.content.startswith(_XMP_KEYWORD + b"\0")


def _packets_of(data: bytes, warnings: list[str]) -> list[bytes]:
    """Return the XMP packet; nothing if there is none, or it is damaged or far too long."""
    try:
        packet = xmp_of(data)
    except (ValueError, zlib.error) as error:
        warnings.append(f"damaged XMP was dropped: {error}")
        return []
    if len(packet) > _MAX_TEXT_BYTES:
        warnings.append(f"XMP was dropped: it has more than {_MAX_TEXT_BYTES:,} bytes")
        return []
    return [packet] if packet else []


@dataclass(frozen=True)
class _Texts:
    """Texts and times of a file, and the blocks of metadata that some of them are."""

    chunks: tuple[tuple[bytes, bytes], ...]
    """Type and content of those to be kept as they are."""
    exif: list[bytes]
    xmp: list[bytes]


def _texts_of(data: bytes, warnings: list[str]) -> _Texts:
    """Return the texts and times but the XMP packet, without those that readers would stumble over."""
    found, room = _Texts((), [], []), _MAX_TEXT_BYTES
    for chunk in _chunks(data):
        if chunk.problem or chunk.kind not in _TEXTS | {_TIME} or _is_xmp(chunk):
            continue
        if chunk.kind == _TIME:
            found = replace(found, chunks=(*found.chunks, (chunk.kind, chunk.content)))
            continue
        keyword = chunk.content.split(b"\0", 1)[0].decode("latin-1")
        try:
            text = text_of(chunk.kind, chunk.content, room + 1)
        except (ValueError, zlib.error) as error:
            warnings.append(f"a damaged text, {keyword!r}, was dropped: {error}")
            continue
        if text.size > room:
            warnings.append(f"a text, {keyword!r}, was dropped: with it, there are more than {_MAX_TEXT_BYTES:,} bytes")
            continue
        room -= text.size
        found = _with_text(found, text, warnings)
    return found


def _with_text(found: _Texts, text: Text, warnings: list[str]) -> _Texts:
    """Return the texts with one more: EXIF and XMP in it are handled as such, and image resources lose thumbnails."""
    name, block = text.raw_profile or (b"", b"")
    if name in (b"exif", b"app1") and block.startswith((_EXIF_START, b"II*\0", b"MM\0*")):
        return replace(found, exif=[*found.exif, block])
    if name in (b"xmp", b"app1") and b"<" in block:
        return replace(found, xmp=[*found.xmp, block.removeprefix(_XMP_START)])
    if name in (b"8bim", b"iptc"):
        resources = without_thumbnails(block)
        if resources != block:
            warnings.append(THUMBNAIL_DROPPED)
            text = text.with_raw_profile(resources)
    return replace(found, chunks=(*found.chunks, text.readable_chunk))


def _is_grey(data: bytes) -> bool:
    """Return whether the pixels have one channel, from the colour type in IHDR (section 11.2.1)."""
    return data[25:26] in (b"\0", b"\4")


def _profile_of(sound: Mapping[bytes, list[bytes]], warnings: list[str], *, is_grey: bool) -> bytes | None:
    """Return an ICC profile of the first of the chunks that describe colours (section 4.3); ``None``: it is sRGB.

    Raises:
        UnsupportedPictureError: the colours are not supported.

    """
    for content in sound[b"cICP"]:
        primaries, transfer, matrix, is_full = content[:4]
        if matrix or not is_full:
            raise UnsupportedPictureError("its levels are those of video, not of RGB", advice="Convert a copy to sRGB.")
        return profile_of_code_points(primaries, transfer, is_grey=is_grey)
    profile = _icc_profile_of(sound[b"iCCP"], warnings) if sound[b"iCCP"] else None
    if profile or sound[b"sRGB"] or not sound[b"gAMA"]:
        return profile
    (gamma,) = struct.unpack_from(">I", sound[b"gAMA"][-1])
    xy = [value / _UNIT for content in sound[b"cHRM"][-1:] for value in struct.unpack_from(">8I", content)]
    try:
        return profile_of_gamma(gamma / _UNIT, xy or None, is_grey=is_grey)
    except ValueError as error:
        warnings.append(f"gamma and chromaticities make no sense and were ignored: {error}")
        return None


def _icc_profile_of(contents: list[bytes], warnings: list[str]) -> bytes | None:
    """Return the ICC profile: its name, the method of compression, 0, and its stream (section 11.3.2.3)."""
    try:
        profile = zlib.decompressobj().decompress(contents[-1].partition(b"\0")[2][1:], MAX_BLOCK_BYTES)
    except zlib.error as error:
        warnings.append(f"the ICC profile is damaged and was ignored: {error}")
        return None
    if not 0 < len(profile) < MAX_BLOCK_BYTES:
        warnings.append(f"the ICC profile is damaged and was ignored: it has {len(profile):,} bytes")
        return None
    return profile


def _dpi_of(contents: list[bytes]) -> tuple[float, float] | None:
    """Return pixels per inch; unit 1 is the metre, and 0 is none (section 11.3.4.3)."""
    for content in contents[-1:]:
        if len(content) >= 9 and content[8] == 1:
            across, down = struct.unpack_from(">2I", content)
            return valid_dpi((across * _INCH, down * _INCH))
    return None


def decode_deep(data: bytes) -> tuple[Pixels, Pixels | None]:
    """Return 16-bit pixels, grey or RGB, and alpha.

    Raises:
        UnreadablePictureError: damaged or truncated.

    """
    try:
        image = imagecodecs.png_decode(without_metadata(data))
    except MemoryError:
        raise
    except Exception as error:  # on damaged files it raises errors of several kinds
        raise UnreadablePictureError(f"damaged or truncated: {error}") from error
    if image.ndim == 2:
        return image, None
    colors = image.shape[2] - 1 if image.shape[2] in (2, 4) else image.shape[2]
    pixels = image[..., 0] if colors == 1 else image[..., :colors]
    return pixels, image[..., colors] if image.shape[2] > colors else None


def encode(frame: Frame) -> bytes:
    """Return a PNG file of the frame's bit depth."""
    planes = frame.pixels if frame.alpha is None else np.dstack([frame.pixels, frame.alpha])
    encoded = bytes(imagecodecs.png_encode(np.ascontiguousarray(planes), level=_COMPRESSION_LEVEL))
    end_of_header = len(SIGNATURE) + 25
    metadata = b"".join(_chunk(kind, content) for kind, content in _metadata_chunks(frame.metadata))
    return encoded[:end_of_header] + metadata + encoded[end_of_header:]


def _metadata_chunks(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    if metadata.has_profile:
        yield b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile())
    if metadata.dpi:
        yield b"pHYs", struct.pack(">IIB", *(round(value / _INCH) for value in metadata.dpi), 1)
    if metadata.exif:
        yield b"eXIf", metadata.exif
    if metadata.xmp:
        yield b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp
    yield from metadata.png_chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
