"""The composites of PSD and PSB files; what is expected is what was stored, or what Pillow reads."""

import io
import struct
import tracemalloc
from collections.abc import Mapping

import numpy as np
import psd_files
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms
from psd_files import layers_of, psd

from colorbatch.errors import PictureError, UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats import decode, decoded_bytes, encode
from colorbatch.formats.kinds import output_extension, sniff

GREY = (np.add.outer(np.arange(21) * 3, np.arange(37) * 4) % 256).astype(np.uint8)
RGB = [np.roll(GREY, 7 * shift) for shift in range(3)]
DEEP = [(channel * 257.0 - 3 * (channel > 0)).astype(np.uint16) for channel in RGB]
VERSION_INFO, PROFILE, TRANSPARENT_INDEX = 1057, 1039, 1047
DROPPED = "the layers of Photoshop were dropped"
MATTE = 255


def pixels_of(data: bytes) -> NDArray[np.unsignedinteger]:
    return decode(data).first.pixels


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("compression", range(4))
@pytest.mark.parametrize("bits", [8, 16])
def test_levels_are_those_stored(bits: int, compression: int, *, is_big: bool) -> None:
    channels = RGB if bits == 8 else DEEP
    how = {"bits": bits, "compression": compression, "is_big": is_big}
    colour = psd(channels, psd_files.RGB, **how)  # type: ignore[arg-type]
    grey = psd(channels[:1], psd_files.GREY, **how)  # type: ignore[arg-type]
    picture = decode(colour)
    assert (picture.format, picture.warnings) == ("TIFF", ())
    np.testing.assert_array_equal(picture.first.pixels, np.dstack(channels))
    np.testing.assert_array_equal(pixels_of(grey), channels[0])
    assert pixels_of(grey).dtype == channels[0].dtype
    assert decoded_bytes(colour) == GREY.size * 3 * bits // 8


@pytest.mark.parametrize("compression", [0, 1])
@pytest.mark.parametrize(
    ("mode", "channels", "target"),
    [
        (psd_files.GREY, 1, "L"),
        (psd_files.DUOTONE, 1, "L"),
        (psd_files.RGB, 3, "RGB"),
        (psd_files.CMYK, 4, "RGB"),
        (psd_files.INDEXED, 1, "RGB"),
    ],
)
def test_pillow_reads_the_same(mode: int, channels: int, target: str, compression: int) -> None:
    stored = [np.roll(GREY, 7 * shift) for shift in range(channels)]
    palette = np.arange(768, dtype=np.uint16).astype(np.uint8).tobytes() if mode == psd_files.INDEXED else b""
    data = psd(stored, mode, compression=compression, palette=palette)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(pixels_of(data), np.asarray(image.convert(target)))


@pytest.mark.parametrize("compression", range(3))
def test_ones_of_a_bitmap_are_black(compression: int) -> None:
    """As GIMP and psd-tools read it; Pillow takes them for white."""
    bits = GREY > 99
    data = psd([bits], psd_files.BITMAP, bits=1, compression=compression)
    np.testing.assert_array_equal(pixels_of(data), np.where(bits, 0, 255))


def test_a_transparent_colour_of_a_palette() -> None:
    frame = decode(
        psd([GREY], psd_files.INDEXED, palette=bytes(range(256)) * 3, resources={TRANSPARENT_INDEX: b"\0\x04"})
    ).first
    assert frame.alpha is not None
    np.testing.assert_array_equal(frame.alpha, np.where(GREY == 4, 0, 255))


LAB_OF_SRGB = {
    (255, 0, 0): (54.29, 80.81, 69.89),
    (0, 128, 0): (46.28, -47.55, 48.59),
    (128, 128, 128): (53.59, 0, 0),
    (255, 255, 255): (100, 0, 0),
}
"""Lab relative to D50 (www.brucelindbloom.com, CIE Color Calculator, sRGB adapted by Bradford)."""


@pytest.mark.parametrize("bits", [8, 16])
def test_lab(bits: int) -> None:
    lab = np.array(list(LAB_OF_SRGB.values()))
    shares = np.column_stack([lab[:, 0] / 100, (lab[:, 1:] + 128) / 255])
    top = 2**bits - 1
    stored = np.round(shares * top).astype(np.uint8 if bits == 8 else np.uint16)
    found = pixels_of(psd([stored[None, :, channel] for channel in range(3)], psd_files.LAB, bits=bits))[0]
    tolerance = 3 if bits == 8 else 1.5 * 257
    np.testing.assert_allclose(found.astype(float), np.array(list(LAB_OF_SRGB)) * (top / 255), atol=tolerance)


@pytest.mark.parametrize(
    "layers",
    [
        layers_of(-2),
        layers_of(0, blocks=[(b"Lr16", struct.pack(">h", -2) + bytes(3)), (b"Patt", b"")]),
        layers_of(2, blocks=[(b"Mt16", b"")]),
    ],
)
def test_a_transparent_composite_gets_back_its_colours(layers: bytes) -> None:
    """It is stored as it looks on white."""
    alpha = np.full_like(GREY, 51)
    alpha[:, 9:] = 255
    on_white = [np.round(MATTE + (channel.astype(float) - MATTE) * alpha / 255).astype(np.uint8) for channel in RGB]
    picture = decode(psd([*on_white, alpha], psd_files.RGB, layers=layers))
    frame = picture.first
    assert frame.alpha is not None
    np.testing.assert_array_equal(frame.alpha, alpha)
    assert np.abs(frame.pixels.astype(int) - np.dstack(RGB)).max() <= 3  # 255 / 51 levels of rounding, halved
    np.testing.assert_array_equal(frame.pixels[:, 9:], np.dstack(RGB)[:, 9:])
    assert picture.warnings == (DROPPED,)


def test_a_transparent_composite_in_cmyk() -> None:
    """White is no ink, stored as 255: of half an ink that is seen through by half, a quarter is stored."""
    ink = np.full_like(GREY, 255 - 64)
    none, half = np.full_like(GREY, 255), np.full_like(GREY, 128)
    ink[0] = 255
    frame = decode(psd([none, none, none, ink, half], psd_files.CMYK, layers=layers_of(-1))).first
    assert frame.alpha is not None
    assert np.abs(frame.pixels[1:].astype(int) - (255 - 128)).max() <= 2
    assert (frame.pixels[0] == 255).all()


def test_layers_of_a_psb() -> None:
    alpha = np.full_like(GREY, 255)
    layers = layers_of(0, is_big=True, blocks=[(b"Lr16", struct.pack(">h", -1) + bytes(2))])
    picture = decode(psd([GREY, alpha], psd_files.GREY, is_big=True, layers=layers))
    assert picture.first.alpha is not None
    assert picture.warnings == (DROPPED,)


def test_a_selection_is_a_channel_without_a_stated_meaning() -> None:
    """As in the TIFF that Photoshop writes."""
    frame = decode(psd([*RGB, GREY[::-1]], psd_files.RGB)).first
    assert frame.alpha is None
    np.testing.assert_array_equal(frame.unnamed, GREY[::-1])
    more = decode(psd([*RGB, GREY, GREY], psd_files.RGB))
    assert more.first.unnamed is None
    assert more.warnings == ("2 further channels, such as selections and spot colours, were dropped",)
    both = decode(psd([*RGB, np.full_like(GREY, 255), GREY, GREY], psd_files.RGB, layers=layers_of(-1)))
    assert both.first.alpha is not None
    assert both.warnings == (DROPPED, "2 further channels, such as selections and spot colours, were dropped")


@pytest.mark.parametrize(
    ("resources", "shown"),
    [({VERSION_INFO: struct.pack(">IB", 1, 0)}, GREY), ({}, np.full_like(GREY, 255))],
    ids=["it says so", "it is white"],
)
def test_without_a_composite_it_is_refused(resources: Mapping[int, bytes], shown: NDArray[np.uint8]) -> None:
    data = psd([shown] * 3, psd_files.RGB, resources=resources, layers=layers_of(3))
    with pytest.raises(UnsupportedPictureError, match="layers alone, no composite") as refused:
        decode(data)
    assert "Maximize compatibility" in refused.value.advice


def test_where_there_are_no_layers_the_picture_is_its_own_composite() -> None:
    data = psd([GREY], psd_files.GREY, resources={VERSION_INFO: struct.pack(">IB", 1, 0)})
    np.testing.assert_array_equal(pixels_of(data), GREY)


def test_a_plain_picture_without_layers_is_one() -> None:
    real = {VERSION_INFO: struct.pack(">IB", 1, 1)}
    assert np.ptp(pixels_of(psd([np.full_like(GREY, 255)] * 3, psd_files.RGB, resources=real))) == 0


def exif_block() -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Scanner"
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2004:01:02 03:04:05"
    exif.get_ifd(0x8769)[0xA001] = 65535
    return exif.tobytes().removeprefix(b"Exif\0\0")


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="album"/></rdf:RDF></x:xmpmeta>'
)
IPTC = b"\x1c\x02\x78\0\x03Ida"


def test_metadata_is_in_the_output() -> None:
    """It is shown as stored, whatever its EXIF says: Photoshop turns pictures when it opens them."""
    resources = {
        1005: struct.pack(">IHHIHH", 600 << 16, 2, 2, (300 << 16) + 2**15, 2, 2),
        1028: IPTC,
        1033: b"a thumbnail",
        1034: b"\1",
        2000: b"a path around a head",
        PROFILE: ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        1058: exif_block(),
        1060: XMP,
    }
    picture = decode(psd([GREY], psd_files.GREY, resources=resources))
    assert picture.first.pixels.shape == GREY.shape
    with tifffile.TiffFile(io.BytesIO(encode(picture))) as file:
        tags = file.pages.first.tags
        assert tags["Make"].value == "Scanner"
        assert tags["ExifTag"].value["DateTimeOriginal"] == "2004:01:02 03:04:05"
        assert tags["ExifTag"].value["ColorSpace"] == 1
        assert tags["XMP"].value == XMP
        assert bytes(tags[33723].value) == IPTC
        paths = psd_files.resource(1034, b"\1") + psd_files.resource(2000, b"a path around a head")
        assert bytes(tags[34377].value) == paths
        assert (tags["XResolution"].value, tags["YResolution"].value) == ((600, 1), (601, 2))
        assert tags["ResolutionUnit"].value == 2
        assert "InterColorProfile" in tags
        assert "Orientation" not in tags
    assert picture.warnings == ()


def test_damaged_metadata_is_a_warning() -> None:
    picture = decode(
        psd([GREY], psd_files.GREY, resources={1058: b"II*\0\xff\xff\xff\xff", PROFILE: b"none", 1005: b"x"})
    )
    np.testing.assert_array_equal(picture.first.pixels, GREY)
    assert [warning.partition(":")[0] for warning in picture.warnings] == [
        "damaged EXIF was dropped",
        "the ICC profile is damaged and was ignored",
    ]


def test_a_profile_is_applied() -> None:
    """Grey levels of gamma 1.0, linear: half the light is 188 of 255 in sRGB."""
    import imagecodecs

    profile = imagecodecs.cms_profile("gray", whitepoint=(0.3127, 0.3290, 1.0), gamma=1.0)
    half = np.full((20, 20), 128, np.uint8)
    half[0] = 0
    levels = pixels_of(psd([half], psd_files.GREY, resources={PROFILE: bytes(profile)}))
    assert abs(int(levels[9, 9].mean()) - 188) <= 1


@pytest.mark.parametrize(
    ("mode", "bits", "channels"),
    [
        (psd_files.MULTICHANNEL, 8, 3),
        (psd_files.RGB, 32, 3),
        (psd_files.GREY, 12, 1),
        (psd_files.GREY, 1, 1),
        (psd_files.BITMAP, 8, 1),
        (42, 8, 1),
    ],
)
def test_what_is_no_photograph_is_refused(mode: int, bits: int, channels: int) -> None:
    with pytest.raises(UnsupportedPictureError, match=f"a PSD of colour mode {mode} with {bits} bits"):
        decode(psd([GREY] * channels, mode, bits=bits, compression=0))


@pytest.mark.parametrize(("mode", "channels"), [(psd_files.RGB, 2), (psd_files.CMYK, 3)])
def test_one_that_lacks_channels_is_refused(mode: int, channels: int) -> None:
    with pytest.raises(UnreadablePictureError, match=f"it has {channels} channels"):
        decode(psd([GREY] * channels, mode))


def test_one_that_is_too_large_is_refused() -> None:
    with pytest.raises(UnsupportedPictureError, match="it has 37 x 21 pixels"):
        decode(psd([GREY], psd_files.GREY), 0.0001)


@pytest.mark.parametrize("compression", range(4))
def test_every_cut_is_refused(compression: int) -> None:
    whole = psd(RGB, psd_files.RGB, compression=compression, resources={1060: XMP}, layers=layers_of(1))
    for end in [*range(60), *range(60, len(whole), 97), len(whole) - 1]:
        with pytest.raises(UnreadablePictureError):
            decode(whole[:end])


@pytest.mark.parametrize("compression", range(4))
def test_a_bomb_takes_no_memory(compression: int) -> None:
    data = bytearray(psd([GREY], psd_files.GREY, compression=compression))
    struct.pack_into(">II", data, 14, 30_000, 30_000)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadablePictureError, match="damaged or truncated"):
            decode(bytes(data), 1000)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compression", range(4))
def test_damage_is_a_failure_or_another_picture_never_more(compression: int) -> None:
    resources = {1058: exif_block(), 1060: XMP, 1028: IPTC}
    whole = psd(
        [*DEEP, DEEP[0]], psd_files.RGB, bits=16, compression=compression, resources=resources, layers=layers_of(-1)
    )
    random = np.random.default_rng(compression)
    for _ in range(60):
        data = bytearray(whole)
        for place in random.integers(0, random.choice([60, 600, len(whole)]), 3):
            data[place] = random.integers(256)
        try:
            assert decode(bytes(data), 1).first.pixels.size
        except PictureError:
            continue


def test_outputs_are_named_as_tiffs() -> None:
    kind = sniff(psd([GREY], psd_files.GREY)[:32])
    assert kind is not None
    assert [output_extension(kind, extension) for extension in (".psd", ".PSB", ".tif")] == [".tif", ".tif", ""]
