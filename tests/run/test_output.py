"""One source to its output: what ends the run, what fails one picture, and what waits for what."""

import errno
import threading
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from memory_store import MemoryStore
from PIL import Image
from typing_extensions import override

from colorbatch.errors import EnvironmentFailure, InferenceStoppedError, OutputUnwritableError
from colorbatch.inference.model_file import ModelFile, read_model_file
from colorbatch.job import BatchJob, ColorOptions
from colorbatch.machine import MemoryBudget
from colorbatch.records.row import Row
from colorbatch.run.colorize import Encoded, NoOutput, Recipe
from colorbatch.run.gate import Gate
from colorbatch.run.output import make
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.work import Executor, Failed, Kept, Made, Run, Skipped, Work
from colorbatch.stages import StageTimer
from colorbatch.store.file_state import FileState

PLANNED = PlannedPicture("a.png", "a.png", "a.png", bytes=100)


class Fixed(Executor):
    """Gives every source the same output, or raises."""

    def __init__(self, result: Encoded | NoOutput | Exception) -> None:
        self.result = result
        self.seen: list[bytes] = []

    @override
    def colorize(self, data: bytes, planned: PlannedPicture, stages: StageTimer) -> Encoded | NoOutput:
        self.seen.append(data)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    @override
    def stop(self) -> None:
        raise AssertionError


class Full(MemoryStore):
    """A store that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__(name="out")
        self._number = number

    @override
    def write(self, name: str, data: bytes, *, may_replace: bool) -> FileState:
        cause = OSError(self._number, "the reason")
        raise OutputUnwritableError(f"cannot write {name}") from cause


@pytest.fixture
def model(model_path: Path) -> ModelFile:
    return read_model_file(str(model_path))


def png() -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def work_on(
    model: ModelFile,
    executor: Executor,
    output: MemoryStore | None = None,
    source: MemoryStore | None = None,
    earlier: Sequence[Row] = (),
    announced: list[str] | None = None,
) -> Work:
    recipe = Recipe(BatchJob(Path("in"), Path("out")), model, ColorOptions())
    source = MemoryStore({"a.png": png()}, "in") if source is None else source
    run = Run(recipe, source, output or MemoryStore(name="out"), {row.input: row for row in earlier})
    names = [] if announced is None else announced
    return Work(run, executor, lambda name, *_: names.append(name))


DONE = Encoded(Row("a.png", "a.png", "done", input_sha256="0" * 64, output_sha256="1" * 64), b"an output")


def test_an_output_is_announced_before_it_is_written(model: ModelFile) -> None:
    output = MemoryStore(name="out")
    announced: list[str] = []

    class Noted(MemoryStore):
        @override
        def write(self, name: str, data: bytes, *, may_replace: bool) -> FileState:
            assert announced == ["a.png"]
            return output.write(name, data, may_replace=may_replace)

    outcome = make(PLANNED, work_on(model, Fixed(DONE), Noted(name="out"), announced=announced))
    assert isinstance(outcome, Made)
    assert output.files == {"a.png": b"an output"}
    assert outcome.row.seconds is not None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_what_the_next_picture_would_meet_as_well_ends_the_run(model: ModelFile, number: int) -> None:
    with pytest.raises(OutputUnwritableError):
        make(PLANNED, work_on(model, Fixed(DONE), Full(number)))


def test_any_other_write_failure_is_of_one_picture(model: ModelFile) -> None:
    outcome = make(PLANNED, work_on(model, Fixed(DONE), Full(errno.ENAMETOOLONG)))
    assert isinstance(outcome, Failed)
    assert outcome.row.reason == "cannot write a.png"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("can't start new thread"), "not enough memory"),  # as CPython's _thread says it
        (ZeroDivisionError("by zero"), "a bug in colorbatch: ZeroDivisionError"),
    ],
)
def test_what_goes_wrong_with_one_picture_fails_it_alone(model: ModelFile, error: Exception, reason: str) -> None:
    outcome = make(PLANNED, work_on(model, Fixed(error)))
    assert isinstance(outcome, Failed)
    assert outcome.row.reason.startswith(reason)


@pytest.mark.parametrize("error", [InferenceStoppedError("stopped"), EnvironmentFailure("no provider")])
def test_what_ends_the_run_is_passed_on(model: ModelFile, error: Exception) -> None:
    with pytest.raises(type(error)):
        make(PLANNED, work_on(model, Fixed(error)))


def test_a_source_that_is_gone_fails(model: ModelFile) -> None:
    executor = Fixed(DONE)
    outcome = make(PLANNED, work_on(model, executor, source=MemoryStore({"b.png": b""}, "in")))
    assert isinstance(outcome, Failed)
    assert outcome.row.reason.startswith("cannot read the file: ")
    assert executor.seen == []


def test_what_the_plan_decides_is_not_read(model: ModelFile) -> None:
    executor = Fixed(DONE)
    skipped = PlannedPicture("n.txt", "n.txt", verdict="skipped", reason="not a picture file name")
    broken = PlannedPicture("x.png", "x.png", verdict="failed", reason="cannot read the file: gone")
    work = work_on(model, executor)
    assert isinstance(make(skipped, work), Skipped)
    assert isinstance(make(broken, work), Failed)
    assert executor.seen == []


def test_an_output_of_a_source_that_is_excluded_now_is_kept(model: ModelFile) -> None:
    excluded = PlannedPicture("a.png", "a.png", verdict="skipped", reason="excluded")
    earlier = Row("a.png", "a.png", "done", input_sha256="0" * 64, output_sha256="1" * 64)
    output = MemoryStore({"a.png": b"made before"}, "out")
    assert make(excluded, work_on(model, Fixed(DONE), output, earlier=[earlier])) == Kept(earlier)
    output.delete("a.png")
    assert isinstance(make(excluded, work_on(model, Fixed(DONE), output, earlier=[earlier])), Skipped)


def test_a_source_that_is_excluded_now_keeps_the_output_of_before_its_failure_on_record(model: ModelFile) -> None:
    excluded = PlannedPicture("a.png", "a.png", verdict="skipped", reason="excluded")
    earlier = Row("a.png", "a.png", "failed", "cannot read the file: gone", output_sha256="1" * 64)
    output = MemoryStore({"a.png": b"made before"}, "out")
    outcome = make(excluded, work_on(model, Fixed(DONE), output, earlier=[earlier]))
    assert isinstance(outcome, Skipped)
    assert (outcome.row.reason, outcome.row.outputs) == ("excluded", [("a.png", "1" * 64)])


def test_a_failed_source_keeps_the_earlier_output_on_record(model: ModelFile) -> None:
    earlier = Row("a.png", "a.png", "done", input_sha256="0" * 64, output_sha256="1" * 64)
    output = MemoryStore({"a.png": b"made before"}, "out")
    outcome = make(PLANNED, work_on(model, Fixed(MemoryError()), output, earlier=[earlier]))
    assert (outcome.row.status, outcome.row.output, outcome.row.output_sha256) == ("failed", "a.png", "1" * 64)


def test_sources_of_a_remote_store_are_read_when_there_is_memory_for_them(model: ModelFile) -> None:
    source = MemoryStore({"a.png": png()}, "in")
    source.is_remote = True
    executor = Fixed(DONE)
    work = work_on(model, executor, source=source)
    work = Work(work.run, executor, work.announce, reading=MemoryBudget(150))
    with work.reading.taken(100):
        thread = threading.Thread(target=make, args=(PLANNED, work))
        thread.start()
        time.sleep(0.2)
        assert executor.seen == []
    thread.join(10)
    assert executor.seen == [png()]


def test_a_closed_gate_lets_nobody_in_and_waits_for_those_inside() -> None:
    gate = Gate()
    order = []
    inside, leave = threading.Event(), threading.Event()

    def write() -> None:
        with gate.passed():
            inside.set()
            leave.wait(10)
            order.append("written")

    thread = threading.Thread(target=write)
    thread.start()
    assert inside.wait(10)
    threading.Timer(0.2, leave.set).start()
    gate.close(10.0)
    order.append("closed")
    thread.join(10)
    assert order == ["written", "closed"]
    with pytest.raises(InferenceStoppedError), gate.passed():
        pass


def test_a_closed_gate_does_not_wait_forever() -> None:
    gate = Gate()
    with gate.passed():
        started = time.monotonic()
        gate.close(0.1)
        assert time.monotonic() - started < 5
