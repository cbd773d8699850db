"""Raw files are developed by LibRaw, alike whatever they show; the expected levels are those of IEC 61966-2-1."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import raw_files
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps
from raw_files import dng, monochrome_dng, mosaic_of, srgb

from colorbatch.errors import UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats import decode, decoded_bytes, encode, raw
from colorbatch.formats.kinds import sniff
from colorbatch.formats.raw_metadata import metadata_of_raw
from colorbatch.pixels.own_color import find_own_color
from colorbatch.pixels.picture import Pixels

Light = NDArray[np.floating]
SIDE = 40
LAMP = (0.75, 1.0, 0.33)
"""What a camera records of white under a light bulb: little blue."""
TOLERANCE = 8
"""Of 65,535 levels: white balance and matrix are rounded."""
ORIENTATION = 274


def patches(*colors: tuple[float, float, float]) -> Light:
    """Return light ``[40, 40 * colors, 3]`` of flat patches."""
    return np.concatenate([np.broadcast_to(color, (SIDE, SIDE, 3)) for color in colors], axis=1)


def middles(pixels: Pixels) -> list[NDArray[np.float64]]:
    """Return the level in the middle of each patch."""
    return [pixels[SIDE // 2, x].astype(float) for x in range(SIDE // 2, pixels.shape[1], SIDE)]


def test_a_print_under_a_lamp_is_grey() -> None:
    print_ = patches((0.5,) * 3, (0.2,) * 3, (0.02,) * 3)
    picture = decode(dng(mosaic_of(print_ * LAMP), neutral=LAMP))
    pixels = picture.first.pixels
    assert (picture.format, str(pixels.dtype), pixels.shape) == ("TIFF", "uint16", print_.shape)
    assert picture.warnings == ()
    assert not find_own_color(pixels).is_widespread
    for found, light in zip(middles(pixels), (0.5, 0.2, 0.02), strict=True):
        np.testing.assert_allclose(found, srgb(light), atol=TOLERANCE)


@pytest.mark.parametrize("is_linear", [False, True])
def test_colours_come_out_as_they_were_before_the_lens(*, is_linear: bool) -> None:
    colors = ((0.4, 0.2, 0.1), (0.1, 0.3, 0.2), (0.7, 0.7, 0.7))
    seen = patches(*colors) * LAMP
    sensor = np.round(seen * raw_files.TOP).astype(np.uint16) if is_linear else mosaic_of(seen)
    for found, color in zip(middles(decode(dng(sensor, neutral=LAMP)).first.pixels), colors, strict=True):
        np.testing.assert_allclose(found, srgb(color), atol=5 * TOLERANCE)


@pytest.mark.parametrize("brightest", [0.1, 0.8, 0.97])
def test_brightness_does_not_depend_on_what_a_picture_shows(brightest: float) -> None:
    pixels = decode(dng(mosaic_of(patches((0.05,) * 3, (brightest,) * 3)))).first.pixels
    for found, light in zip(middles(pixels), (0.05, brightest), strict=True):
        np.testing.assert_allclose(found, srgb(light), atol=TOLERANCE)


def test_a_sensor_without_colours_gives_grey() -> None:
    sensor = np.round(patches((0.5,) * 3, (0.1,) * 3)[..., 0] * raw_files.TOP).astype(np.uint16)
    pixels = decode(monochrome_dng(sensor)).first.pixels
    assert pixels.shape == sensor.shape
    for found, light in zip(middles(pixels), (0.5, 0.1), strict=True):
        np.testing.assert_allclose(found, srgb(light), atol=TOLERANCE)


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
def test_it_is_upright(orientation: int) -> None:
    grey = np.add.outer(np.linspace(0.1, 0.5, 40), np.linspace(0, 0.4, 60))
    data = dng(mosaic_of(np.dstack([grey] * 3)), tags=((ORIENTATION, "H", 1, orientation, True),))
    stored = Image.fromarray(np.round(srgb(grey) / 257).astype(np.uint8))
    stored.getexif()[ORIENTATION] = orientation
    upright = np.asarray(ImageOps.exif_transpose(stored))
    frame = decode(data).first
    assert frame.pixels.shape[:2] == upright.shape
    assert np.abs(frame.pixels[2:-2, 2:-2, 1] / 257 - upright[2:-2, 2:-2]).max() < 2
    assert ORIENTATION not in frame.metadata.tiff_tags


READS_AND_CRASHES = """
import os, sys
sys.stdin.buffer.read()
print('{"width": 40, "height": 40, "flip": 0}', flush=True)
print('{"shape": [40, 40, 3]}', "too little", flush=True, sep="\\n")
os.abort()
"""


def with_preview(sensor: NDArray[np.uint16], **tags: object) -> bytes:
    """Return a DNG whose page is a preview, as cameras write it; tags are those of the preview."""
    whole = tifffile.TiffFile(io.BytesIO(dng(sensor))).pages.first
    of_sensor = [
        (tag.code, int(tag.dtype), tag.count, tag.value, True) for tag in whole.tags.values() if tag.code > 33420
    ]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        preview = np.zeros((8, 12, 3), np.uint8)
        version = [each for each in of_sensor if each[0] in (50706, 50707, 50708)]
        writer.write(
            preview, photometric="rgb", subfiletype=1, subifds=1, metadata=None, extratags=[*version, *tags.values()]
        )
        writer.write(sensor, photometric="cfa", metadata=None, extratags=of_sensor)
    return buffer.getvalue()


def test_the_sensor_is_developed_not_the_preview() -> None:
    sensor = mosaic_of(patches((0.5,) * 3))
    data = with_preview(sensor)
    frame = decode(data).first
    assert frame.pixels.shape == (SIDE, SIDE, 3)
    assert decoded_bytes(data) == SIDE * SIDE * 3 * 2


def test_metadata_is_kept_but_not_what_makes_it_a_raw_file() -> None:
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="album"/></rdf:RDF></x:xmpmeta>'
    )
    tags = (
        (270, "s", 0, "Ida, about 1931", True),
        (33432, "s", 0, "Archive", True),
        (700, "B", len(xmp), xmp, True),
        (50740, "B", 8, b"of Adobe", True),
    )
    picture = decode(dng(mosaic_of(patches((0.5,) * 3)), tags=tags))
    output = encode(picture)
    page = tifffile.TiffFile(io.BytesIO(output)).pages.first
    assert page.tags["ImageDescription"].value == "Ida, about 1931"
    assert page.tags["Copyright"].value == "Archive"
    assert page.tags["XMP"].value == xmp
    assert "InterColorProfile" in page.tags
    assert not [tag.code for tag in page.tags.values() if tag.code >= 50706 or tag.code in (33421, 33422)]
    assert np.array_equal(decode(output).first.pixels, picture.first.pixels)


def exif_of_camera() -> Image.Exif:
    exif = Image.Exif()
    exif.endian = "<"
    exif[271] = "Maker"
    inner = exif.get_ifd(34665)
    inner[36867] = "2024:05:01 10:00:00"
    inner[37500] = b"note of the maker"
    inner[40961] = 65535
    inner[40962] = 6000
    return exif


@pytest.mark.parametrize("start", [b"II*\0", b"IIRO", b"IIU\0"])
def test_exif_of_what_is_like_a_tiff(start: bytes) -> None:
    """ORF and RW2 differ from it in their first bytes alone."""
    block = exif_of_camera().tobytes().removeprefix(b"Exif\0\0")
    assert block[:2] == b"II"
    warnings: list[str] = []
    metadata = metadata_of_raw(start + block[4:], warnings)
    assert metadata.tiff_tags == {271: (2, 6, b"Maker\0")}
    exif = metadata.tiff_directories[34665]
    assert exif[36867][2] == b"2024:05:01 10:00:00\0"
    assert exif[40961] == (3, 1, b"\1\0")
    assert exif.keys() == {36867, 40961}
    assert warnings == []


def test_of_other_kinds_no_exif_is_read() -> None:
    warnings: list[str] = []
    metadata_of_raw(b"FUJIFILMCCD-RAW 0201", warnings)
    assert warnings == ["EXIF and XMP of this kind of raw file are not read, and were dropped"]


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\x18ftypcrx \0\0\0\1",
        b"FUJIFILMCCD-RAW 0201FF129502",
        b"IIRO\x08\0\0\0",
        b"MMOR\0\0\0\x08",
        b"IIU\0\x18\0\0\0",
        b"FOVb\0\0\2\0",
        b"\0MRM\0\0\0\0",
        b"II\x1a\0\0\0HEAPCCDR",
    ],
)
def test_raw_files_that_are_no_tiff_are_recognised(head: bytes) -> None:
    """By the first bytes that LibRaw and the ``magic`` of file(1) know."""
    kind = sniff(head.ljust(32, b"\0"))
    assert kind is not None
    assert (kind.name, kind.written_as) == ("RAW", "TIFF")
    with pytest.raises((UnreadablePictureError, UnsupportedPictureError)):
        decode(head.ljust(4000, b"\0"))
    assert decoded_bytes(head.ljust(4000, b"\0")) == 0


def test_one_that_is_too_large_is_refused_before_it_is_decoded() -> None:
    data = dng(mosaic_of(patches((0.5,) * 3)))
    with pytest.raises(UnsupportedPictureError, match=r"it has 40 x 40 pixels, .* --max-megapixels is 0.001"):
        decode(data, 0.001)


@pytest.mark.parametrize("salvage", [False, True])
def test_a_truncated_one_is_refused(*, salvage: bool) -> None:
    data = dng(mosaic_of(patches((0.5,) * 3)))
    with pytest.raises(UnreadablePictureError, match="damaged or truncated"):
        decode(data[:-100], salvage=salvage)


@pytest.mark.parametrize("side", [40, 600], ids=["read at once", "more than a pipe holds"])
@pytest.mark.parametrize("code", ["import os; os.abort()", "raise SystemExit(3)", READS_AND_CRASHES])
def test_a_crash_of_the_decoder_fails_its_picture(
    code: str, side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.py"
    script.write_text(code)
    monkeypatch.setattr(raw, "_SCRIPT", script)
    data = dng(mosaic_of(np.full((side, side, 3), 0.5)))
    with pytest.raises(UnreadablePictureError, match=r"LibRaw crashed, or took too long"):
        decode(data)


def test_a_decoder_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.py"
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(raw, "_SCRIPT", script)
    monkeypatch.setattr(raw, "_SECONDS", 0.2)
    with pytest.raises(UnreadablePictureError, match="LibRaw crashed, or took too long"):
        decode(dng(mosaic_of(patches((0.5,) * 3))))


def test_a_package_that_does_not_import_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rawpy.py").write_text("raise ValueError('numpy.dtype size changed')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnsupportedPictureError, match=r"rawpy does not import: numpy.dtype size changed") as refused:
        decode(dng(mosaic_of(patches((0.5,) * 3))))
    assert refused.value.advice == "Install it again with: pip install --force-reinstall 'colorbatch[raw]'"


def test_without_its_extra_it_fails_with_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(UnsupportedPictureError, match=r"raw file of a camera .* rawpy is not installed") as refused:
        decode(dng(mosaic_of(patches((0.5,) * 3))))
    assert refused.value.advice == (
        "Install it with: pip install 'colorbatch[raw]'. Or develop it in a raw converter, and colour the result."
    )


@pytest.mark.slow
def test_damage_is_a_failure_or_another_picture_never_more() -> None:
    whole = dng(mosaic_of(patches((0.5,) * 3, (0.2, 0.4, 0.1))))
    random = np.random.default_rng(0)
    for _ in range(40):
        data = bytearray(whole)
        for place in random.integers(0, 700, 3):
            data[place] = random.choice([0, 1, 127, 255])
        try:
            assert decode(bytes(data), 1).first.pixels.size
        except (UnreadablePictureError, UnsupportedPictureError):
            continue
