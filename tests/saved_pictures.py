"""Pictures in memory of every kind."""

import io
import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, TiffTags

from colorbatch.formats import decode, encode

Levels = NDArray[np.uint8]
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><!-- Gro\xc3\x9fmutter --></x:xmpmeta>"
IIM = b"\x1c\x02\x78\x00\x05Eyrie"  # IPTC-IIM 4.2: record 2, data set 120 (caption)
RESOURCES = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IIM)) + IIM  # Adobe's image resource 0x0404


def saved(image: Image.Image, picture_format: str, **arguments: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **arguments)
    return buffer.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    right = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", right if checksum is None else checksum)


def coloured(data: bytes) -> bytes:
    """Return the output of a file, its frames in RGB."""
    picture = decode(data)
    frames = [
        replace(frame, pixels=np.dstack([frame.pixels] * 3) if frame.pixels.ndim == 2 else frame.pixels)
        for frame in picture.frames
    ]
    return encode(replace(picture, frames=tuple(frames)))


def tiff_with_everything(ramp: Levels, byte_order: str) -> bytes:
    """Return a TIFF with EXIF, GPS and interoperability directories, XMP, IPTC and texts, as Pillow writes it."""
    image = Image.fromarray(ramp if byte_order == "<" else ramp.astype(">u2"))
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[315] = "Grandmother, 1931", "Photographer"
    for code, block in ((700, XMP), (33723, IIM), (34377, RESOURCES)):
        tags.tagtype[code] = TiffTags.BYTE
        tags[code] = block
    tags[34665] = {36867: "1931:05:01 12:00:00", 37500: b"maker note" * 3, 33437: (28, 10), 40965: {1: "R98"}}
    tags[34853] = {2: (50.0, 5.0, 11.25)}
    for code in (34665, 34853):
        tags.tagtype[code] = TiffTags.LONG
    data = saved(image, "TIFF", tiffinfo=tags)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert file.byteorder == byte_order
    return data


def tiff_of(image: Image.Image, **arguments: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    planes = np.asarray(image)
    if arguments.get("planarconfig") == "separate":
        planes = np.moveaxis(planes, -1, 0)
    tifffile.imwrite(buffer, planes, **arguments)
    return buffer.getvalue()


def interlaced(image: Image.Image) -> bytes:
    """Return an 8-bit grey PNG in the seven passes of Adam7 (PNG specification, section 8.2)."""
    levels = np.asarray(image)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = (row for top, left, down, across in passes for row in levels[top::down, left::across])
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">2I5B", image.width, image.height, 8, 0, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


ARITHMETIC = (  # a slope of 8 x 8 pixels, by: cjpeg -arithmetic -grayscale
    "ffd8ffe000104a46494600010100000100010000ffdb004300080606070605080707070909080a0c140d0c0b0b0c1912130f141d1a1f1e1d"
    "1a1c1c20242e2720222c231c1c2837292c30313434341f27393d38323c2e333432ffc9000b080008000801011100ffcc000600101005ffda"
    "0008010100003f0074cb0eca01eeffd9"
)
CMYK = Image.new("CMYK", (16, 16), (0, 255, 255, 0))


TURNED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF>'
    b"</x:xmpmeta>"
)
