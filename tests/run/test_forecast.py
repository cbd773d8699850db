from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import LocalJob
from PIL import Image

from colorbatch.job import ColorOptions
from colorbatch.run import batch
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
