"""The reader that audit has besides that of the run, compared with Pillow and with formulas."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers import LocalJob
from numpy.typing import NDArray
from PIL import Image, ImageOps
from saved_pictures import chunk

from colorbatch.formats import decode
from colorbatch.operations import output_check
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.second_reader import luma_of_file
from colorbatch.pixels.picture import Picture
from colorbatch.run import batch, colorize

D65 = (0.3127, 0.3290, 1.0)


def levels(dtype: type[np.unsignedinteger[Any]] = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (20, 30, 3), dtype)


def saved(image: Image.Image, picture_format: str, **arguments: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **arguments)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_luma_of_a_png_is_what_pillow_finds(mode: str, orientation: int) -> None:
    image = Image.fromarray(levels()).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = luma_of_file(saved(image, "PNG", exif=exif))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(saved(image, "PNG", exif=exif))))
    assert found is not None
    grey = np.asarray(expected.convert("RGB").convert("L"))
    assert np.abs(found * 255 - grey).max() <= 0.51


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_luma_of_a_plain_tiff(photometric: str, dtype: type[np.unsignedinteger[Any]]) -> None:
    pixels = levels(dtype) if photometric == "rgb" else levels(dtype)[..., 0]
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric=photometric, compression="zlib")
    unit = pixels / np.iinfo(dtype).max
    expected = unit @ [0.299, 0.587, 0.114] if photometric == "rgb" else unit
    if photometric == "miniswhite":
        expected = 1 - expected
    found = luma_of_file(buffer.getvalue())
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_luma_of_jpeg_in_a_tiff_is_what_pillow_finds(photometric: str) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, levels()[..., 0], photometric=photometric, compression="jpeg")
    found = luma_of_file(buffer.getvalue())
    assert found is not None
    np.testing.assert_allclose(found * 255, np.asarray(Image.open(buffer)), atol=0.01)


def test_luma_of_planes_in_a_tiff() -> None:
    buffer = io.BytesIO()
    planes = np.ascontiguousarray(np.moveaxis(levels(), -1, 0))
    tifffile.imwrite(buffer, planes, photometric="rgb", planarconfig="separate", compression="lzw")
    found = luma_of_file(buffer.getvalue())
    assert found is not None
    np.testing.assert_allclose(found, levels() / 255 @ [0.299, 0.587, 0.114], atol=1e-6)


def test_a_profile_is_applied() -> None:
    """Gamma 1.8 by its formula, and sRGB by IEC 61966-2-1."""
    grey = np.arange(256, dtype=np.uint8)[None]
    profile = imagecodecs.cms_profile("gray", whitepoint=D65, gamma=1.8)
    light = (grey / 255) ** 1.8
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    found = luma_of_file(saved(Image.fromarray(grey), "PNG", icc_profile=profile))
    assert found is not None
    assert np.abs(found - expected).max() * 255 < 0.8


def test_what_it_does_not_know_is_left_to_the_reader_of_the_run() -> None:
    image = Image.fromarray(levels())
    for data in (saved(image, "JPEG"), saved(image, "GIF"), saved(image.convert("CMYK"), "TIFF"), b"no picture"):
        assert luma_of_file(data) is None
    assert luma_of_file(saved(image, "PNG")[:500]) is None
    for odd in (chunk(b"tEXt", b"Raw profile type APP1\0\nAPP1\n 0\n"), chunk(b"eXIf", b"MM\0*")):
        data = saved(image, "PNG")
        assert luma_of_file(data[:33] + odd + data[33:]) is None


@pytest.mark.parametrize("name", ["a.png", "b.tif", "c.webp"])
def test_audit_finds_a_fault_of_the_reader_that_run_and_audit_share(
    name: str, tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that darkens every source by an eighth darkens it in audit too."""

    def faulty(data: bytes, *arguments: Any, **options: Any) -> Picture:  # noqa: ANN401
        picture = decode(data, *arguments, **options)
        if picture.first.metadata.xmp:  # an output
            return picture
        return replace(picture, frames=(replace(picture.first, pixels=picture.first.pixels // 8 * 7),))

    job = LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu")
    job.source.mkdir()
    grey = Image.fromarray(levels()[..., 0])
    grey.save(job.source / name, lossless=True)
    for module in (colorize, output_check):
        monkeypatch.setattr(module, "decode", faulty)
    batch.run_batch(job)
    findings = [finding.problem for finding in audit_batch(job.output, job.source).findings]
    assert len(findings) == 1
    assert findings[0].startswith("another reader finds a luma that is not the source's")
