"""The start on a GPU, for which a model on the CPU stands in: children start meanwhile, and none is left over."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import LocalJob, descendants, small_model, wait_until
from PIL import Image

from colorbatch.errors import EnvironmentFailure
from colorbatch.inference.model_file import ModelFile
from colorbatch.inference.session import Session
from colorbatch.job import BatchJob
from colorbatch.run import engines
from colorbatch.run.batch import run_batch
from colorbatch.run.engines import local

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")

JOBS = 2
PICTURES = 6


@pytest.fixture
def job(tmp_path: Path) -> LocalJob:
    (tmp_path / "in").mkdir()
    for number in range(PICTURES):
        levels = np.random.default_rng(number).integers(0, 256, (40, 60), np.uint8)
        Image.fromarray(levels).save(tmp_path / "in" / f"{number}.png")
    model = tmp_path / "small.onnx"
    model.write_bytes(small_model().SerializeToString())
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model), "cpu", engine="processes", jobs=JOBS)


@pytest.fixture
def children() -> Callable[[], set[int]]:
    """Return what finds the processes that the test has started."""
    before = set(descendants(os.getpid()))
    return lambda: set(descendants(os.getpid())) - before


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, children: Callable[[], set[int]]) -> Callable[..., list[set[int]]]:
    """Return what replaces the opening of a model on the GPU, and notes the child processes that there are then."""

    def replace_opening(open_session: Callable[[ModelFile], Session]) -> list[set[int]]:
        seen: list[set[int]] = []

        def opened(_: BatchJob, model: ModelFile) -> Session:
            seen.append(children())
            return open_session(model)

        monkeypatch.setattr(engines, "open_session", opened)
        monkeypatch.setattr(engines, "choose_provider", lambda *_: ("auto", "it saves time"))
        return seen

    return replace_opening


def test_child_processes_start_before_the_model_is_opened_and_are_those_that_colour(
    job: LocalJob, children: Callable[[], set[int]], stand_in: Callable[..., list[set[int]]]
) -> None:
    started = stand_in(lambda model: Session(model, "cpu", on_gpu=True))
    engine = engines.open_engine(job, PICTURES, is_remote=False)
    assert [len(each) for each in started] == [JOBS]
    assert children() == started[0]
    engine.close()
    assert not children()
    assert run_batch(job).done == PICTURES


def test_there_are_more_than_cores_since_each_waits_for_the_gpu(
    job: LocalJob,
    children: Callable[[], set[int]],
    stand_in: Callable[..., list[set[int]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "usable_cores", lambda: 2)
    started = stand_in(lambda model: Session(model, "cpu", on_gpu=True))
    assert run_batch(replace(job, jobs=None)).done == PICTURES
    assert [len(each) for each in started] == [3]
    assert not children()


def test_none_is_left_when_the_model_does_not_open(
    job: LocalJob, children: Callable[[], set[int]], stand_in: Callable[..., list[set[int]]]
) -> None:
    def fail(_: ModelFile) -> Session:
        raise EnvironmentFailure("no GPU today")

    started = stand_in(fail)
    with pytest.raises(EnvironmentFailure, match="no GPU today"):
        engines.open_engine(job, PICTURES, is_remote=False)
    assert len(started[0]) == JOBS
    assert not children()


def test_others_take_over_when_the_gpu_does_not_start(
    job: LocalJob, children: Callable[[], set[int]], stand_in: Callable[..., list[set[int]]]
) -> None:
    started = stand_in(lambda model: Session(model, "cpu"))
    engine = engines.open_engine(job, PICTURES, is_remote=False)
    assert engine.provider_reason.startswith("the GPU does not start")
    wait_until(lambda: len(children()) == JOBS)
    assert not children() & started[0]
    engine.close()


def test_none_is_started_for_few_pictures(
    job: LocalJob, children: Callable[[], set[int]], stand_in: Callable[..., list[set[int]]]
) -> None:
    started = stand_in(lambda model: Session(model, "cpu", on_gpu=True))
    engine = engines.open_engine(replace(job, engine="auto"), PICTURES, is_remote=False)
    assert started == [set()]
    assert not children()
    engine.close()
