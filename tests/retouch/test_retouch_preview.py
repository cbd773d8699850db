import io
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import SAMPLES, LocalJob
from numpy.typing import NDArray
from PIL import Image
from retouching import OpenSession

from colorbatch.formats import decode
from colorbatch.inference.colorizer import Colorizer, open_model
from colorbatch.job import BatchJob
from colorbatch.pixels.hint import Hint
from colorbatch.pixels.own_color import OwnColor
from colorbatch.records.retouch import Retouch, RetouchLine
from colorbatch.retouch import preview
from colorbatch.retouch.viewer import Viewer
from colorbatch.run.treatment import treatment_of

GREEN = Hint(0.4, 0.5, "#3c8b4c", radius=0.05)
JOB = BatchJob("in", "out")
LINE = RetouchLine("x", 1, hints=(GREEN,), vividness=0.8, strength=1.2)


@pytest.fixture(scope="module")
def default() -> Colorizer:
    return open_model(provider="cpu", threads=1)


def levels_of(data: bytes, size: tuple[int, int]) -> NDArray[Any]:
    pixels = decode(data).first.pixels
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return np.asarray(Image.fromarray(pixels).convert("RGB").resize(size, Image.Resampling.BOX)).astype(int)


def written(kind: str, folder: Path) -> Path:
    """Write a large photograph of a kind; it is larger than the screen."""
    grey = Image.open(SAMPLES / "animals/chelsea.tif").convert("L").resize((1804, 1200), Image.Resampling.BICUBIC)
    match kind:
        case "grey.png" | "grey.jpg":
            grey.save(folder / kind, quality=95)
        case "sepia.png":
            Image.merge("RGB", [grey.point(lambda v, k=k: int(v * k)) for k in (1, 0.9, 0.7)]).save(folder / kind)
        case "deep.png":
            Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(folder / kind)
        case "stamped.png":
            stamped = grey.convert("RGB")
            stamped.paste((200, 20, 30), (1700, 1100, 1790, 1180))
            stamped.save(folder / kind)
    return folder / kind


@pytest.mark.parametrize(
    "kind",
    [
        "grey.png",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("grey.jpg", "sepia.png", "deep.png", "stamped.png")),
    ],
)
def test_a_preview_has_the_colours_of_the_output(kind: str, tmp_path: Path, open_session: OpenSession) -> None:
    source = tmp_path / "in"
    source.mkdir()
    written(kind, source)
    job = LocalJob(source, tmp_path / "out")
    session = open_session(job, model=None)
    line = RetouchLine(kind, 1, LINE.hints, LINE.vividness, LINE.strength)
    shown = Image.open(io.BytesIO(Viewer(session).preview(kind, line, "")))
    assert max(shown.size) == preview.SCREEN_SIDE
    assert session.save([line], 1).made
    small = (shown.width // 4, shown.height // 4)
    found = np.asarray(shown.convert("RGB").resize(small, Image.Resampling.BOX)).astype(int)
    expected = levels_of((job.output / kind).read_bytes(), small)
    assert np.abs(expected.max(axis=2) - expected.min(axis=2)).mean() > 15  # it is in colour
    assert np.abs(found - expected).mean() < 1.0


def test_what_is_left_or_in_colour_already_is_shown_as_it_is(colorizer: Colorizer) -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)).resize((240, 160))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    (page,) = preview.open_pages(buffer.getvalue(), [colorizer], 500)
    assert page.own.is_widespread
    as_it_is = np.asarray(picture)
    recolors = replace(JOB, already_color="recolor")
    for line, job in ((RetouchLine("x"), JOB), (RetouchLine("x", leave_grey=True), recolors)):
        assert (np.asarray(preview.preview(page, line, colorizer, job).image) == as_it_is).all()
    recolored = preview.preview(page, RetouchLine("x"), colorizer, recolors).image.convert("RGB")
    assert np.abs(np.asarray(recolored).astype(int) - as_it_is).mean() > 10


@pytest.mark.parametrize(
    ("options", "line", "is_colored"),
    [
        ({}, RetouchLine("x"), True),
        ({"doubtful_color": "copy"}, RetouchLine("x"), False),
        ({"doubtful_color": "skip"}, RetouchLine("x"), False),
        ({"doubtful_color": "skip"}, RetouchLine("x", strength=0.9), True),
        ({"doubtful_color": "skip", "already_color": "recolor"}, RetouchLine("x"), True),
    ],
)
def test_a_page_that_might_be_in_colour_is_shown_as_a_run_makes_it(
    options: dict[str, Any],
    line: RetouchLine,
    *,
    is_colored: bool,
    colorizer: Colorizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("colorbatch.retouch.preview", "colorbatch.run.treatment"):
        monkeypatch.setattr(f"{module}.find_own_color", lambda _: OwnColor(is_doubtful=True))
    toned = Image.merge("RGB", [Image.linear_gradient("L").point(lambda v, k=k: int(v * k)) for k in (1, 0.9, 0.7)])
    buffer = io.BytesIO()
    toned.save(buffer, "PNG")
    (page,) = preview.open_pages(buffer.getvalue(), [colorizer], 500)
    job = replace(JOB, **options)
    shown = np.asarray(preview.preview(page, line, colorizer, job).image.convert("RGB")).astype(int)
    assert (np.abs(shown - np.asarray(toned)).mean() > 1) == is_colored
    assert (treatment_of([np.asarray(toned)], Retouch((line,)), job).pages == ["colour"]) == is_colored


def test_what_is_kept_of_a_picture_is_small_whatever_its_size(colorizer: Colorizer) -> None:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((4000, 3000)).save(buffer, "JPEG")
    (page,) = preview.open_pages(buffer.getvalue(), [colorizer], 500)
    assert page.screen == (1600, 1200)
    assert page.bytes < 2.2e6


def test_suggested_colours_differ_visibly_and_the_likeliest_comes_first(default: Colorizer) -> None:
    skimage = pytest.importorskip("skimage.color")
    (page,) = preview.open_pages((SAMPLES / "animals/chelsea.tif").read_bytes(), [default], 500)
    found = preview.suggestions(page, RetouchLine("x"), default, 0.6, 0.3)
    assert 3 <= len(found) <= 6
    shares = [each.share for each in found]
    assert shares == sorted(shares, reverse=True)
    assert 0.5 < sum(shares) <= 1.001
    rgb = np.array([list(bytes.fromhex(each.color[1:])) for each in found], np.uint8)
    luma = rgb @ [0.299, 0.587, 0.114]
    assert np.abs(luma - luma[0]).max() < 2  # all have the luma of that place
    lab = skimage.rgb2lab(rgb[None])[0]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(lab) for b in lab[:i]]
    assert min(distances) > 15


def test_a_hint_elsewhere_changes_what_is_suggested_and_one_at_the_place_does_not(default: Colorizer) -> None:
    (page,) = preview.open_pages((SAMPLES / "animals/chelsea.tif").read_bytes(), [default], 500)

    def suggested(*hints: Hint) -> object:
        return preview.suggestions(page, RetouchLine("x", hints=hints), default, 0.5, 0.5)

    assert suggested(Hint(0.5, 0.5, "#3c8b4c", radius=0.05)) == suggested()
    assert suggested(Hint(0.6, 0.5, "#3c8b4c", radius=0.05)) != suggested()


def test_lab_is_that_of_scikit_image() -> None:
    skimage = pytest.importorskip("skimage.color")
    rgb = np.random.default_rng(0).integers(0, 256, (50, 3)).astype(np.uint8)
    found = preview._lab_of(rgb)  # noqa: SLF001 (the formula)
    assert np.abs(found - skimage.rgb2lab(rgb[None])[0]).max() < 0.02


def test_a_place_at_the_edge_has_a_colour(colorizer: Colorizer, ramp: NDArray[np.uint8]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, "PNG")
    (page,) = preview.open_pages(buffer.getvalue(), [colorizer], 500)
    shown = preview.preview(page, RetouchLine("x"), colorizer, JOB)
    assert all(len(shown.color_at(x, y)) == 7 for x in (0, 1) for y in (0, 1))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_two_hundred_previews_take_no_more_memory_than_twenty(tmp_path: Path, open_session: OpenSession) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(8):
        Image.linear_gradient("L").rotate(45 * number).resize((800, 600)).save(source / f"{number}.jpg")
    session = open_session(LocalJob(source, tmp_path / "out"), model=None)
    viewer = Viewer(session)

    def look(times: int) -> None:
        for number in range(times):
            name = f"{number // 5 % 8}.jpg"
            hint = Hint(number % 7 / 7, number % 5 / 5, "#7a8b3c")
            viewer.preview(name, RetouchLine(name, 1, hints=(hint,)), "tab")

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    look(40)
    before = peak()
    look(200)
    assert peak() - before < 20_000  # kB
