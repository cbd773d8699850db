"""The threads of this process: order, a stop and failures; a fake stands in for the model."""

import errno
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import wait_until
from memory_store import MemoryStore
from typing_extensions import override

from colorbatch.errors import EnvironmentFailure, InferenceStoppedError, OutputUnwritableError, PictureError, UsageError
from colorbatch.inference.model_file import read_model_file
from colorbatch.job import BatchJob
from colorbatch.progress import SilentProgress
from colorbatch.run.colorize import Encoded, NoOutput, Recipe, row_of
from colorbatch.run.engines import engine as engine_module
from colorbatch.run.engines import local as local_module
from colorbatch.run.engines.engine import SECONDS_BETWEEN_LOOKS, Task
from colorbatch.run.engines.local import (
    READING_OR_WRITING,
    WAITING_FOR_A_STORE,
    LocalEngine,
    OpenedExecutor,
    budgets_of,
    waiting_threads,
    workers_of,
)
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.work import Failed, Made, Outcome, Run
from colorbatch.stages import StageTimer
from colorbatch.store.file_state import FileState

PICTURES = [f"{number:02}.png" for number in range(30)]


class FakeExecutor(OpenedExecutor):
    """Returns its input as the output, after calling what a test has given."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.workers = workers_of(recipe.job)
        self.act: Callable[[str], object] = lambda _: None
        self.is_stopped = threading.Event()
        self.is_closed = False
        self.begun: list[str] = []

    @property
    @override
    def provider(self) -> str:
        return "fake"

    @override
    def colorize(self, data: bytes, planned: PlannedPicture, stages: StageTimer) -> Encoded | NoOutput:
        self.begun.append(planned.input)
        self.act(planned.input)
        if self.is_stopped.is_set():
            raise InferenceStoppedError("the run was stopped")
        row = replace(row_of(planned, "done"), output=planned.output_name, output_sha256="0" * 64)
        return Encoded(row, data)

    @override
    def stop(self) -> None:
        self.is_stopped.set()

    @override
    def close(self) -> None:
        self.is_closed = True


class Shown(SilentProgress):
    """Keeps what is in progress."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @override
    @contextmanager
    def working_on(self, name: str) -> Iterator[None]:
        self.names.append(name)
        yield


class FullStore(MemoryStore):
    """A store that has room for a number of outputs."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    @override
    def write(self, name: str, data: bytes, *, may_replace: bool) -> FileState:
        if len(self.files) == self._room:
            error = OSError(errno.ENOSPC, "No space left on device")
            raise OutputUnwritableError(f"cannot write {name}: the disk is full") from error
        return super().write(name, data, may_replace=may_replace)


class CountedPlan(list[PlannedPicture]):
    """A plan that counts how many of its pictures were taken."""

    taken = 0

    @override
    def __iter__(self) -> Iterator[PlannedPicture]:
        for planned in super().__iter__():
            self.taken += 1
            yield planned


class LocalRun:
    """An engine with one computing thread over pictures in memory."""

    def __init__(self, job: BatchJob, output: MemoryStore | None = None) -> None:
        recipe = Recipe(job, read_model_file(job.model), job.options)
        self.executor = FakeExecutor(recipe)
        self.engine = LocalEngine(self.executor, "a reason")
        self.source = MemoryStore({name: name.encode() for name in PICTURES})
        self.output = output or MemoryStore()
        self.announced: list[str] = []
        self.shown = Shown()
        self.stop = threading.Event()
        self.plan = CountedPlan(PlannedPicture(name, name, name, bytes=len(name)) for name in PICTURES)

    def outcomes(self) -> Iterator[Outcome]:
        run = Run(self.executor.recipe, self.source, self.output)
        return self.engine.outcomes(Task(self.plan, run, self._announce, self.stop, self.shown))

    def _announce(self, name: str, *_: object) -> None:
        self.announced.append(name)


@pytest.fixture
def job(model_path: Path) -> BatchJob:
    return BatchJob(Path("in"), Path("out"), str(model_path), "cpu", jobs=1)


@pytest.fixture
def local(job: BatchJob) -> LocalRun:
    return LocalRun(job)


@pytest.fixture
def impatient(local: LocalRun, monkeypatch: pytest.MonkeyPatch) -> LocalRun:
    monkeypatch.setattr(engine_module, "SECONDS_TO_FINISH", 0.1)
    return local


def names(outcomes: list[Outcome]) -> list[str]:
    return sorted(outcome.row.input for outcome in outcomes)


def test_every_picture_is_made_once_and_announced_before(local: LocalRun) -> None:
    outcomes = list(local.outcomes())
    assert all(isinstance(outcome, Made) for outcome in outcomes)
    assert names(outcomes) == PICTURES
    assert sorted(local.announced) == sorted(local.shown.names) == PICTURES
    assert local.output.files == local.source.files
    assert (local.engine.provider, local.engine.provider_reason) == ("fake", "a reason")
    assert set(local.engine.stages.costs) == {"read", "write"}


def test_an_outcome_is_yielded_while_a_slow_picture_is_computed(
    local: LocalRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_module, "SECONDS_BETWEEN_LOOKS", 30)
    release = threading.Event()
    local.executor.act = lambda name: release.wait(30) if name == PICTURES[0] else None
    started = time.monotonic()
    outcomes = local.outcomes()
    first = next(outcomes)
    assert time.monotonic() - started < 20
    assert first.row.input != PICTURES[0]
    release.set()
    assert names([first, *outcomes]) == PICTURES


def test_pictures_are_begun_in_the_order_of_the_plan_and_no_more_than_there_are_threads(local: LocalRun) -> None:
    release = threading.Event()
    local.executor.act = lambda _: release.wait(30)
    with ThreadPoolExecutor(1) as pool:
        outcomes = pool.submit(lambda: list(local.outcomes()))
        wait_until(lambda: len(local.executor.begun) == 1 + READING_OR_WRITING)
        time.sleep(0.2)
        begun, taken = sorted(local.executor.begun), local.plan.taken
        release.set()
        assert len(outcomes.result()) == len(PICTURES)
    assert begun == PICTURES[: 1 + READING_OR_WRITING]
    assert taken < len(PICTURES), "a plan may be long: few pictures are queued"


def test_a_picture_that_fails_does_not_end_the_run(local: LocalRun) -> None:
    def fail(name: str) -> None:
        if name == PICTURES[3]:
            raise PictureError("it is broken")

    local.executor.act = fail
    outcomes = list(local.outcomes())
    (failed,) = (outcome for outcome in outcomes if isinstance(outcome, Failed))
    assert (failed.row.input, failed.row.reason) == (PICTURES[3], "it is broken")
    assert names(outcomes) == PICTURES


def test_an_environment_failure_ends_the_run_after_the_pictures_in_progress(local: LocalRun) -> None:
    beside = threading.Event()

    def fail(name: str) -> None:
        if name == PICTURES[0]:
            beside.wait(30)
            raise EnvironmentFailure("no child process can be started")
        beside.set()
        time.sleep(0.05)

    local.executor.act = fail
    outcomes: list[Outcome] = []
    with pytest.raises(EnvironmentFailure, match="no child process can be started"):
        outcomes.extend(local.outcomes())
    assert set(names(outcomes)) == set(local.executor.begun) - {PICTURES[0]}
    assert 0 < len(outcomes) < len(PICTURES) - 1


def test_a_full_disk_ends_the_run(job: BatchJob) -> None:
    local = LocalRun(job, FullStore(4))
    outcomes: list[Outcome] = []
    with pytest.raises(OutputUnwritableError, match="the disk is full"):
        outcomes.extend(local.outcomes())
    assert names(outcomes) == sorted(local.output.files)
    assert len(local.output.files) == 4


def test_after_a_stop_the_pictures_in_progress_are_finished_and_no_other_is_begun(
    local: LocalRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "SECONDS_TO_FINISH", 30)
    release = threading.Event()
    local.executor.act = lambda _: release.wait(30)
    with ThreadPoolExecutor(1) as pool:
        outcomes = pool.submit(lambda: list(local.outcomes()))
        wait_until(lambda: len(local.executor.begun) == 1 + READING_OR_WRITING)
        local.stop.set()
        time.sleep(3 * SECONDS_BETWEEN_LOOKS)
        release.set()
        assert names(outcomes.result()) == PICTURES[: 1 + READING_OR_WRITING]
    assert not local.executor.is_stopped.is_set()


def test_after_a_stop_a_long_inference_is_broken_off(local: LocalRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "SECONDS_TO_FINISH", 2)
    local.executor.act = lambda _: local.executor.is_stopped.wait(30)
    threading.Timer(0.2, local.stop.set).start()
    started = time.monotonic()
    assert list(local.outcomes()) == []
    assert time.monotonic() - started < 2 * 2, "no picture had to be abandoned"
    assert local.output.files == {}


def test_after_a_stop_a_picture_that_cannot_be_broken_off_is_abandoned(impatient: LocalRun) -> None:
    release = threading.Event()
    impatient.executor.act = lambda _: release.wait(30)
    threading.Timer(0.2, impatient.stop.set).start()
    started = time.monotonic()
    assert list(impatient.outcomes()) == []
    assert time.monotonic() - started < 20
    impatient.executor.is_stopped.clear()  # the inference comes to its end all the same
    release.set()
    time.sleep(0.2)
    assert impatient.output.files == {}, "nothing is written after the end of a run"


def test_when_the_caller_leaves_early_nothing_more_is_written(local: LocalRun) -> None:
    release = threading.Event()
    local.executor.act = lambda name: release.wait(30) if name != PICTURES[0] else None
    outcomes = local.outcomes()
    next(outcomes)
    assert isinstance(outcomes, Generator)
    outcomes.close()
    assert local.executor.is_stopped.is_set()
    local.executor.is_stopped.clear()  # the inferences come to their end all the same
    release.set()
    time.sleep(0.2)
    assert list(local.output.files) == PICTURES[:1]


def test_the_engine_closes_its_executor(local: LocalRun) -> None:
    local.engine.close()
    assert local.executor.is_closed


def test_less_than_one_job_is_refused(job: BatchJob) -> None:
    assert workers_of(replace(job, jobs=3)) == 3
    assert workers_of(replace(job, jobs=3), on_gpu=True) == 3
    with pytest.raises(UsageError, match="jobs must be 1 or more, not 0"):
        workers_of(replace(job, jobs=0))


@pytest.mark.parametrize(
    ("computing", "is_remote", "expected"),
    [(4, False, READING_OR_WRITING), (4, True, WAITING_FOR_A_STORE), (20, True, 20)],
)
def test_more_threads_wait_for_a_store_than_for_a_folder(computing: int, expected: int, *, is_remote: bool) -> None:
    assert waiting_threads(computing, is_remote=is_remote) == expected


def test_a_quarter_of_the_memory_is_for_files_of_a_store_that_are_read_ahead(job: BatchJob) -> None:
    class Remote(MemoryStore):
        is_remote = True

    recipe = Recipe(replace(job, memory_limit=1000), read_model_file(job.model), job.options)
    for source, expected in ((MemoryStore(), (1000, 0)), (Remote(), (750, 250))):
        memory, reading = budgets_of(Run(recipe, source, MemoryStore()))
        assert (memory._limit, reading._limit) == expected  # noqa: SLF001 (it tells nobody)
    memory, _ = budgets_of(Run(recipe, MemoryStore(), MemoryStore()), 0.5)
    assert memory._limit == 500  # noqa: SLF001 (it tells nobody)
