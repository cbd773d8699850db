"""PNG: metadata chunks, and both bit depths (PNG specification, third edition)."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import imagecodecs
import numpy as np

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats.description import MAX_BLOCK_BYTES, Description, upright_block, valid_dpi
from colorbatch.formats.icc import srgb_profile
from colorbatch.formats.primaries import profile_of_code_points, profile_of_gamma
from colorbatch.pixels.metadata import Metadata
from colorbatch.pixels.picture import Frame, Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_SHORTEST = {b"tIME": 7, b"pHYs": 9, b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
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
_MAX_PACKED_BYTES = 2**20
"""Maximum size of a text that stays compressed: readers refuse to decompress longer ones."""
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
    exif, orientation = upright_block(b"".join(sound[b"eXIf"][-1:]), warnings)
    profile = _profile_of(sound, warnings, is_grey=_is_grey(data))
    metadata = Metadata(
        exif=exif,
        xmp=_packet_of(data, warnings),
        png_chunks=_kept_chunks(data, warnings),
        dpi=_dpi_of(sound[b"pHYs"]),
        has_profile=bool(profile),
    )
    return Description(metadata, profile, orientation)


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
        zlib.error: it is damaged.

    """
    for chunk in _chunks(data):
        if not chunk.problem and _is_xmp(chunk):
            is_compressed, text = _international_text(chunk.content)
            return _decompressed(text, MAX_BLOCK_BYTES) if is_compressed else text
    return b""


def _is_xmp(chunk: _Chunk) -> bool:
    return chunk.kind == b"iTXt" and chunk.content.startswith(_XMP_KEYWORD + b"\0")


def _packet_of(data: bytes, warnings: list[str]) -> bytes:
    """Return the XMP packet; empty if it is damaged or far too long."""
    try:
        packet = xmp_of(data)
    except zlib.error as error:
        warnings.append(f"damaged XMP was dropped: {error}")
        return b""
    if len(packet) > _MAX_TEXT_BYTES:
        warnings.append(f"XMP was dropped: it has more than {_MAX_TEXT_BYTES:,} bytes")
        return b""
    return packet


def _kept_chunks(data: bytes, warnings: list[str]) -> tuple[tuple[bytes, bytes], ...]:
    """Return type and content of the text and time chunks, without XMP and those that readers would stumble over."""
    kept, room = [], _MAX_TEXT_BYTES
    for chunk in _chunks(data):
        if chunk.problem or chunk.kind not in _TEXTS | {b"tIME"} or _is_xmp(chunk):
            continue
        keyword = chunk.content.split(b"\0", 1)[0].decode("latin-1")
        try:
            kind, content, size = _readable(chunk, room)
        except (ValueError, zlib.error) as error:
            warnings.append(f"a damaged text, {keyword!r}, was dropped: {error}")
            continue
        if size > room:
            warnings.append(f"a text, {keyword!r}, was dropped: with it, there are more than {_MAX_TEXT_BYTES:,} bytes")
            continue
        kept.append((kind, content))
        room -= size
    return tuple(kept)


def _readable(chunk: _Chunk, room: int) -> tuple[bytes, bytes, int]:
    """Return type, content and decompressed size of a chunk, not compressed if it is long; up to ``room`` matters.

    Raises:
        ValueError, zlib.error: it cannot be decompressed.

    """
    kind, content = chunk.kind, chunk.content
    keyword, _, rest = content.partition(b"\0")
    is_compressed, packed = (kind == b"zTXt" and bool(rest), rest[1:])
    if kind == b"iTXt":
        is_compressed, packed = _international_text(content)
    if not is_compressed:
        return kind, content, len(content)
    if (rest[:1] if kind == b"zTXt" else rest[1:2]) != b"\0":
        raise ValueError("its compression method is unknown")
    text = _decompressed(packed, room + 1)
    if len(text) <= _MAX_PACKED_BYTES:
        return kind, content, len(text)
    if kind == b"zTXt":
        return b"tEXt", keyword + b"\0" + text, len(text)
    return kind, keyword + b"\0\0\0" + content[len(keyword) + 3 : -len(packed)] + text, len(text)


def _international_text(content: bytes) -> tuple[bool, bytes]:
    """Return whether the text of an iTXt chunk is compressed, and that text (section 11.3.3.4)."""
    after = content.partition(b"\0")[2]
    return after[:1] == b"\1", after[2:].split(b"\0", 2)[-1]


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
        profile = _decompressed(contents[-1].partition(b"\0")[2][1:], MAX_BLOCK_BYTES)
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


def _decompressed(data: bytes, limit: int) -> bytes:
    return zlib.decompressobj().decompress(data, limit)


def decode_deep(data: bytes) -> tuple[Pixels, Pixels | None]:
    """Return 16-bit pixels, grey or RGB, and alpha.

    Raises:
        UnreadablePictureError: damaged or truncated.

    """
    try:
        image = imagecodecs.png_decode(without_metadata(data))
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
