"""Luma that is handed on as it is coded, decoded by Pillow and, where it is installed, libjpeg's own djpeg."""

import io
import shutil
import subprocess
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from helpers import SAMPLES
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from colorbatch.formats.jpeg import LumaNotCopiedError, coded_luma_of, to_grey
from colorbatch.formats.jpeg_scans import luma_scans, with_chroma

Levels = NDArray[np.uint8]


def jpeg_of(levels: Levels, **arguments: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", **arguments)
    return buffer.getvalue()


def grey_of(data: bytes) -> Levels:
    """Return what Pillow decodes when it is asked for luma alone."""
    image = Image.open(io.BytesIO(data))
    image.draft("L", image.size)
    return np.asarray(image)


def noise(height: int, width: int, seed: int = 0) -> Levels:
    small = np.random.default_rng(seed).integers(0, 256, (9, 9), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def coloured(source: bytes, cb: int = 90, cr: int = 170, *, step: int = 1) -> bytes:
    luma = luma_scans(source)
    size = -(-luma.height // step), -(-luma.width // step)
    planes = (np.full(size, level, np.uint8) for level in (cb, cr))
    coding: dict[str, Any] = {"quality": 90, "progressive": luma.is_progressive}
    of_cb, of_cr = (jpeg_of(plane, **coding) for plane in planes)
    return with_chroma(luma, of_cb, of_cr, metadata_from=of_cb)


CODINGS: tuple[dict[str, Any], ...] = (
    {"quality": 75},
    {"quality": 20, "optimize": True},
    {"quality": 95, "progressive": True},
    {"quality": 60, "restart_marker_blocks": 3},
    {"quality": 60, "progressive": True, "restart_marker_rows": 1},
    {"qtables": [list(range(1, 65))]},
)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (17, 5), (64, 48), (200, 301)])
@pytest.mark.parametrize("step", [1, 2])
def test_every_decoder_finds_the_luma_of_the_source(coding: dict[str, Any], size: tuple[int, int], step: int) -> None:
    source = jpeg_of(noise(*size), **coding)
    output = coloured(source, step=step)
    np.testing.assert_array_equal(grey_of(output), np.asarray(Image.open(io.BytesIO(source))))
    assert luma_scans(source).coded in output
    image = Image.open(io.BytesIO(output))
    assert (image.mode, image.size) == ("RGB", size[::-1])
    chroma = np.asarray(image.convert("YCbCr"), int)[..., 1:]
    middle = (np.asarray(Image.open(io.BytesIO(source))) > 90) & (np.asarray(Image.open(io.BytesIO(source))) < 160)
    if middle.any():  # where RGB does not clip
        assert np.abs(chroma[middle] - [90, 170]).max() <= 2
    if shutil.which("djpeg"):
        found = [subprocess.run(["djpeg", "-grayscale"], input=data, capture_output=True) for data in (source, output)]  # noqa: PLW1510, S607
        assert found[0].stdout == found[1].stdout != b""
        assert found[1].stderr == b""


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5), st.sampled_from(CODINGS))
def test_what_is_given_back_is_the_picture_of_the_source(
    height: int, width: int, seed: int, coding: dict[str, Any]
) -> None:
    source = jpeg_of(noise(height, width, seed), **coding)
    grey = to_grey(coloured(source))
    assert grey is not None
    image = Image.open(io.BytesIO(grey))
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(source))))


def test_a_table_of_luma_with_another_number_is_not_lost() -> None:
    """By hand: the number 0 of the table becomes 2, in its definition and in the frame."""
    source = jpeg_of(noise(40, 30), quality=50)
    table, frame = source.index(b"\xff\xdb"), source.index(b"\xff\xc0")
    changed = bytearray(source)
    changed[table + 4] = changed[frame + 12] = 2
    np.testing.assert_array_equal(grey_of(coloured(bytes(changed))), grey_of(source))


def test_what_has_no_luma_is_left_to_the_pixels_and_says_why() -> None:
    with Image.open(SAMPLES / "still_life" / "coffee.png") as image:
        rgb, cmyk = np.asarray(image.convert("RGB")), image.convert("CMYK")
    buffer = io.BytesIO()
    cmyk.save(buffer, "JPEG")
    with pytest.raises(LumaNotCopiedError, match="it is stored as CMYK"):
        coded_luma_of(buffer.getvalue())
    with pytest.raises(LumaNotCopiedError, match="it is stored as RGB"):
        coded_luma_of(jpeg_of(rgb, keep_rgb=True))
    assert to_grey(jpeg_of(rgb)) is None
    assert to_grey(jpeg_of(rgb, progressive=True)) is None


@given(st.data())
def test_damage_is_never_more_than_a_no(data: st.DataObject) -> None:
    source = bytearray(jpeg_of(noise(24, 24)))
    for _ in range(data.draw(st.integers(1, 4))):
        source[data.draw(st.integers(2, len(source) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(source[: data.draw(st.integers(2, len(source)))])
    with suppress(LumaNotCopiedError):
        coded_luma_of(damaged)
    to_grey(damaged)
