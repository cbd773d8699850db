"""Child processes: the same files as threads make, and whatever dies, the run goes on."""

import errno
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from helpers import (
    Foe,
    LocalJob,
    comparable_rows,
    descendants,
    endless_model,
    outputs_below,
    small_model,
    wait_until,
)
from PIL import Image

from colorbatch.errors import EnvironmentFailure, InferenceError, ModelRefusedError, UnreadablePictureError
from colorbatch.inference.batching import Prediction, Question
from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.session import Session
from colorbatch.job import EngineName
from colorbatch.operations.audit import audit_batch
from colorbatch.run import engines
from colorbatch.run.batch import run_batch
from colorbatch.run.colorize import Encoded, Recipe
from colorbatch.run.engines import children as children_module
from colorbatch.run.engines import engine
from colorbatch.run.engines.child import Colored, Opening, RecordCollector, picklable
from colorbatch.run.engines.child_process import ChildDiedError, ChildProcess
from colorbatch.run.plan import PlannedPicture

PICTURES = 12
linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")


@pytest.fixture
def job(tmp_path: Path) -> LocalJob:
    for number in range(PICTURES):
        path = tmp_path / "in" / f"{number % 2}" / f"{number:02}.{('png', 'jpg', 'tif')[number % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = np.random.default_rng(number).integers(0, 256, (40, 60), np.uint8)
        Image.fromarray(levels).save(path)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    colours = Image.merge("RGB", [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.new("L", (256, 256))])
    colours.save(tmp_path / "in" / "in colour.png")
    model = tmp_path / "small.onnx"
    model.write_bytes(small_model().SerializeToString())
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model), "cpu", engine="processes", jobs=2)


@pytest.fixture
def children() -> Callable[[], set[int]]:
    """Return what finds the processes that the test has started, unlike a browser that other tests use."""
    before = set(descendants(os.getpid()))
    return lambda: set(descendants(os.getpid())) - before


def opening(job: LocalJob) -> Opening:
    return Opening(Recipe(job, read_model_file(job.model), job.options), 1, None, logging.WARNING)


def assert_as_if_done_by_threads(job: LocalJob) -> None:
    threads = replace(job, engine="threads", output=job.output.with_name("threads"))
    run_batch(threads)
    assert outputs_below(job.output) == outputs_below(threads.output)
    assert comparable_rows(job.output) == comparable_rows(threads.output)
    assert audit_batch(job.output, job.source).is_sound


def test_they_make_what_threads_make(job: LocalJob) -> None:
    summary = run_batch(job)
    assert (summary.done, summary.skipped, summary.failed) == (PICTURES, 1, 1)
    assert summary.stages["network"].cpu_seconds > 0
    assert_as_if_done_by_threads(job)
    assert run_batch(replace(job, engine="threads")).kept == PICTURES


def test_they_ask_the_model_of_this_process_where_it_is_on_a_gpu(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model on the CPU stands in for it."""
    model = read_model_file(job.model)
    gpu = Session(model, "cpu", on_gpu=True)
    asked: list[tuple[int, ...]] = []
    answer = Session.answer

    def answered(self: Session, question: Question) -> Prediction:
        asked.append(question.luma.shape)
        return answer(self, question)

    monkeypatch.setattr(Session, "answer", answered)
    monkeypatch.setattr(engines, "choose_provider", lambda *_: ("cuda", "it saves time"))
    monkeypatch.setattr(engines, "open_session", lambda *_: gpu)
    summary = run_batch(job)
    assert (summary.done, summary.failed, summary.provider_reason) == (PICTURES, 1, "it saves time")
    assert len(asked) == PICTURES
    monkeypatch.undo()
    assert_as_if_done_by_threads(job)


@linux
@pytest.mark.parametrize(("engine", "enough", "expected"), [("auto", 5, 2), ("auto", 8, 0), ("threads", 1, 0)])
def test_they_are_started_where_there_are_pictures_enough(
    job: LocalJob,
    children: Callable[[], set[int]],
    monkeypatch: pytest.MonkeyPatch,
    engine: EngineName,
    enough: int,
    expected: int,
) -> None:
    """There are 14 files of pictures, for two jobs."""
    monkeypatch.setattr(engines, "PICTURES_FOR_A_PROCESS", enough)
    seen = set[int]()

    def look() -> None:
        time.sleep(0.1)
        seen.update(children())

    run_batch(replace(job, engine=engine), Foe(look))
    assert len(seen) == expected
    assert not children()


@linux
def test_one_that_is_killed_costs_no_picture(
    job: LocalJob, children: Callable[[], set[int]], caplog: pytest.LogCaptureFixture
) -> None:
    killed: list[int] = []

    def kill() -> None:
        if not killed:
            killed.extend(children())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    run_batch(job, Foe(kill, "0/06.png"))
    assert killed
    assert "a child process died (SIGKILL) while processing it" in caplog.text
    assert_as_if_done_by_threads(job)


def test_a_picture_that_kills_fails_alone(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    colorize = ChildProcess.colorize

    def killing(self: ChildProcess, data: bytes, planned: PlannedPicture) -> Colored:
        if planned.input == "1/07.jpg":
            self.kill()
        return colorize(self, data, planned)

    with monkeypatch.context() as patch:
        patch.setattr(ChildProcess, "colorize", killing)
        summary = run_batch(job)
    assert (summary.done, summary.failed) == (PICTURES - 1, 2)
    (reason,) = (reason for name, reason in summary.failures if name == "1/07.jpg")
    assert reason.startswith("a child process died (SIGKILL) while processing it, 2 times")
    assert not (job.output / "1/07.jpg").exists()
    assert run_batch(replace(job, engine="threads")).coloured == 1
    assert_as_if_done_by_threads(job)


@linux
def test_a_stop_reaches_an_inference_in_work(
    job: LocalJob, children: Callable[[], set[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SECONDS_TO_FINISH", 0.2)
    model = tmp_path / "endless.onnx"
    model.write_bytes(endless_model().SerializeToString())
    stop, begun = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_batch, replace(job, model=str(model)), Foe(begun.set), stop)
        assert begun.wait(60)
        time.sleep(0.5)
        stop.set()
        assert running.result(30).stopped
    assert not children()
    assert run_batch(replace(job, engine="threads")).done == PICTURES


@linux
def test_none_outlives_a_killed_parent(job: LocalJob, tmp_path: Path) -> None:
    model = tmp_path / "endless.onnx"
    model.write_bytes(endless_model().SerializeToString())
    command = [sys.executable, "-m", "colorbatch", "run", "-q", "--engine", "processes", "--jobs", "2"]
    with subprocess.Popen([*command, "--model", model, job.source, job.output]) as process:
        wait_until(lambda: len(descendants(process.pid)) == 2)
        time.sleep(0.5)
        started = descendants(process.pid)
        process.kill()
    wait_until(lambda: not any(Path("/proc", str(pid)).exists() for pid in started))


@pytest.mark.parametrize("part", [0.0, 0.5])
def test_one_whose_parent_dies_before_it_has_asked_for_anything_ends_in_silence(
    job: LocalJob, capfd: pytest.CaptureFixture[str], part: float
) -> None:
    request = pickle.dumps(opening(job), pickle.HIGHEST_PROTOCOL)
    child = ChildProcess()
    pipes = child._process  # noqa: SLF001 (what dies with a parent)
    assert pipes.stdin is not None
    pipes.stdin.write(request[: round(len(request) * part)])
    pipes.stdin.close()
    assert pipes.wait(60) == 0
    child.close()
    assert capfd.readouterr() == ("", "")


@linux
def test_ctrl_c_is_not_for_them(job: LocalJob, children: Callable[[], set[int]]) -> None:
    child = ChildProcess()
    child.open(opening(job))
    (pid,) = children()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    assert os.getsid(pid) != os.getsid(0)
    scores = [int(Path("/proc", str(each), "oom_score").read_text()) for each in (pid, os.getpid())]
    assert scores[0] > scores[1], "when there is no memory left, the child is killed first"
    data = (job.source / "0/00.png").read_bytes()
    row = child.colorize(data, PlannedPicture("a.png", "a.png", "a.png")).result.row
    assert (row.status, row.provider) == ("done", "cpu")
    child.close()


def test_errors_are_those_of_this_process(job: LocalJob, tmp_path: Path) -> None:
    child = ChildProcess()
    child.open(opening(job))
    planned = PlannedPicture("a.png", "a.png", "a.png")
    with pytest.raises(UnreadablePictureError) as unreadable:
        child.colorize(b"\xff\xd8\xff", planned)
    assert unreadable.value.advice == UnreadablePictureError.advice
    nothing: Any = None
    with pytest.raises(AttributeError) as bug:
        child.colorize((job.source / "0/00.png").read_bytes(), nothing)
    assert "colorize.py" in str(bug.value.__cause__)
    assert isinstance(child.colorize((job.source / "0/00.png").read_bytes(), planned).result, Encoded)
    child.close()
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"no model")
    with pytest.raises(ModelRefusedError):
        engines.open_engine(replace(job, model=str(wrong)), PICTURES, is_remote=False)


def test_an_error_that_does_not_travel_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class HereError(Exception):
        pass

    there = picklable(HereError("only here"))
    assert str(pickle.loads(pickle.dumps(there))) == "HereError: only here"  # noqa: S301 (made here)
    error = InferenceError("the model failed")
    assert picklable(error) is error
    assert not caplog.text


def test_what_is_logged_there_travels_whole() -> None:
    handler = RecordCollector()
    try:
        int("of a library")
    except ValueError:
        record = logging.LogRecord("a.b", logging.WARNING, "x.py", 3, "met at %s", (object(),), sys.exc_info())
    handler.emit(record)
    (taken,) = pickle.loads(pickle.dumps(handler.take()))  # noqa: S301 (made here)
    assert taken.getMessage().startswith("met at <object")
    assert "ValueError: invalid literal" in taken.exc_text
    assert handler.take() == []


def test_a_child_with_which_nothing_can_be_exchanged_is_ended_and_replaced(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its pipe holds half of an answer: the next picture must not get the other half."""
    load, lost = pickle.load, list[object]()

    def without_memory(file: IO[bytes]) -> object:
        answer = load(file)
        if isinstance(answer.value, Colored) and not lost:
            lost.append(answer)
            raise MemoryError("no room for it")
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(pickle, "load", without_memory)
        run_batch(job)
    assert "communication with it failed (MemoryError: no room for it) while processing it" in caplog.text
    assert_as_if_done_by_threads(job)


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_where_none_can_be_started_this_process_computes(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "PICTURES_FOR_A_PROCESS", 1)
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)
        with pytest.raises(EnvironmentFailure, match="no child process can be started"):
            run_batch(job)
        assert not job.output.exists()
        assert run_batch(replace(job, engine="auto")).done == PICTURES
    assert "this process computes itself" in caplog.text
    assert_as_if_done_by_threads(job)


def test_where_no_further_one_can_be_started_the_first_does_all(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(children_module, "ChildProcess", only_one(ChildProcess, "there is room for one"))
        assert run_batch(job).done == PICTURES
        assert "there is room for one; the other child processes continue without it" in caplog.text
    assert_as_if_done_by_threads(job)


def test_where_none_is_left_the_run_ends(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(ChildProcess):
        def open(self, opening: Opening, gpu: Session | None = None) -> None:
            super().open(opening, gpu)
            self.kill()

    with monkeypatch.context() as patch:
        patch.setattr(children_module, "ChildProcess", only_one(Dying, "there is no room"))
        with pytest.raises(EnvironmentFailure, match="there is no room"):
            run_batch(job)
    assert run_batch(job).done == PICTURES
    assert_as_if_done_by_threads(job)


def test_where_one_cannot_be_opened_for_any_reason_none_is_waited_for(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lock, opened = threading.Lock(), list[ChildProcess]()

    class Forgetful(ChildProcess):
        def open(self, opening: Opening, gpu: Session | None = None) -> None:
            with lock:
                opened.append(self)
                if len(opened) > 1:
                    self.kill()
                    self.close()
                    raise MemoryError("no room for it")
            super().open(opening, gpu)

    with monkeypatch.context() as patch:
        patch.setattr(children_module, "ChildProcess", Forgetful)
        assert run_batch(job).done == PICTURES
    assert "MemoryError: no room for it; the other child processes continue without it" in caplog.text
    assert_as_if_done_by_threads(job)


def only_one(kind: type[ChildProcess], reason: str) -> Callable[[], ChildProcess]:
    """Return what starts a child of a kind once, and fails from then on."""
    lock, started = threading.Lock(), list[ChildProcess]()

    def start() -> ChildProcess:
        with lock:
            if started:
                raise ChildDiedError(reason)
            started.append(kind())
            return started[0]

    return start
