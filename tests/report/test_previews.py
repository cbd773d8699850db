import json
import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers import SAMPLES, LocalJob
from numpy.typing import NDArray
from PIL import Image
from reports import pictures_of

from colorbatch.report import Report, write_report
from colorbatch.run.batch import run_batch


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    (tmp_path / "in").mkdir()
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu", jobs=1)


def slope(height: int, width: int) -> NDArray[np.uint8]:
    return np.linspace(30, 220, width, dtype=np.uint8)[None].repeat(height, axis=0)


def preview(job: LocalJob, name: str, ending: str) -> NDArray[np.uint8]:
    report = job.output / "colorbatch-report"
    found = pictures_of(report / "index.html")[name]["preview"]
    with Image.open(report / "previews" / found[:2] / f"{found[2:]}-{ending}.webp") as image:
        return np.asarray(image.convert("RGB"))


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(Image.fromarray(image).convert("L"), np.float64)


@pytest.mark.parametrize("name", ["a.png", "deep.png", "deep.tif", "pages.tif", "a.jp2", "a.jpg", "a.webp"])
def test_every_kind_of_picture_has_previews_of_its_luma_and_its_colours(job: LocalJob, name: str) -> None:
    levels = slope(300, 1500)
    deep = levels.astype(np.uint16) * 257
    match name:
        case "deep.png":
            (job.source / name).write_bytes(imagecodecs.png_encode(deep))
        case "deep.tif":
            tifffile.imwrite(job.source / name, deep)
        case "pages.tif":
            with tifffile.TiffWriter(job.source / name) as writer:
                writer.write(levels)
                writer.write(levels[::-1, :100])
        case "a.jp2":
            (job.source / name).write_bytes(imagecodecs.jpeg2k_encode(deep, level=0, codecformat="jp2"))
        case _:
            Image.fromarray(levels).save(job.source / name)
    run_batch(job)
    write_report(job.output, job.source)
    facts = pictures_of(job.output / "colorbatch-report" / "index.html")[name]
    assert (facts["before"], facts["small"], facts.get("notes")) == ("source", [384, 77], None)
    before, after = preview(job, name, "before"), preview(job, name, "after")
    assert preview(job, name, "before-large").shape == preview(job, name, "after-large").shape == (205, 1024, 3)
    truth = np.asarray(Image.fromarray(levels).resize((384, 77), Image.Resampling.BOX), np.float64)
    assert np.abs(to_grey(before) - truth).mean() < 1.5
    assert np.abs(to_grey(after) - truth).mean() < 3
    assert before.std(axis=2).max() <= 1  # grey
    assert after.std(axis=2).mean() > 20  # orange


def test_small_pictures_are_not_enlarged(job: LocalJob) -> None:
    Image.fromarray(slope(20, 30)).save(job.source / "a.png")
    run_batch(job)
    write_report(job.output)
    assert preview(job, "a.png", "after").shape == preview(job, "a.png", "after-large").shape == (20, 30, 3)


def test_a_picture_no_larger_than_the_small_preview_is_encoded_once(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(slope(384, 100)).save(job.source / "small.png")
    Image.fromarray(slope(385, 100)).save(job.source / "large.png")
    run_batch(job)
    encoded: list[tuple[int, int]] = []
    save = Image.Image.save

    def counted(image: Image.Image, file: BinaryIO, kind: str, *, quality: int, method: int) -> None:
        encoded.append(image.size)
        save(image, file, kind, quality=quality, method=method)

    monkeypatch.setattr(Image.Image, "save", counted)
    write_report(job.output)
    assert sorted(encoded) == [(100, 384)] * 4 + [(100, 385)] * 2


def test_without_the_source_the_luma_of_the_output_is_shown_and_the_page_says_so(job: LocalJob) -> None:
    Image.fromarray(slope(200, 300)).save(job.source / "a.png")
    run_batch(job)
    index = write_report(job.output).index
    assert pictures_of(index)["a.png"]["before"] == "output"
    assert "is the luma of the output, which equals that of the source" in index.read_text()
    assert np.abs(to_grey(preview(job, "a.png", "before")) - slope(200, 300)).mean() < 1.5
    index = write_report(job.output, job.source).index
    assert pictures_of(index)["a.png"]["before"] == "source"
    assert "luma of the output" not in index.read_text()


def test_of_a_toned_source_its_luma_is_shown(job: LocalJob) -> None:
    levels = slope(200, 300)
    Image.fromarray(np.dstack([levels, (levels * 0.9).astype(np.uint8), levels // 2])).save(job.source / "sepia.png")
    run_batch(job)
    write_report(job.output, job.source)
    luma = 0.299 * levels + 0.587 * (levels * 0.9) + 0.114 * (levels / 2)
    assert np.abs(to_grey(preview(job, "sepia.png", "before")) - luma).mean() < 1.5
    assert preview(job, "sepia.png", "before").std(axis=2).max() <= 1


def test_a_source_that_might_be_in_colour_is_shown_in_its_colours(job: LocalJob) -> None:
    """Of one luma, with Cb 4.7 levels above and below the mean, which is between the limits of 4.5 and 5."""
    own = np.full((64, 64, 3), (128, 126, 136), np.uint8)
    own[32:] = (128, 130, 120)
    Image.fromarray(own).save(job.source / "pale.png")
    run_batch(job)
    index = write_report(job.output, job.source).index
    assert pictures_of(index)["pale.png"]["warnings"][0].startswith("it might be a colour photograph")
    assert pictures_of(index)["pale.png"]["before"] == "source in colour"
    assert np.abs(preview(job, "pale.png", "before").astype(int) - own).mean() < 2
    assert "the picture before is the source as it is, in colour" in index.read_text()


@pytest.mark.parametrize("already_color", ["skip", "copy"])
def test_what_was_in_colour_already_is_shown_by_itself(job: LocalJob, already_color: str) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 4, 3), np.uint8)).resize((64, 64), 0).save(
        job.source / "colour.png"
    )
    run_batch(replace(job, already_color=already_color))  # type: ignore[arg-type]
    facts = pictures_of(write_report(job.output, job.source).index)["colour.png"]
    assert "before" not in facts
    assert "score" not in facts or facts["score"] == 0
    assert preview(job, "colour.png", "after").std(axis=2).mean() > 20
    without_source = write_report(job.output)
    assert without_source.shown == (already_color == "copy")


def test_what_did_not_change_is_not_made_again(job: LocalJob) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(slope(20, 30)).save(job.source / name)
    run_batch(job)
    report = job.output / "colorbatch-report"

    def made(source: Path | None = job.source) -> int:
        return write_report(job.output, source).made

    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in report.rglob("*.webp")}

    assert made() == 3
    before = times()
    assert len(before) == 12
    assert made() == 0
    assert times() == before
    next(report.rglob("*-before.webp")).unlink()
    assert made() == 1
    Image.fromarray(slope(24, 30)).save(job.source / "b.png")
    run_batch(job)
    assert made() == 1
    assert len(times()) == 12  # those of the earlier b.png are gone
    assert made(None) == 3
    (report / "previews.json").write_text(json.dumps({"a.png": {"stamp": [], "preview": {"name": "../../x"}}}))
    assert made(None) == 3


def test_files_that_changed_since_are_noted_and_what_is_there_is_shown(job: LocalJob) -> None:
    for name in ("a.png", "b.png", "c.png", "d.png"):
        Image.fromarray(slope(20, 30)).save(job.source / name)
    run_batch(job)
    write_report(job.output, job.source)
    Image.new("RGB", (30, 20), "red").save(job.output / "a.png")
    Image.fromarray(slope(20, 30)[:, ::-1].copy()).save(job.source / "b.png")
    (job.output / "c.png").unlink()
    (job.source / "d.png").unlink()
    pictures = pictures_of(write_report(job.output, job.source).index)
    assert [pictures[name]["notes"] for name in sorted(pictures)] == [
        ["the output was altered after it was made"],
        ["the source was altered after the output was made"],
        ["the output cannot be read: No such file or directory"],
        ["the source cannot be read: No such file or directory"],
    ]
    assert [pictures[name].get("before") for name in sorted(pictures)] == ["source", "output", None, "output"]
    assert preview(job, "a.png", "after")[10, 10, 0] > 200
    assert preview(job, "b.png", "before")[10, 0, 0] < 60


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_out_of_the_folders_are_not_followed(job: LocalJob, tmp_path: Path) -> None:
    Image.fromarray(slope(20, 30)).save(job.source / "a.png")
    Image.fromarray(slope(20, 30)).save(job.source / "b.png")
    run_batch(job)
    Image.new("RGB", (30, 20), "red").save(tmp_path / "secret.png")
    (job.output / "a.png").unlink()
    (job.output / "a.png").symlink_to(tmp_path / "secret.png")
    (job.source / "b.png").unlink()
    (job.source / "b.png").symlink_to(tmp_path / "secret.png")
    pictures = pictures_of(write_report(job.output, job.source).index)
    assert pictures["a.png"]["notes"] == ["the output is not shown: a link leads out of its folder"]
    assert "preview" not in pictures["a.png"]
    assert "the source is not shown" in pictures["b.png"]["notes"][0]


def test_a_picture_that_was_cut_short_and_salvaged_is_shown_before_too(job: LocalJob) -> None:
    data = (SAMPLES / "portraits" / "astronaut.jpg").read_bytes()
    (job.source / "cut.jpg").write_bytes(data[: len(data) * 2 // 3])
    run_batch(replace(job, salvage=True))
    written: Report = write_report(job.output, job.source)
    facts = pictures_of(written.index)["cut.jpg"]
    assert (facts["before"], written.shown) == ("source", 1)
    assert facts["warnings"][0].startswith("salvaged")


def test_an_output_that_is_no_picture_is_noted(job: LocalJob) -> None:
    Image.fromarray(slope(20, 30)).save(job.source / "a.png")
    run_batch(job)
    (job.output / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    facts = pictures_of(write_report(job.output, job.source).index)["a.png"]
    assert facts["notes"][1].startswith("the output cannot be shown: ")
