"""Runs that are stopped, killed, or end at a full disk."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from batches import Listener, make_tree, rows, tree
from helpers import LocalJob, endless_model
from PIL import Image

import colorbatch
from colorbatch.errors import OutputUnwritableError, StoreUnavailableError
from colorbatch.formats import encode
from colorbatch.job import ColorOptions
from colorbatch.operations.audit import audit_batch
from colorbatch.records.row import NOT_REACHED
from colorbatch.run import batch, colorize
from colorbatch.run.engines import engine
from colorbatch.store import atomic
from colorbatch.store.local import LocalStore
from colorbatch.store.store import Head


def test_a_stopped_run_goes_on_to_the_same_tree(job: LocalJob, tmp_path: Path) -> None:
    make_tree(job.source, *(f"{number:02}.png" for number in range(30)))
    stop = threading.Event()
    summary = batch.run_batch(job, Listener(stop, after=3), stop)
    assert summary.stopped
    assert summary.done + summary.not_reached == 35
    assert summary.not_reached > 0
    found = rows(job.output)
    assert len(found) == 35
    assert {name for name, row in found.items() if row["status"] == "done"} == set(tree(job.output))
    assert sum(row["reason"] == NOT_REACHED for row in found.values()) == summary.not_reached

    again = batch.run_batch(job, stop=stop)  # stopped before it began
    assert (again.done, again.not_reached) == (summary.done, summary.not_reached)
    job = replace(job, engine="threads")
    rest = batch.run_batch(job)
    assert (rest.done, rest.kept) == (35, summary.done)
    whole = replace(job, output=tmp_path / "whole")
    batch.run_batch(whole)
    assert tree(job.output) == tree(whole.output)


def test_a_full_disk_ends_the_run_and_the_next_one_completes_it(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes = atomic.write_bytes

    def full(path: Path, data: bytes, *, may_replace: bool, root: Path | None) -> None:
        if path.name == "c.tif":
            cause = OSError(errno.ENOSPC, "No space left on device")
            raise OutputUnwritableError("cannot write c.tif: No space left on device") from cause
        write_bytes(path, data, may_replace=may_replace, root=root)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_bytes", full)
        with pytest.raises(OutputUnwritableError, match="No space left"):
            batch.run_batch(LocalJob(job.source, job.output, job.model, "cpu", jobs=1))
    found = rows(job.output)
    assert len(found) == 5
    assert found["sub/deeper/c.tif"]["reason"] == NOT_REACHED
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (5, 0)


def test_fail_fast_leaves_the_rest_for_later(tmp_path: Path, model_path: Path) -> None:
    make_tree(tmp_path / "source", *(f"{number:02}.png" for number in range(30)))
    (tmp_path / "source" / "00.png").write_bytes(b"no picture")
    job = LocalJob(
        tmp_path / "source", tmp_path / "out", str(model_path), "cpu", engine="threads", jobs=1, fail_fast=True
    )
    summary = batch.run_batch(job)
    assert summary.failed == 1
    assert summary.stopped
    assert summary.not_reached > 20
    assert summary.done + summary.failed + summary.skipped == 30


def test_a_model_that_never_returns_fails_the_picture_after_the_timeout(job: LocalJob, tmp_path: Path) -> None:
    path = tmp_path / "endless.onnx"
    path.write_bytes(endless_model().SerializeToString())
    summary = batch.run_batch(replace(job, model=str(path), timeout=0.2))
    assert summary.failed == 5
    assert rows(job.output)["a.jpg"]["reason"] == "the model took too long. Raise --timeout if it is slow."
    assert list(tree(job.output)) == []


def test_a_run_in_the_middle_of_an_inference_stops_within_5_seconds(job: LocalJob, tmp_path: Path) -> None:
    path = tmp_path / "endless.onnx"
    path.write_bytes(endless_model().SerializeToString())
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    started = time.monotonic()
    summary = batch.run_batch(replace(job, model=str(path)), stop=stop)
    assert time.monotonic() - started < 5.5
    assert summary.stopped
    assert (summary.done, summary.failed, summary.not_reached) == (0, 0, 5)
    assert batch.run_batch(job).done == 5


def test_what_cannot_be_broken_off_is_abandoned_and_writes_nothing(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, over = threading.Event(), threading.Event()

    def slow(picture: colorbatch.Picture) -> bytes:
        goes_on.wait(30)
        over.set()
        return encode(picture)

    monkeypatch.setattr(colorize, "encode", slow)
    monkeypatch.setattr(engine, "SECONDS_TO_FINISH", 0.1)
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    summary = batch.run_batch(replace(job, jobs=2), stop=stop)
    assert summary.stopped
    assert summary.not_reached == 5
    goes_on.set()
    assert over.wait(5)
    for thread in threading.enumerate():
        if thread.name.startswith("colour"):
            thread.join(5)
    assert list(tree(job.output)) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_a_run_killed_again_and_again_ends_as_if_it_never_had_been(tmp_path: Path, model_path: Path, jobs: int) -> None:
    source = tmp_path / "in"
    for number in range(60):
        path = source / f"{number % 3}" / f"{number:02}.{('jpg', 'png', 'tif')[number % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (90, 120), dtype=np.uint8)
        Image.fromarray(pixels).resize((300, 200)).save(path)
    straight = LocalJob(source, tmp_path / "straight", str(model_path), "cpu", jobs=1)
    assert batch.run_batch(straight).done == 60
    output = tmp_path / "killed"
    command = [sys.executable, "-m", "colorbatch", "run", "-q", "--model", str(model_path), "--jobs", str(jobs)]
    for wanted in (5, 20, 41):
        with subprocess.Popen([*command, str(source), str(output)]) as process:
            deadline = time.monotonic() + 60
            while (
                sum(1 for _ in output.rglob("*.*")) < wanted and process.poll() is None and time.monotonic() < deadline
            ):
                time.sleep(0.01)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    (output / "0" / ".colorbatch-0123456789abcdef.tmp").write_bytes(b"left by a kill between write and rename")
    last = batch.run_batch(replace(straight, output=output, jobs=jobs))
    assert (last.done, last.failed) == (60, 0)
    assert last.kept >= 30
    assert tree(output) == tree(straight.output)
    assert audit_batch(output, source).is_sound


def test_a_stopped_run_over_a_list_leaves_all_rows_standing(job: LocalJob) -> None:
    batch.run_batch(job)
    before = rows(job.output)
    stop = threading.Event()
    stop.set()
    summary = batch.run_batch(replace(job, options=ColorOptions(strength=0.5), only=frozenset({"a.jpg"})), stop=stop)
    assert rows(job.output) == before
    assert summary.stopped


class Unmount(Listener):
    """Renames a folder after some pictures, as if it were unmounted."""

    def __init__(self, folder: Path, after: int) -> None:
        super().__init__()
        self._folder, self._after_steps = folder, after

    def advance(self, steps: int = 1, **facts: float | None) -> None:
        super().advance(steps, **facts)
        if self.steps == self._after_steps:
            self._folder.rename(self._folder.with_name("unmounted"))


@pytest.fixture
def many(tmp_path: Path, model_path: Path) -> LocalJob:
    make_tree(tmp_path / "in", *(f"{number:02}.png" for number in range(40)))
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu", jobs=1)


def test_a_source_that_is_unmounted_ends_the_run_and_fails_no_picture(many: LocalJob) -> None:
    with pytest.raises(StoreUnavailableError, match="in is gone: No such file or directory") as caught:
        batch.run_batch(many, Unmount(many.source, 3))
    assert caught.value.exit_code == 4
    (many.source.with_name("unmounted")).rename(many.source)
    found = rows(many.output)
    assert len(found) == 40
    assert {row["status"] for row in found.values()} == {"done", "skipped"}
    assert {row["reason"] for row in found.values() if row["status"] == "skipped"} == {NOT_REACHED}
    assert batch.run_batch(replace(many, engine="threads")).done == 40


def test_an_output_folder_that_is_unmounted_ends_the_run_and_is_not_made_again(many: LocalJob) -> None:
    with pytest.raises(StoreUnavailableError, match="out is gone: No such file or directory") as caught:
        batch.run_batch(many, Unmount(many.output, 3))
    assert caught.value.exit_code == 4
    assert not many.output.exists()
    (many.output.with_name("unmounted")).rename(many.output)
    assert batch.run_batch(replace(many, engine="threads")).done == 40
    assert audit_batch(many.output, many.source).is_sound


def test_a_source_that_is_unmounted_while_it_is_listed_ends_the_run(
    many: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = LocalStore.head

    def unmounted(store: LocalStore, name: str, count: int) -> Head:
        if name == "20.png":
            many.source.rename(many.source.with_name("unmounted"))
        return head(store, name, count)

    monkeypatch.setattr(LocalStore, "head", unmounted)
    with pytest.raises(StoreUnavailableError, match="in is gone"):
        batch.run_batch(many)
    assert not many.output.exists()
