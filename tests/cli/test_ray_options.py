"""The options for Ray, without a cluster."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import CommandLine, LocalJob
from PIL import Image

from colorbatch.errors import UsageError
from colorbatch.job import BatchJob, BatchSummary, RayOptions
from colorbatch.run.batch import run_batch


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    for number in range(3):
        path = tmp_path / "in" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.linear_gradient("L").resize((20 + number, 30)).save(path)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0no")
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu", engine="ray")


def test_options_that_make_no_sense_are_refused(job: LocalJob, command_line: CommandLine) -> None:
    assert command_line("run", "--engine", "ray", "--shard", "1/2", job.source, job.output) == 2
    assert command_line("run", "--ray-address", "auto", job.source, job.output) == 2
    for option, value in (("--cpus-per-worker", 2), ("--cpus-per-worker", 1), ("--num-gpus-per-worker", 0)):
        assert command_line("run", option, value, job.source, job.output) == 2
    with pytest.raises(UsageError, match="options for Ray need --engine ray"):
        run_batch(replace(job, engine="auto", ray=RayOptions()))
    assert command_line("run", "--engine", "ray", "--ray-address", "ray://x:1", job.source, job.output) == 2
    with pytest.raises(UsageError, match="jobs must be 1 or more"):
        run_batch(replace(job, jobs=0))
    assert not job.output.exists()


def test_ray_is_an_extra(
    job: LocalJob, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert command_line("run", "--engine", "ray", "--model", job.model, job.source, job.output) == 4
    assert "colorbatch[ray]" in capsys.readouterr().err
    assert command_line("run", "-q", "--model", job.model, job.source, job.output) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), None),
        (("--cpus-per-worker", 1), RayOptions()),
        (("--num-gpus-per-worker", 0.5), RayOptions(gpus_per_worker=0.5)),
        (("--ray-address", "auto", "--cpus-per-worker", 4), RayOptions("auto", 4)),
    ],
)
def test_options_for_ray_are_told_from_their_defaults(
    command_line: CommandLine,
    job: LocalJob,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[object, ...],
    expected: RayOptions | None,
) -> None:
    jobs: list[BatchJob] = []

    def keep(each: BatchJob, *_: object) -> BatchSummary:
        jobs.append(each)
        return BatchSummary()

    monkeypatch.setattr("colorbatch.run.batch.run_batch", keep)
    assert command_line("run", *given, job.source, job.output) == 0
    assert [each.ray for each in jobs] == [expected]
