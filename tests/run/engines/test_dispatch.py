"""Which worker gets which picture, and what is done when workers die; a fake stands in for the pool."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from memory_store import MemoryStore
from typing_extensions import override

from colorbatch.errors import OutputUnwritableError
from colorbatch.inference.model_file import read_model_file
from colorbatch.job import BatchJob
from colorbatch.progress import SilentProgress
from colorbatch.records.manifest import announcement
from colorbatch.records.row import Row
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.run.colorize import Recipe, row_of
from colorbatch.run.engines.dispatch import MAX_DEATHS_ALONE, MAX_SHARED_DEATHS, Dispatch
from colorbatch.run.engines.pool import Pool, TaskDone, WorkerHandle, WorkerLost
from colorbatch.run.engines.worker import Finished, Stopped, StopStep, Task, TaskResult, Unwritable
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.work import Failed, Made, Outcome, Run
from colorbatch.stages import StageCost, StageTimer

OUTPUT = b"an output"
SHA256 = hashlib.sha256(OUTPUT).hexdigest()


@dataclass
class Fate:
    """What happens to the tasks of fake workers."""

    deadly: set[str] = field(default_factory=set)
    """Inputs at which workers die."""
    unwritable: set[str] = field(default_factory=set)
    before_death: Callable[[int], object] = lambda _: None
    """Called with the number of the worker."""


class FakePool(Pool):
    """One worker with room for three pictures, which finishes them in order."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.log: list[tuple[str, ...]] = []
        """The inputs that the worker had each time that it was asked for results."""
        self.written: dict[str, Sequence[str]] = {}
        self.stopped: list[StopStep] = []
        self.run_token = ""
        self._worker = WorkerHandle(None, 1, None)

    @override
    def begin(self, run: str) -> None:
        self.run_token = run

    @override
    def fill(self) -> None:
        pass

    @override
    def worker_with_room(self) -> WorkerHandle | None:
        return None if self._worker.is_alone or len(self._worker.tasks) == 3 else self._worker

    @override
    def idle_worker(self) -> WorkerHandle | None:
        if self._worker.tasks:
            return None
        self._worker.is_alone = True
        return self._worker

    @override
    def submit(self, worker: WorkerHandle, task: Task) -> None:
        worker.tasks[task.planned.input] = task
        self.written[task.planned.input] = sorted(task.written[task.planned.output_name])

    @override
    def results(self, *, is_stopping: bool = False) -> Iterator[TaskDone | WorkerLost]:
        worker = self._worker
        self.log.append(tuple(worker.tasks))
        if self.fate.deadly & worker.tasks.keys():
            self.fate.before_death(worker.number)
            self._worker = WorkerHandle(None, worker.number + 1, None)
            yield WorkerLost(worker.number, tuple(worker.tasks.values()), worker.is_alone)
            return
        worker.is_alone = False
        for name in list(worker.tasks):
            yield TaskDone(worker.tasks.pop(name), Stopped() if is_stopping else self._result(name))

    @override
    def abandon_tasks(self) -> list[int]:
        return [self._worker.number] if self._worker.tasks else []

    @override
    def stop(self, step: StopStep) -> None:
        self.stopped.append(step)

    def _result(self, name: str) -> TaskResult:
        if name in self.fate.unwritable:
            return Unwritable("the disk is full")
        row = replace(row_of(picture(name), "done"), output=name)
        return Finished(Made(row), {"read": StageCost(seconds=1.0)})


class Shown(SilentProgress):
    """Records what is shown as in progress."""

    def __init__(self) -> None:
        self.entered: Counter[str] = Counter()
        self.left: Counter[str] = Counter()

    @override
    @contextmanager
    def working_on(self, name: str) -> Iterator[None]:
        self.entered[name] += 1
        yield
        self.left[name] += 1


class Driver:
    """A run over pictures whose names are single letters."""

    def __init__(self, names: str, fate: Fate, recipe: Recipe, *earlier: Row) -> None:
        self.output = MemoryStore()
        self.pool = FakePool(fate)
        self.announced: list[tuple[str, str, Row | None]] = []
        self.stages = StageTimer()
        self.stop = threading.Event()
        self._shown = Shown()
        self.dispatch = Dispatch(
            self.pool,
            [picture(name) for name in names],
            Run(recipe, MemoryStore(), self.output, {each.input: each for each in earlier}),
            lambda *announced: self.announced.append(announced),
            self._shown,
            self.stages,
        )

    def outcomes(self) -> dict[str, Outcome]:
        found = list(self.dispatch.outcomes(self.stop))
        by_name = {outcome.row.input: outcome for outcome in found}
        assert len(by_name) == len(found), "every picture has one outcome"
        assert self._shown.entered == self._shown.left
        return by_name

    def write_output(self, number: int, name: str) -> None:
        """Announce an output and write it, as a worker does."""
        self.output.put(self.notes_of(number), announcement(name, SHA256, announced_row(name)))
        self.output.put(name, OUTPUT)

    def notes_of(self, number: int) -> str:
        return f"{STATE_FOLDER}/announced-{self.pool.run_token}-{number}.jsonl"


def announced_row(name: str) -> Row:
    return Row(name, name, "done", output_sha256=SHA256)


def picture(name: str) -> PlannedPicture:
    return PlannedPicture(name, name, name)


@pytest.fixture
def recipe(model_path: Path) -> Recipe:
    job = BatchJob(Path("in"), Path("out"), str(model_path), "cpu")
    return Recipe(job, read_model_file(job.model), job.options)


def test_every_picture_is_submitted_once_and_in_order(recipe: Recipe) -> None:
    driver = Driver("abcde", Fate(), recipe)
    outcomes = driver.outcomes()
    assert list(outcomes) == list("abcde")
    assert all(isinstance(outcome, Made) for outcome in outcomes.values())
    assert driver.pool.log == [("a", "b", "c"), ("d", "e")]
    assert driver.stages.costs["read"].seconds == 5


def test_a_picture_whose_workers_die_gets_one_alone_and_is_then_given_up(recipe: Recipe) -> None:
    driver = Driver("abcd", Fate(deadly={"b"}), recipe)
    outcomes = driver.outcomes()
    with_others, alone = driver.pool.log[:MAX_SHARED_DEATHS], [each for each in driver.pool.log if each == ("b",)]
    assert all("b" in each and len(each) > 1 for each in with_others)
    assert len(alone) == MAX_DEATHS_ALONE
    assert sum("b" in each for each in driver.pool.log) == MAX_SHARED_DEATHS + MAX_DEATHS_ALONE
    assert isinstance(outcomes["b"], Failed)
    assert outcomes["b"].row.reason == "the workers that coloured it died 4 times; it may need too much memory"
    assert {name for name, outcome in outcomes.items() if isinstance(outcome, Made)} == set("acd")


def test_a_picture_that_was_only_beside_a_deadly_one_is_not_given_up(recipe: Recipe) -> None:
    """Both die with the worker as often as each other, until each has one alone."""
    driver = Driver("ab", Fate(deadly={"b"}), recipe)
    outcomes = driver.outcomes()
    assert driver.pool.log[:MAX_SHARED_DEATHS] == [("a", "b"), ("b", "a")]
    assert ("a",) in driver.pool.log
    assert isinstance(outcomes["a"], Made)
    assert isinstance(outcomes["b"], Failed)


def test_what_a_lost_worker_announced_is_known_and_its_notes_are_deleted(recipe: Recipe) -> None:
    fate = Fate(deadly={"a"})
    driver = Driver("a", fate, recipe)
    states: list[bool] = []

    def announce_then_survive(number: int) -> None:
        driver.write_output(number, "a")
        states.append(driver.output.is_file(driver.notes_of(number)))
        fate.deadly.clear()

    fate.before_death = announce_then_survive
    assert isinstance(driver.outcomes()["a"], Made)
    assert states == [True]
    assert not driver.output.is_file(driver.notes_of(1)), "a worker out of reach must not write any more"
    assert driver.announced == [("a", SHA256, announced_row("a"))], "the driver may be killed before the next try"
    assert driver.pool.written["a"] == [SHA256], "the next worker may replace what the lost one wrote"


@pytest.mark.parametrize("is_recorded", [False, True])
def test_cleanup_deletes_what_a_lost_worker_wrote_unless_a_row_records_it(recipe: Recipe, *, is_recorded: bool) -> None:
    fate = Fate(deadly={"a"})
    driver = Driver("a", fate, recipe)

    def write(number: int) -> None:
        driver.write_output(number, "a")
        if is_recorded:
            fate.deadly.clear()

    fate.before_death = write
    outcome = driver.outcomes()["a"]
    assert isinstance(outcome, Made if is_recorded else Failed)
    driver.output.put("of somebody else", b"kept")
    driver.dispatch.clean_up()
    assert driver.output.is_file("a") is is_recorded
    assert driver.output.is_file("of somebody else")


def test_cleanup_leaves_the_copy_of_a_sidecar_that_the_row_of_a_given_up_picture_names(recipe: Recipe) -> None:
    before = Row("a", "a", "done", output_sha256="0" * 64, sidecar_output="a.xmp", sidecar_output_sha256="1" * 64)
    fate = Fate(deadly={"a"})
    driver = Driver("a", fate, recipe, before)
    driver.output.put("a", b"before")
    fate.before_death = lambda number: driver.write_output(number, "a.xmp")
    row = driver.outcomes()["a"].row
    assert (row.status, row.output, row.sidecar_output) == ("failed", "a", "a.xmp")
    driver.dispatch.clean_up()
    assert driver.output.is_file("a.xmp")


def test_an_output_that_was_altered_after_its_announcement_is_not_deleted(recipe: Recipe) -> None:
    fate = Fate(deadly={"a"})
    driver = Driver("a", fate, recipe)
    fate.before_death = lambda number: driver.write_output(number, "a")
    driver.outcomes()
    driver.output.put("a", b"of somebody else")
    driver.dispatch.clean_up()
    assert driver.output.is_file("a")


def test_when_the_output_is_unwritable_the_pictures_in_progress_are_finished(recipe: Recipe) -> None:
    driver = Driver("abcdef", Fate(unwritable={"b"}), recipe)
    found: list[str] = []
    with pytest.raises(OutputUnwritableError, match="the disk is full"):
        found.extend(outcome.row.input for outcome in driver.dispatch.outcomes(driver.stop))
    assert found == ["a", "c"]
    assert driver.pool.log == [("a", "b", "c")]


def test_a_stop_submits_nothing_more(recipe: Recipe) -> None:
    driver = Driver("abcdef", Fate(), recipe)
    found = []
    for outcome in driver.dispatch.outcomes(driver.stop):
        found.append(outcome.row.input)
        driver.stop.set()
    assert found == ["a", "b", "c"]
    assert driver.pool.log == [("a", "b", "c")]
    assert driver.pool.stopped == ["beginning"]


def test_workers_with_unfinished_pictures_are_cleaned_up_after(recipe: Recipe) -> None:
    """The caller stops taking outcomes while a worker is still computing."""
    driver = Driver("abc", Fate(), recipe)
    outcomes = driver.dispatch.outcomes(driver.stop)
    next(outcomes)
    driver.write_output(1, "c")
    assert isinstance(outcomes, Generator)
    outcomes.close()
    driver.dispatch.clean_up()
    assert not driver.output.is_file("c")
