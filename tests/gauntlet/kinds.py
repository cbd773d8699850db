"""Tiny pictures of every kind that docs/pictures.md names, and broken ones, by Pillow, tifffile and imagecodecs."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import psd_files
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps
from psd_files import layers_of, psd
from raw_files import dng, mosaic_of

Levels = NDArray[Any]
SIDE = 40
ARITHMETIC = (  # a slope of 8 x 8 pixels, by: cjpeg -arithmetic -grayscale
    "ffd8ffe000104a46494600010100000100010000ffdb004300080606070605080707070909080a0c140d0c0b0b0c1912130f141d1a1f1e1d"
    "1a1c1c20242e2720222c231c1c2837292c30313434341f27393d38323c2e333432ffc9000b080008000801011100ffcc000600101005ffda"
    "0008010100003f0074cb0eca01eeffd9"
)


def levels(top: int = 255, kind: type[np.generic] = np.uint8) -> Levels:
    slope = np.add.outer(np.linspace(0.1, 0.5, SIDE), np.linspace(0, 0.4, SIDE + 8))
    return (slope * top).astype(kind)


def saved(image: Image.Image, picture_format: str, **arguments: Any) -> bytes:  # noqa: ANN401 (Pillow's)
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **arguments)
    return buffer.getvalue()


def tiff(*pages: Levels, **arguments: Any) -> bytes:  # noqa: ANN401 (tifffile's)
    buffer = io.BytesIO()
    how = {"photometric": "minisblack", "metadata": None, **arguments}
    big = how.pop("bigtiff", False)
    with tifffile.TiffWriter(buffer, bigtiff=big, byteorder=how.pop("byteorder", "<")) as writer:
        for page in pages:
            writer.write(page, **how)
    return buffer.getvalue()


@cache
def whole() -> Mapping[str, bytes]:
    """Return the files of every kind, by their names."""
    grey, deep = Image.fromarray(levels()), levels(65535, np.uint16)
    rgb, sepia = grey.convert("RGB"), ImageOps.colorize(grey, "black", "#ffe8c0").convert("RGB")
    three, alpha = np.dstack([deep] * 3), np.full_like(deep, 40_000)
    heif = io.BytesIO()
    pillow_heif.from_pillow(rgb).save(heif, quality=95)
    second = saved(grey.rotate(180), "JPEG")
    found: dict[str, bytes] = {
        "grey.jpg": saved(grey, "JPEG", quality=90),
        "toned.jpg": saved(sepia, "JPEG", quality=95),
        "colour.jpg": saved(rgb, "JPEG", subsampling=0),
        "rgb.jpg": saved(rgb, "JPEG", keep_rgb=True),
        "cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG"),
        "progressive.jpg": saved(grey, "JPEG", progressive=True),
        "arithmetic.jpg": bytes.fromhex(ARITHMETIC),
        "turned.jpg": saved(grey, "JPEG", exif=_turned()),
        "after.jpg": saved(grey, "JPEG") + second,
        "two.mpo": saved(grey, "MPO", save_all=True, append_images=[grey.rotate(180)]),
        "grey.png": saved(grey, "PNG"),
        "1.png": saved(grey.convert("1"), "PNG"),
        "2.png": saved(grey.quantize(4), "PNG", bits=2),
        "4.png": saved(grey.quantize(16), "PNG", bits=4),
        "palette.png": saved(rgb.convert("P"), "PNG"),
        "transparent.png": saved(grey, "PNG", transparency=7),
        "alpha.png": saved(grey.convert("LA"), "PNG"),
        "rgba.png": saved(rgb.convert("RGBA"), "PNG"),
        "16.png": _coded(imagecodecs.png_encode, deep),
        "16rgb.png": _coded(imagecodecs.png_encode, three),
        "16alpha.png": _coded(imagecodecs.png_encode, np.dstack([deep, alpha])),
        "grey.tif": tiff(levels()),
        "pages.tif": tiff(levels(), deep, levels()[:20]),
        "1.tif": saved(grey.convert("1"), "TIFF"),
        "16.tif": tiff(deep),
        "16rgb.tif": tiff(three, photometric="rgb"),
        "16alpha.tif": tiff(np.dstack([three, alpha]), photometric="rgb", extrasamples=["unassalpha"]),
        "32.tif": tiff(levels(2**32 - 1, np.uint32)),
        "signed.tif": tiff(levels(30_000, np.int16)),
        "float.tif": tiff(levels(1, np.float32)),
        "double.tif": tiff(levels(1, np.float64) * 5 - 2),
        "tiled.tif": tiff(levels(), tile=(16, 16)),
        "planar.tif": tiff(np.stack([levels()] * 3), photometric="rgb", planarconfig="separate"),
        "big-endian.tif": tiff(deep, byteorder=">"),
        "bigtiff.tif": tiff(levels(), bigtiff=True),
        "big-endian-bigtiff.tif": tiff(levels(), bigtiff=True, byteorder=">"),
        "infrared-channel.tif": tiff(np.dstack([three, deep[::-1]]), photometric="rgb", extrasamples=[0]),
        "mask.tif": _tiff_with_a_mask(),
        "cmyk.tif": saved(rgb.convert("CMYK"), "TIFF"),
        "palette.tif": saved(rgb.convert("P"), "TIFF"),
        "white-is-0.tif": tiff(levels(), photometric="miniswhite"),
        "group3.tif": saved(grey.convert("1"), "TIFF", compression="group3"),
        "group4.tif": saved(grey.convert("1"), "TIFF", compression="group4"),
        "jpeg.tif": saved(grey, "TIFF", compression="jpeg"),
        "grey.webp": saved(rgb, "WEBP", lossless=True),
        "lossy.webp": saved(rgb, "WEBP", quality=60),
        "grey.jp2": saved(grey, "JPEG2000"),
        "16.jp2": _coded(imagecodecs.jpeg2k_encode, deep, codecformat="jp2"),
        "stream.j2k": saved(grey, "JPEG2000", no_jp2=True),
        "grey.gif": saved(grey, "GIF"),
        "grey.bmp": saved(grey, "BMP"),
        "grey.pgm": saved(grey, "PPM"),
        "grey.pbm": saved(grey.convert("1"), "PPM"),
        "16.pgm": f"P5 {SIDE + 8} {SIDE} 65535\n".encode() + deep.astype(">u2").tobytes(),
        "grey.avif": saved(rgb, "AVIF", quality=100),
        "grey.heic": heif.getvalue(),
        "camera.dng": dng(mosaic_of(np.dstack([levels(1, np.float64)] * 3))),
        "grey.psd": psd([levels()], psd_files.GREY),
        "png.jpg": saved(grey, "PNG"),
    }
    in_rgb = {"photometric": "rgb", "compression": "webp"}
    compressions = ("lzw", "deflate", "adobe_deflate", "packbits", "lzma", "zstd", "lerc")
    return {
        **found,
        **{f"{each}.tif": tiff(levels(), compression=each) for each in compressions},
        "webp.tif": tiff(np.dstack([levels()] * 3), **in_rgb),
    }


def _with_a_lost_sector() -> bytes:
    noise = np.random.default_rng(0).integers(60, 190, (200, 300), dtype=np.uint8)
    data = saved(Image.fromarray(noise), "JPEG", quality=90)
    return data[:4096] + bytes(4096) + data[8192:]


def _coded(code: Callable[..., bytes | bytearray], samples: Levels, **arguments: str) -> bytes:
    return bytes(code(samples, **arguments))


def _tiff_with_a_mask() -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(levels(), metadata=None)
        writer.write(levels() > 90, photometric="minisblack", subfiletype=4, metadata=None)
    return buffer.getvalue()


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@cache
def refused() -> Mapping[str, bytes]:
    """Return files of kinds that are refused with a reason."""
    grey, deep = Image.fromarray(levels()), levels(65535, np.uint16)
    frames = [grey.rotate(angle) for angle in (90, 180)]
    colour16 = np.dstack([deep] * 3).astype(">u2").tobytes()
    return {
        "moving.gif": saved(grey, "GIF", save_all=True, append_images=frames),
        "moving.png": saved(grey, "PNG", save_all=True, append_images=frames),
        "moving.webp": saved(grey, "WEBP", save_all=True, append_images=frames),
        "deep.ppm": f"P6 {SIDE + 8} {SIDE} 65535\n".encode() + colour16,
        "complex.tif": tiff(levels(1, np.float64).astype(np.complex64)),
        "nan.tif": tiff(np.full((8, 8), np.nan, np.float32)),
        "volume.tif": tiff(np.stack([levels()] * 3), volumetric=True),
        "flat.tif": _without_pixels("ImageLength"),
        "thin.tif": _without_pixels("ImageWidth"),
        "xr.tif": tiff(levels(), compression="jpegxr"),
        "lost-sector.jpg": _with_a_lost_sector(),
        "layers.psd": psd([np.full_like(levels(), 255)] * 3, psd_files.RGB, layers=layers_of(2)),
        "five.tif": tiff(np.dstack([levels()] * 5), extrasamples=[0] * 4),
    }


@cache
def bombs(*names: str) -> Mapping[str, bytes]:
    """Return small files that unfold to more memory than there is: all, or those of these names."""
    small = levels()
    makers: dict[str, Callable[[], bytes]] = {
        "pixels.png": lambda: _png(60_000, 60_000, 8, 0, 2**20),
        "honest.png": lambda: _png(12_000, 12_000, 8, 0, 12_001 * 12_000),
        "wide.png": lambda: _png(2**31 - 1, 1, 8, 0, 2**20),
        "deep.png": lambda: _png(22_000, 22_000, 16, 6, 2**20),
        "text.png": lambda: _with_chunk(b"zTXt", b"Comment\0\0" + _unfolding()),
        "profile.png": lambda: _with_chunk(b"iCCP", b"x\0\0" + _unfolding()),
        "xmp.png": lambda: _with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + _unfolding()),
        "entities.png": lambda: _with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _laughs()),
        "later-frame.tif": _tiff_with_a_huge_page,
        "endless.tif": _tiff_that_leads_to_itself,
        "no-height.tif": _tiff_of_no_height,
        "pixels.psd": lambda: _psd(60_000, 60_000),
        "sensor.dng": lambda: with_tag(
            with_tag(dng(mosaic_of(np.zeros((SIDE, SIDE, 3)))), "ImageWidth", 60_000), "ImageLength", 60_000
        ),
        "one-strip.tif": lambda: with_tag(with_tag(tiff(small), "RowsPerStrip", SIDE), "ImageLength", 2_000_000),
        "channels.tif": lambda: with_tag(
            tiff(np.zeros((1000, 1000), np.uint16), compression="lzw"), "SamplesPerPixel", 600
        ),
        "tile.tif": lambda: with_tag(
            tiff(np.zeros((64, 64), np.uint16), tile=(64, 64), compression="zstd"), "TileWidth", 10**7
        ),
        "lerc.tif": lambda: with_strip(tiff(small, compression="lerc"), _coded(imagecodecs.lerc_encode, _plane(5_000))),
        "webp.tif": lambda: with_strip(
            tiff(np.dstack([small] * 3), photometric="rgb", compression="webp"), _webp_of(16_383, 16_383)
        ),
        "jpegxr.tif": lambda: with_strip(tiff(small, compression="jpegxr"), _jpegxr_of(15_000, 15_000)),
        "strips.tif": lambda: tiff(np.zeros((12_000, 12_000), np.uint8), compression="deflate", rowsperstrip=12_000),
        "pages.tif": lambda: tiff(*[np.zeros((1000, 1000), np.uint8)] * 100, compression="deflate"),
        "pixels.gif": lambda: b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0" + bytes(6) + _gif_frame(65535),
        "later-frame.gif": lambda: saved(Image.fromarray(small), "GIF")[:-1] + _gif_frame(65535) + b";",
        "pixels.jpg": lambda: _jpeg_of(65_500, 65_500),
        "pixels.webp": lambda: _webp_of(16_383, 16_383),
        "pixels.bmp": lambda: (
            b"BM" + struct.pack("<IHHIIiiHHIIiiII", 10**6, 0, 0, 54, 40, *[40_000] * 2, 1, 24, *[0] * 6)
        ),
        "pixels.pgm": lambda: b"P5 90000 90000 255\n" + bytes(1000),
        "pixels.jp2": lambda: _jp2_of(60_000, 60_000),
    }
    return {name: make() for name, make in makers.items() if not names or name in names}


@cache
def _unfolding() -> bytes:
    return zlib.compress(bytes(250 * 2**20), 1)


def _png(width: int, height: int, depth: int, kind: int, unfolded: int) -> bytes:
    header = struct.pack(">2I5B", width, height, depth, kind, 0, 0, 0)
    packer, data = zlib.compressobj(9), b""
    for _ in range(unfolded // 2**20 + 1):
        data += packer.compress(bytes(min(2**20, unfolded)))
    return _PNG + _chunk(b"IHDR", header) + _chunk(b"IDAT", data + packer.flush()) + _chunk(b"IEND", b"")


_PNG = b"\x89PNG\r\n\x1a\n"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _with_chunk(kind: bytes, data: bytes) -> bytes:
    plain = saved(Image.fromarray(levels()), "PNG")
    return plain[:33] + _chunk(kind, data) + plain[33:]


def _laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    content = '<x:xmpmeta xmlns:x="adobe:ns:meta/">&l11;</x:xmpmeta>'
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{entities}]>{content}'.encode()


def _tiff_with_a_huge_page() -> bytes:
    data = bytearray(tiff(levels(), levels()))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tag = file.pages[1].tags[name]
            struct.pack_into("<I" if tag.dtype == 4 else "<H", data, tag.valueoffset, 22_000)
    return bytes(data)


def _psd(width: int, height: int) -> bytes:
    data = bytearray(psd([levels()], psd_files.GREY))
    struct.pack_into(">II", data, 14, height, width)
    return bytes(data)


def with_tag(data: bytes, name: str, value: int) -> bytes:
    """Return a TIFF with another value in a tag of its first page."""
    changed = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages[0].tags[name]
        assert tag.dtype == 4 or value < 2**16
        struct.pack_into("<I" if tag.dtype == 4 else "<H", changed, tag.valueoffset, value)
    return bytes(changed)


def with_strip(data: bytes, strip: bytes) -> bytes:
    """Return a TIFF whose first page has this strip."""
    return with_tag(with_tag(data, "StripOffsets", len(data)), "StripByteCounts", len(strip)) + strip


def _tiff_of_no_height() -> bytes:
    """Return a TIFF whose height is the first of five values elsewhere, or none: the fuzz target found it."""
    data = bytearray(tiff(levels() > 90))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        struct.pack_into("<II", data, file.pages[0].tags["ImageLength"].offset + 4, 5, 0)
    return bytes(data)


def _without_pixels(tag: str) -> bytes:
    """Return a TIFF whose page says no height, or no width: a crash that the fuzz target found."""
    data = bytearray(tiff(np.dstack([levels()] * 3), photometric="rgb", compression="webp"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        struct.pack_into("<H", data, file.pages[0].tags[tag].offset, 253)  # the number of no tag
    return bytes(data)


def _tiff_that_leads_to_itself() -> bytes:
    data = bytearray(tiff(levels(), levels()))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        first, second = (page.offset for page in file.pages)
    count = struct.unpack_from("<H", data, second)[0]
    struct.pack_into("<I", data, second + 2 + 12 * count, first)
    return bytes(data)


def _gif_frame(side: int) -> bytes:
    return b"\x2c" + struct.pack("<4H", 0, 0, side, side) + b"\0\x02\x02\x4c\x01\0"


def _jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(saved(Image.fromarray(levels()), "JPEG"))
    start = data.index(b"\xff\xc0") + 5
    struct.pack_into(">2H", data, start, height, width)
    return bytes(data)


def _webp_of(width: int, height: int) -> bytes:
    data = bytearray(saved(Image.new("L", (8, 8)), "WEBP", lossless=True))
    struct.pack_into("<I", data, data.index(b"VP8L") + 9, (width - 1) | (height - 1) << 14)
    return bytes(data)


def _jpegxr_of(width: int, height: int) -> bytes:
    data = bytearray(imagecodecs.jpegxr_encode(levels()))
    (directory,) = struct.unpack_from("<I", data, 4)
    for entry in range(directory + 2, directory + 2 + 12 * 8, 12):
        (tag,) = struct.unpack_from("<H", data, entry)
        if tag in (0xBC80, 0xBC81):
            struct.pack_into("<I", data, entry + 8, width if tag == 0xBC80 else height)
    struct.pack_into(">HH", data, data.index(b"WMPHOTO") + 12, width - 1, height - 1)
    return bytes(data)


def _plane(side: int) -> Levels:
    return np.zeros((side, side), np.uint8)


def _jp2_of(width: int, height: int) -> bytes:
    data = bytearray(saved(Image.fromarray(levels()), "JPEG2000"))
    struct.pack_into(">2I", data, data.index(b"ihdr") + 4, height, width)
    size = data.index(b"\xff\x51") + 6
    for offset in (0, 16):
        struct.pack_into(">2I", data, size + offset, width, height)
    return bytes(data)


def cuts(sources: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield files cut short at 1 to 99 per cent: their names, and what is left of them."""
    for name, data in sources.items():
        for percent in range(1, 100):
            yield f"{percent:02}-{name}", data[: len(data) * percent // 100]


def flips(sources: Mapping[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield files of which a few bytes were changed."""
    random = np.random.default_rng(seed)
    names = sorted(sources)
    for number in range(count):
        name = names[number % len(names)]
        data = bytearray(sources[name])
        for position in random.integers(0, len(data), random.integers(1, 6)):
            data[position] ^= int(random.integers(1, 256))
        yield f"{number:03}-{name}", bytes(data)
