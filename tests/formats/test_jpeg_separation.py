"""Luma separated from chroma: every coefficient is compared with what jpeglib, another reader of JPEG, finds."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import jpeglib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from colorbatch.formats.jpeg import LumaNotCopiedError, coded_luma_of
from colorbatch.formats.jpeg_separation import separated

Levels = NDArray[np.uint8]


def noise(height: int, width: int) -> Levels:
    """Return RGB with grain, from black to white."""
    random = np.random.default_rng(height * 1000 + width)
    small = Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return np.clip(smooth + random.normal(0, 12, (height, width, 1)), 0, 255).astype(np.uint8)


def by_pillow(rgb: Levels, **coding: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", **coding)
    return buffer.getvalue()


def coefficients_of(data: bytes, folder: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the luma coefficients ``[rows, columns, 8, 8]`` of a file, and their quantisation table."""
    path = folder / "read.jpg"
    path.write_bytes(data)
    read = jpeglib.read_dct(str(path))
    with Image.open(path) as image:
        rows, columns = -(-image.height // 8), -(-image.width // 8)
    return read.Y[:rows, :columns], read.qt[0]  # without the blocks that only fill up the last units


def assert_same_luma(source: bytes, folder: Path) -> None:
    grey = separated(source)
    for found, expected in zip(coefficients_of(grey, folder), coefficients_of(source, folder), strict=True):
        np.testing.assert_array_equal(found, expected)
    with Image.open(io.BytesIO(grey)) as image:
        assert image.mode == "L"


CODINGS: tuple[dict[str, Any], ...] = (
    {"quality": 75},
    {"quality": 20, "optimize": True},
    {"quality": 95, "progressive": True},
    {"quality": 100},
    {"quality": 60, "restart_marker_blocks": 3},
    {"quality": 60, "progressive": True, "restart_marker_rows": 1},
    {"qtables": [list(range(1, 65)), [9] * 64]},
)


@pytest.mark.parametrize("coding", [CODINGS[0], CODINGS[5]])
def test_every_coefficient_of_luma_is_that_of_the_source(coding: dict[str, Any], tmp_path: Path) -> None:
    assert_same_luma(by_pillow(noise(67, 101), **coding), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (17, 5), (33, 200), (201, 303)])
def test_whatever_the_size_the_coding_and_the_sampling(
    size: tuple[int, int], coding: dict[str, Any], subsampling: str, tmp_path: Path
) -> None:
    assert_same_luma(by_pillow(noise(*size), subsampling=subsampling, **coding), tmp_path)


@pytest.mark.parametrize("subsampling", ["411", "440"])
def test_samplings_that_pillow_does_not_write(subsampling: str, tmp_path: Path) -> None:
    source = bytes(imagecodecs.jpeg8_encode(noise(45, 70), level=85, subsampling=subsampling))
    assert_same_luma(source, tmp_path)


def test_names_of_components_are_free(tmp_path: Path) -> None:
    """By hand: the names 1, 2, 3 become 0, 1, 2, as some cameras write them; JFIF says that they are YCbCr."""
    source = bytearray(by_pillow(noise(40, 40)))
    frame, scan = source.index(b"\xff\xc0"), source.index(b"\xff\xda")
    for number in range(3):
        source[frame + 10 + 3 * number] = source[scan + 5 + 2 * number] = number
    assert_same_luma(bytes(source), tmp_path)


def test_a_file_at_which_mozjpeg_ends_its_process_ends_no_other() -> None:
    """By hand: the code of AC values of up to 5 bits is said to be one of 15 bits, more than a coefficient has."""
    source = by_pillow(noise(64, 64), quality=100)
    table = source.index(b"\xff\xc4", source.index(b"\xff\xc4") + 2)
    symbols = table + 5 + 16
    place = source.index(b"\x05", symbols)
    damaged = source[:place] + b"\x0f" + source[place + 1 :]
    with pytest.raises(LumaNotCopiedError):
        coded_luma_of(damaged)
    assert len(separated(source)) > 100


def test_a_transcoder_that_cannot_be_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    source = by_pillow(noise(16, 16))

    def run(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(LumaNotCopiedError, match=r"MozJPEG cannot be run: .*Cannot allocate memory"):
        coded_luma_of(source)
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(LumaNotCopiedError, match="no Python interpreter"):
        coded_luma_of(source)


@pytest.mark.slow
@given(st.data())
def test_damage_is_never_more_than_a_reason(data: st.DataObject) -> None:
    coding = data.draw(st.sampled_from(CODINGS))
    source = bytearray(by_pillow(noise(24, 24), **coding))
    for _ in range(data.draw(st.integers(1, 4))):
        source[data.draw(st.integers(2, len(source) - 1))] = data.draw(st.integers(0, 255))
    try:
        luma = coded_luma_of(bytes(source))
    except LumaNotCopiedError as error:
        assert str(error)  # noqa: PT017 (both ways are right)
    else:
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(luma.file)).convert("L")), luma.levels)


def test_the_largest_differences_of_dc_coefficients(tmp_path: Path) -> None:
    """Blocks of black and white, side by side."""
    board = (np.indices((6, 9)).sum(axis=0) % 2 * 255).astype(np.uint8)
    levels = np.repeat(np.repeat(board, 8, axis=0), 8, axis=1)
    assert_same_luma(by_pillow(np.dstack([levels] * 3), quality=100), tmp_path)
