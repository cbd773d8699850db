from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from batches import Listener, rows
from helpers import LocalJob
from PIL import Image

from colorbatch.job import AlreadyColor, ColorOptions
from colorbatch.run import batch, look
from colorbatch.run.forecast import forecast


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(30):
        noise = np.random.default_rng(number).integers(0, 256, (50 + number, 70), dtype=np.uint8)
        Image.fromarray(noise).save(source / f"{number:02}.png")
    (source / "notes.txt").touch()
    return LocalJob(source, tmp_path / "out", str(model_path), "cpu", jobs=1)


def test_nothing_is_written_and_the_estimate_is_near_what_is_then_written(job: LocalJob) -> None:
    found = forecast(job)
    assert not job.output.exists()
    assert found.counts == {"colour": 30, "skipped": 1}
    assert found.bytes_to_read == sum(path.stat().st_size for path in job.source.iterdir())
    assert found.tried == 12
    assert found.seconds is not None
    assert found.seconds > 0
    batch.run_batch(job)
    written = sum(path.stat().st_size for path in job.output.glob("*.png"))
    assert found.bytes_to_write == pytest.approx(written, rel=0.1)


def test_it_tells_what_a_second_run_would_do(job: LocalJob) -> None:
    batch.run_batch(job)
    assert forecast(job).counts == {"kept": 30, "skipped": 1}
    (job.output / "03.png").unlink()
    with (job.source / "04.png").open("ab") as file:
        file.write(b"more")
    Image.new("L", (9, 9)).save(job.source / "new.png")
    found = forecast(job)
    assert found.counts == {"kept": 28, "again": 2, "colour": 1, "skipped": 1}
    assert {planned.input for planned, prospect in found.pictures if prospect == "again"} == {"03.png", "04.png"}
    assert forecast(replace(job, options=ColorOptions(strength=0.5))).counts["again"] == 30


def test_pictures_that_cannot_be_coloured_do_not_spoil_it(job: LocalJob) -> None:
    for path in job.source.glob("*.png"):
        path.write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    found = forecast(job)
    assert (found.tried, found.seconds, found.bytes_to_write) == (0, None, None)


@pytest.fixture
def mixed(tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalJob:
    """Sources in colour, toned, grey and broken, of several formats; the large ones are looked at reduced."""
    monkeypatch.setattr(look, "SHORT_SIDE", 128)
    source = tmp_path / "mixed"
    source.mkdir()
    small = np.random.default_rng(1).integers(60, 196, (4, 5, 3), dtype=np.uint8)
    color = Image.fromarray(small).resize((1030, 1028), Image.Resampling.BICUBIC)
    toned = Image.merge("RGB", [color.convert("L").point(lambda level, by=by: level + by) for by in (18, 0, -20)])
    color.save(source / "large_color.jpg")
    toned.save(source / "large_toned.jpg")
    toned.convert("L").save(source / "large_grey.jpg")
    color.resize((90, 80)).save(source / "color.png")
    toned.resize((90, 80)).save(source / "toned.tif")
    color.resize((90, 80)).save(
        source / "pages.tif", save_all=True, append_images=[toned.resize((90, 80)).convert("L")]
    )
    (source / "truncated.jpg").write_bytes((source / "large_color.jpg").read_bytes()[:-4000])
    (source / "empty.png").touch()
    (source / "not_one.tif").write_bytes(b"%PDF-1.7 " * 9)
    (source / "notes.txt").touch()
    return LocalJob(source, tmp_path / "out", str(model_path), "cpu", jobs=2, max_megapixels=2)


@pytest.mark.parametrize("already_color", ["skip", "copy", "recolor"])
def test_a_look_finds_what_the_run_then_does(mixed: LocalJob, already_color: AlreadyColor) -> None:
    job = replace(mixed, already_color=already_color)
    progress = Listener()
    found = forecast(job, look=True, progress=progress)
    assert not job.output.exists()
    assert found.is_looked_at
    assert progress.steps == progress.total == 9
    batch.run_batch(job)
    done = {
        name: ("copied" if "copied" in str(row["reason"]) else "colour") if row["status"] == "done" else row["status"]
        for name, row in rows(job.output).items()
    }
    assert {planned.input: prospect for planned, prospect in found.pictures} == done
    reasons = {name: row["reason"] for name, row in rows(job.output).items()}
    assert {planned.input: planned.reason for planned, _ in found.pictures} == reasons
    outputs = {name: row["output"] for name, row in rows(job.output).items() if row["status"] == "done"}
    assert {
        each.input: each.output_name for each, prospect in found.pictures if prospect in ("colour", "copied")
    } == outputs
    assert done["large_color.jpg"] == {"skip": "skipped", "copy": "copied", "recolor": "colour"}[already_color]
    assert (done["pages.tif"], done["truncated.jpg"]) == ("colour", "failed")


def test_without_a_look_they_are_all_expected_to_be_coloured(mixed: LocalJob) -> None:
    found = forecast(mixed)
    assert not found.is_looked_at
    assert found.counts == {"colour": 9, "skipped": 1}


def test_only_what_would_be_coloured_is_looked_at(mixed: LocalJob) -> None:
    """What an earlier run made or skipped is not opened again."""
    batch.run_batch(mixed)
    for path in mixed.source.iterdir():
        path.write_bytes(bytes(path.stat().st_size))  # of which sizes and times tell nothing
    found = forecast(mixed, look=True)
    assert found.counts == {"kept": 4, "skipped": 3, "failed": 3}
