"""A look at a source before a run: it decides as the run does, and where that is doubtful, as the run does: in full."""

import io
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import PictureError
from colorbatch.formats import decode
from colorbatch.job import AlreadyColor, BatchJob
from colorbatch.pixels.own_color import OwnColor
from colorbatch.pixels.picture import Frame, Picture, Pixels
from colorbatch.records.row import MIGHT_BE_COLOR
from colorbatch.run import look
from colorbatch.run.treatment import treatment_of

JOB = BatchJob(Path("in"), Path("out"))
TINTS = {"sepia": (18.0, -2.0, -22.0), "cyanotype": (-25.0, -3.0, 20.0)}


Levels = NDArray[np.floating]


def jpeg(levels: Levels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(to_8_bits(levels)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def to_8_bits(levels: Levels) -> Pixels:
    pixels: Pixels = np.clip(levels, 0, 255).astype(np.uint8)
    return pixels


def colors(strength: float, side: int = 1024) -> Levels:
    """Return several colours of a strength from 0, grey, to 1, ``[H, W, 3]``, with some grain."""
    luma, chroma = _luma_and_chroma(side)
    levels: Levels = luma + chroma * np.float32(strength)
    return levels


@cache
def _luma_and_chroma(side: int) -> tuple[Levels, Levels]:
    random = np.random.default_rng(5)
    small = Image.fromarray(random.integers(40, 216, (5, 6, 3), dtype=np.uint8))
    large = np.asarray(small.resize((side + 8, side), Image.Resampling.BICUBIC), np.float32)
    luma = (large @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    grain = random.normal(0, 4, (side // 4, side // 4 + 2, 1)).astype(np.float32)
    return luma + np.tile(grain, (4, 4, 1)), large - luma


def toned(tint: tuple[float, float, float]) -> Levels:
    luma = colors(0)
    levels: Levels = luma + np.array(tint, np.float32) * (1 - np.abs(luma / 127.5 - 1))
    return levels


def action_for(content: bytes, job: BatchJob = JOB) -> str:
    return look.seen_in(content, None, job).action


def in_full(content: bytes, job: BatchJob = JOB) -> str:
    return treatment_of([frame.pixels for frame in decode(content).frames], None, job).action


def decoded_whole(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list that receives what is decoded in full from now on."""
    seen: list[bytes] = []

    def remember(content: bytes, *arguments: object, **options: object) -> Picture:
        seen.append(content)
        return decode(content, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(look, "decode", remember)
    return seen


@pytest.fixture(autouse=True)
def small_are_reduced_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "SHORT_SIDE", 128)


def test_clear_cases_are_decided_without_decoding_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = decoded_whole(monkeypatch)
    assert action_for(jpeg(colors(1)), JOB) == "skip"
    assert action_for(jpeg(colors(1)), replace(JOB, already_color="copy")) == "copy"
    assert action_for(jpeg(colors(1)), replace(JOB, already_color="recolor")) == "colour"
    assert action_for(jpeg(colors(0)), JOB) == "colour"
    assert action_for(jpeg(colors(0)[..., 0]), JOB) == "colour"
    assert [action_for(jpeg(toned(tint)), JOB) for tint in TINTS.values()] == ["colour", "colour"]
    assert whole == []


def test_a_doubt_about_what_would_be_coloured_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colorbatch.run.treatment.find_own_color", lambda _: OwnColor(is_doubtful=True))
    content = jpeg(toned(TINTS["sepia"]))
    assert look.seen_in(content, None, JOB) == look.Seen("colour", MIGHT_BE_COLOR)
    assert look.seen_in(content, None, replace(JOB, doubtful_color="skip")) == look.Seen("skip", MIGHT_BE_COLOR)
    assert look.seen_in(content, None, replace(JOB, already_color="recolor")) == look.Seen("colour", "")


def test_doubtful_ones_are_decided_by_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strength at which the decision changes is found by bisection; there the reduced picture proves nothing."""
    low, high = 0.0, 1.0
    for _ in range(7):
        middle = (low + high) / 2
        is_in_color = treatment_of([to_8_bits(colors(middle, 128))], None, JOB).action == "skip"
        low, high = (low, middle) if is_in_color else (middle, high)
    whole = decoded_whole(monkeypatch)
    for strength in (low, high):
        content = jpeg(colors(strength))
        assert action_for(content, JOB) == in_full(content)
    assert len(whole) == 2


def test_the_whole_is_asked_though_the_reduced_picture_itself_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = jpeg(colors(0))
    for strength, expected in ((0.07, "colour"), (1.0, "skip")):
        levels = to_8_bits(colors(strength, 128))
        monkeypatch.setattr(look, "decode_reduced", lambda *_, levels=levels, **__: Picture((Frame(levels),), "JPEG"))
        assert action_for(grey, JOB) == expected


@pytest.mark.parametrize("already_color", ["skip", "copy", "recolor"])
def test_other_formats_and_small_pictures_are_decoded_in_full(already_color: AlreadyColor) -> None:
    job = replace(JOB, already_color=already_color)
    small = to_8_bits(colors(1, 100))
    for kind in ("PNG", "TIFF", "JPEG"):
        for pixels in (small, small[..., 0]):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, kind)
            assert action_for(buffer.getvalue(), job) == in_full(buffer.getvalue(), job)


def test_a_truncated_picture_fails() -> None:
    with pytest.raises(PictureError, match="truncated"):
        action_for(jpeg(colors(1))[:-3000], JOB)
