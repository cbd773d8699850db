import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers import SAMPLES, LocalJob, endless_model, small_model, vivid_model
from PIL import Image, ImageFile

import colorbatch
from colorbatch.errors import ModelRefusedError, OutputUnwritableError, UnreadablePictureError, UsageError
from colorbatch.formats import encode
from colorbatch.inference.session import Session
from colorbatch.job import ColorOptions
from colorbatch.operations.audit import audit_batch
from colorbatch.progress import SilentProgress
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.row import NOT_REACHED
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.run import batch, colorize
from colorbatch.run.engines import engine, local
from colorbatch.store import atomic


class Listener(SilentProgress):
    """Remembers what it was told, and may do something after a number of steps."""

    def __init__(self, stop: threading.Event | None = None, after: int = 0) -> None:
        self.messages: list[str] = []
        self.steps = 0
        self.total = 0
        self._stop = stop
        self._after = after

    def begin(self, total: int, label: str, weight: float | None = None) -> None:  # noqa: ARG002
        self.total = total

    def advance(self, steps: int = 1, **_: float | None) -> None:
        self.steps += steps
        if self._stop is not None and self.steps >= self._after:
            self._stop.set()

    def message(self, text: str) -> None:
        self.messages.append(text)


def make_tree(root: Path, *names: str) -> None:
    random = np.random.default_rng(0)
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(20, 230, (20 + number, 30), dtype=np.uint8)).save(path)


def tree(root: Path) -> dict[str, bytes]:
    """Return every file below ``root`` but the manifest."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != MANIFEST_NAME
    }


def rows(output: Path) -> dict[str, dict[str, object]]:
    read = [json.loads(line) for line in (output / MANIFEST_NAME).read_bytes().splitlines()]
    assert len({row["input"] for row in read}) == len(read)
    return {row["input"]: row for row in read}


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    make_tree(tmp_path / "in", "a.jpg", "sub/b.png", "sub/deeper/c.tif", "d.webp", "sub/e.png")
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu")


def test_a_tree_is_mirrored_and_every_file_accounted_for(job: LocalJob) -> None:
    (job.source / "notes.txt").write_text("not a picture")
    before = tree(job.source)
    listener = Listener()
    summary = batch.run_batch(job, listener)
    assert tree(job.source) == before
    assert (summary.done, summary.kept, summary.skipped, summary.failed) == (5, 0, 1, 0)
    assert summary.provider == "cpu"
    assert (listener.steps, listener.total) == (6, 6)
    found = rows(job.output)
    assert set(found) == set(before)
    assert set(tree(job.output)) == set(before) - {"notes.txt"}
    assert found["notes.txt"]["status"] == "skipped"
    row = found["sub/b.png"]
    assert (row["status"], row["output"], row["width"], row["height"]) == ("done", "sub/b.png", 30, 21)
    assert (row["bits"], row["frames"], row["model"], row["provider"]) == (8, 1, "small", "cpu")
    for name, data in tree(job.output).items():
        assert found[name]["output_sha256"] == hashlib.sha256(data).hexdigest()
        assert found[name]["input_sha256"] == hashlib.sha256(before[name]).hexdigest()
        assert Image.open(io.BytesIO(data)).mode == "RGB"
    assert not (job.output / STATE_FOLDER).exists()


def test_the_number_of_jobs_changes_nothing(job: LocalJob, tmp_path: Path) -> None:
    outputs = []
    for jobs in (1, 2, 7):
        batch.run_batch(LocalJob(job.source, tmp_path / f"out{jobs}", "unet", "cpu", jobs=jobs))
        outputs.append(tree(tmp_path / f"out{jobs}"))
    assert len(outputs[0]) == 5
    assert outputs[0] == outputs[1] == outputs[2]


def test_jobs_must_be_one_or_more(job: LocalJob) -> None:
    with pytest.raises(UsageError, match="jobs must be 1 or more"):
        batch.run_batch(LocalJob(job.source, job.output, job.model, jobs=0))
    assert not job.output.exists()


def test_one_broken_picture_stops_no_other(job: LocalJob) -> None:
    (job.source / "broken.jpg").write_bytes((job.source / "a.jpg").read_bytes()[:200])
    (job.source / "empty.png").touch()
    (job.source / "page.tif").write_text("<html>")
    listener = Listener()
    summary = batch.run_batch(job, listener)
    assert (summary.done, summary.failed) == (5, 3)
    found = rows(job.output)
    assert {name for name, row in found.items() if row["status"] == "failed"} == {"broken.jpg", "empty.png", "page.tif"}
    assert found["empty.png"]["reason"] == "the file is empty. " + UnreadablePictureError.advice
    assert len(listener.messages) == 3
    assert "broken.jpg" not in tree(job.output)


def test_a_second_run_keeps_what_is_unchanged(job: LocalJob) -> None:
    batch.run_batch(job)
    first = {name: (job.output / name).stat().st_mtime_ns for name in tree(job.output)}
    manifest = (job.output / MANIFEST_NAME).read_bytes()
    summary = batch.run_batch(job)
    assert (summary.done, summary.kept, summary.coloured) == (5, 5, 0)
    assert {name: (job.output / name).stat().st_mtime_ns for name in tree(job.output)} == first
    assert (job.output / MANIFEST_NAME).read_bytes() == manifest


def test_only_what_changed_is_done_again(job: LocalJob) -> None:
    batch.run_batch(job)
    good = tree(job.output)
    make_tree(job.source, "new.png")
    Image.new("L", (9, 9), 99).save(job.source / "a.jpg")  # another source
    (job.output / "d.webp").unlink()  # a lost output
    (job.output / "sub" / "e.png").write_bytes(b"altered")
    summary = batch.run_batch(job)
    assert (summary.done, summary.kept, summary.failed) == (6, 2, 0)
    now = tree(job.output)
    assert {name for name in good if now[name] == good[name]} == set(good) - {"a.jpg"}
    assert Image.open(io.BytesIO(now["a.jpg"])).size == (9, 9)


def test_a_source_that_was_broken_for_a_while_is_done_again(job: LocalJob) -> None:
    batch.run_batch(job)
    good = (job.source / "a.jpg").read_bytes()
    (job.source / "a.jpg").write_bytes(good[:100])
    assert batch.run_batch(job).failed == 1
    assert rows(job.output)["a.jpg"]["output"] == "a.jpg"  # the old output stands, and is known as ours
    Image.new("L", (9, 9), 99).save(job.source / "a.jpg")
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (5, 0)
    with Image.open(job.output / "a.jpg") as output:
        assert output.size == (9, 9)


def test_a_row_without_hashes_proves_nothing(job: LocalJob) -> None:
    batch.run_batch(job)
    lines = (job.output / MANIFEST_NAME).read_bytes().splitlines()
    stripped = [json.dumps(json.loads(line) | {"output_sha256": None}) for line in lines]
    (job.output / MANIFEST_NAME).write_text("\n".join(stripped))
    (job.output / "a.jpg").unlink()
    summary = batch.run_batch(job)
    assert (summary.done, summary.kept) == (5, 0)
    assert (job.output / "a.jpg").exists()


def test_another_model_or_working_size_does_all_again(job: LocalJob, tmp_path: Path) -> None:
    batch.run_batch(job)
    assert (
        batch.run_batch(LocalJob(job.source, job.output, job.model, "cpu", ColorOptions(working_size=64))).coloured == 5
    )
    green = tmp_path / "green.onnx"
    green.write_bytes(small_model((-0.1, -0.2)).SerializeToString())
    assert batch.run_batch(LocalJob(job.source, job.output, str(green), "cpu")).coloured == 5


def test_a_file_of_the_users_is_never_overwritten(job: LocalJob) -> None:
    (job.output / "sub").mkdir(parents=True)
    (job.output / "sub" / "b.png").write_bytes(b"mine")
    (job.output / "a.jpg").symlink_to(job.source / "a.jpg")
    source = tree(job.source)
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (3, 2)
    assert (job.output / "sub" / "b.png").read_bytes() == b"mine"
    assert tree(job.source) == source
    assert "did not make" in str(rows(job.output)["sub/b.png"]["reason"])


def test_an_output_whose_row_was_lost_is_known_again(job: LocalJob) -> None:
    batch.run_batch(job)
    good = tree(job.output)
    (job.output / MANIFEST_NAME).unlink()  # as after a kill between rename and row
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (5, 0)
    assert tree(job.output) == good


def test_a_link_in_the_output_that_leads_out_of_it_is_not_followed(job: LocalJob, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    job.output.mkdir()
    (job.output / "sub").symlink_to(tmp_path / "elsewhere")
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (2, 3)
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_link_in_the_output_that_leads_to_itself_is_no_bug(job: LocalJob) -> None:
    job.output.mkdir()
    (job.output / "sub").symlink_to("sub")
    assert batch.run_batch(job).failed == 3
    assert "cannot write" in str(rows(job.output)["sub/b.png"]["reason"])


@pytest.mark.skipif(os.name == "nt", reason="links and pipes")
def test_a_journal_that_is_a_link_or_a_pipe_is_refused(job: LocalJob, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("of the user's")
    state = job.output / STATE_FOLDER
    state.mkdir(parents=True)
    (state / "journal.jsonl").symlink_to(tmp_path / "precious.txt")
    with pytest.raises(OutputUnwritableError):
        batch.run_batch(job)
    (state / "journal.jsonl").unlink()
    os.mkfifo(state / "journal.jsonl")
    with pytest.raises(OutputUnwritableError):
        batch.run_batch(job)
    (state / "journal.jsonl").unlink()
    state.rmdir()
    (tmp_path / "elsewhere").mkdir()
    state.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputUnwritableError, match="is a link"):
        batch.run_batch(job)
    assert (tmp_path / "precious.txt").read_text() == "of the user's"
    assert os.listdir(tmp_path / "elsewhere") == []


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
    rest = batch.run_batch(job)
    assert (rest.done, rest.kept) == (35, summary.done)
    whole = LocalJob(job.source, tmp_path / "whole", job.model, "cpu")
    batch.run_batch(whole)
    assert tree(job.output) == tree(whole.output)


def test_a_full_disk_ends_the_run_and_the_next_one_completes_it(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes = atomic.write_bytes

    def full(path: Path, data: bytes, **how: bool) -> None:
        if path.name == "c.tif":
            cause = OSError(errno.ENOSPC, "No space left on device")
            raise OutputUnwritableError("cannot write c.tif: No space left on device") from cause
        write_bytes(path, data, **how)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_bytes", full)
        with pytest.raises(OutputUnwritableError, match="No space left"):
            batch.run_batch(LocalJob(job.source, job.output, job.model, "cpu", jobs=1))
    found = rows(job.output)
    assert len(found) == 5
    assert found["sub/deeper/c.tif"]["reason"] == NOT_REACHED
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (5, 0)


def test_a_bug_met_at_one_picture_is_a_failed_row(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(data: bytes, *_: object, **__: object) -> colorbatch.Picture:
        picture = colorbatch.decode(data)
        if picture.format == "WEBP":
            raise ZeroDivisionError("oh")
        if picture.format == "TIFF":
            raise MemoryError
        return picture

    monkeypatch.setattr(colorize, "decode", faulty)
    assert batch.run_batch(job).failed == 2
    found = rows(job.output)
    assert found["d.webp"]["reason"] == "a bug in colorbatch: ZeroDivisionError: oh"
    assert found["sub/deeper/c.tif"]["reason"] == "not enough memory"
    assert "ZeroDivisionError" in caplog.text


def test_a_model_that_gives_no_numbers_fails_the_pictures(job: LocalJob, tmp_path: Path) -> None:
    path = tmp_path / "nan.onnx"
    path.write_bytes(small_model((float("nan"), 0.0)).SerializeToString())
    summary = batch.run_batch(LocalJob(job.source, job.output, str(path), "cpu"))
    assert (summary.done, summary.failed) == (0, 5)
    assert tree(job.output) == {}


def test_nothing_is_written_when_the_job_cannot_start(job: LocalJob, tmp_path: Path) -> None:
    page = tmp_path / "page.onnx"
    page.write_text("<html>")
    with pytest.raises(ModelRefusedError):
        batch.run_batch(LocalJob(job.source, job.output, str(page)))
    with pytest.raises(UsageError):
        batch.run_batch(LocalJob(job.source, job.source, job.model))
    assert not job.output.exists()
    assert not (job.source / MANIFEST_NAME).exists()


def test_names_of_any_kind_are_done(job: LocalJob) -> None:
    names = ["new\nline.png", "\x1b[31mred.png", "-dash.png", "x" * 251 + ".png", os.fsdecode(b"\xff.png"), "日本.png"]
    make_tree(job.source, *names)
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (11, 0)
    assert set(names) < set(tree(job.output))


def test_every_sample_keeps_its_grey_within_one_level(tmp_path: Path) -> None:
    summary = batch.run_batch(LocalJob(SAMPLES, tmp_path / "out"))
    assert summary.failed == 0
    assert summary.done >= 8
    for output in (path for path in (tmp_path / "out").rglob("*.*") if path.name != MANIFEST_NAME):
        source = SAMPLES / output.relative_to(tmp_path / "out")
        with Image.open(source) as before, Image.open(output) as after:
            assert after.mode == "RGB"
            assert after.format == before.format
            assert after.size == before.size
            difference = np.asarray(after.convert("L")).astype(int) - np.asarray(before.convert("L"))
            assert np.abs(difference).max() <= 1, source
            assert np.ptp(np.asarray(after), axis=-1).mean() > 3, f"{source} was left grey"


def test_depth_pages_and_warnings_stand_in_the_row(tmp_path: Path, model_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    deep = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    tifffile.imwrite(source / "deep.tif", np.stack([deep, deep]), photometric="minisblack", metadata=None)
    Image.new("L", (40, 30), 99).save(source / "small.gif")
    Image.new("L", (8, 8)).save(source / "profile.png", icc_profile=b"not a profile")
    summary = batch.run_batch(LocalJob(source, tmp_path / "out", str(model_path), "cpu"))
    assert (summary.done, summary.failed) == (3, 0)
    lines = (tmp_path / "out" / MANIFEST_NAME).read_text().splitlines()
    rows = {row["input"]: row for row in map(json.loads, lines)}
    assert (rows["deep.tif"]["bits"], rows["deep.tif"]["frames"]) == (16, 2)
    assert rows["small.gif"]["output"] == "small.gif.png"
    assert "ICC profile is damaged" in rows["profile.png"]["warnings"][0]
    assert tifffile.imread(tmp_path / "out" / "deep.tif").shape == (2, 64, 64, 3)
    assert batch.run_batch(LocalJob(source, tmp_path / "out", str(model_path), "cpu")).kept == 3


def test_a_picture_of_too_many_pixels_fails_alone(tmp_path: Path, model_path: Path) -> None:
    make_tree(tmp_path / "source", "small.png")
    Image.new("L", (400, 300)).save(tmp_path / "source" / "large.png")
    job = LocalJob(tmp_path / "source", tmp_path / "out", str(model_path), "cpu", max_megapixels=0.1)
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (1, 1)
    assert summary.failures[0][0] == "large.png"
    assert "400 x 300 pixels" in summary.failures[0][1]


@pytest.fixture
def colour_source(tmp_path: Path) -> Path:
    source = tmp_path / "colour"
    make_tree(source, "grey.png")
    red = np.zeros((64, 64, 3), np.uint8)
    red[:32, :, 0], red[32:, :, 1], red[:, 32:, 2] = 200, 102, 90
    Image.fromarray(red).save(source / "colour.png")
    Image.fromarray(red).save(source / "colour.bmp")
    return source


def test_pictures_in_colour_are_left_alone(colour_source: Path, tmp_path: Path, model_path: Path) -> None:
    job = LocalJob(colour_source, tmp_path / "out", str(model_path), "cpu")
    summary = batch.run_batch(job)
    assert (summary.done, summary.skipped, summary.failed) == (1, 2, 0)
    found = rows(job.output)
    assert found["colour.png"]["reason"] == colorize.IN_COLOR
    assert found["colour.png"]["input_sha256"] is not None
    assert list(tree(job.output)) == ["grey.png"]
    before = (job.output / MANIFEST_NAME).read_bytes()
    assert batch.run_batch(job).kept == 1
    assert (job.output / MANIFEST_NAME).read_bytes() == before


def test_pictures_in_colour_can_be_copied_or_coloured_anew(
    colour_source: Path, tmp_path: Path, model_path: Path
) -> None:
    job = LocalJob(colour_source, tmp_path / "out", str(model_path), "cpu", already_color="copy")
    assert batch.run_batch(job).done == 3
    for name in ("colour.png", "colour.bmp"):
        assert (job.output / name).read_bytes() == (colour_source / name).read_bytes()
    assert rows(job.output)["colour.bmp"]["output"] == "colour.bmp"
    assert batch.run_batch(job).kept == 3
    anew = replace(job, output=tmp_path / "anew", already_color="recolor")
    assert batch.run_batch(anew).done == 3
    assert sorted(tree(anew.output)) == ["colour.bmp.png", "colour.png", "grey.png"]
    assert tree(anew.output)["colour.png"] != (colour_source / "colour.png").read_bytes()


def test_fail_fast_leaves_the_rest_for_later(tmp_path: Path, model_path: Path) -> None:
    make_tree(tmp_path / "source", *(f"{number:02}.png" for number in range(30)))
    (tmp_path / "source" / "00.png").write_bytes(b"no picture")
    job = LocalJob(tmp_path / "source", tmp_path / "out", str(model_path), "cpu", jobs=1, fail_fast=True)
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

    def slow(picture: colorbatch.Picture, _source: bytes) -> bytes:
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


def test_salvage_colours_what_can_be_read_and_says_so(tmp_path: Path, model_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    grey = Image.open(SAMPLES / "still_life" / "coffee.png").convert("L")
    for name in ("whole.jpg", "short.jpg", "short.png"):
        grey.save(source / name)
    for name in ("short.jpg", "short.png"):
        data = (source / name).read_bytes()
        (source / name).write_bytes(data[: len(data) // 2])
    (source / "empty.jpg").touch()
    job = LocalJob(source, tmp_path / "out", str(model_path), "cpu")
    assert batch.run_batch(job).failed == 3
    summary = batch.run_batch(replace(job, salvage=True))
    assert (summary.done, summary.kept, summary.failed) == (3, 1, 1)
    assert rows(job.output)["whole.jpg"]["warnings"] == []
    for name in ("short.jpg", "short.png"):
        assert '["salvaged, parts of it are missing: ' in json.dumps(rows(job.output)[name]["warnings"])
        with Image.open(job.output / name) as output:
            top = np.asarray(output.convert("L"), int)[: grey.height // 3]
        assert np.abs(top - np.asarray(grey, int)[: grey.height // 3]).mean() < 4
    assert audit_batch(job.output, source).is_sound
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    again = batch.run_batch(job)  # without salvage a salvaged output is none
    assert (again.kept, again.failed) == (1, 3)


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
                time.sleep(0.002)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    (output / "0" / ".colorbatch-0123456789abcdef.tmp").write_bytes(b"left by a kill between write and rename")
    last = batch.run_batch(replace(straight, output=output, jobs=jobs))
    assert (last.done, last.failed) == (60, 0)
    assert last.kept >= 30
    assert tree(output) == tree(straight.output)
    assert audit_batch(output, source).is_sound


def run_with(job: LocalJob, **changes: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401
    batch.run_batch(replace(job, **changes))
    assert audit_batch(job.output).is_sound
    return rows(job.output)


def test_outputs_of_sources_that_are_left_out_for_once_stay_on_record(job: LocalJob) -> None:
    first = run_with(job, include=["*.jpg"])
    second = run_with(job, include=["*.tif"])
    assert second["a.jpg"] == first["a.jpg"]
    summary = batch.run_batch(job)
    assert (summary.done, summary.kept, summary.failed) == (5, 2, 0)
    assert run_with(job, exclude=["a.*"])["a.jpg"]["status"] == "done"
    assert batch.run_batch(replace(job, options=ColorOptions(strength=0.5))).failed == 0


def test_outputs_of_sources_that_are_gone_stay_on_record(job: LocalJob) -> None:
    before = run_with(job)
    (job.source / "a.jpg").unlink()
    after = run_with(job)
    assert after["a.jpg"] == before["a.jpg"]
    one = replace(job, source=job.source / "sub" / "b.png", output=job.output.with_name("one"))
    run_with(one)
    run_with(replace(one, source=job.source / "sub" / "e.png"))
    assert set(rows(one.output)) == {"b.png", "e.png"}


def test_outputs_of_other_choices_for_pictures_in_colour_stay_on_record(
    colour_source: Path, tmp_path: Path, model_path: Path
) -> None:
    job = LocalJob(colour_source, tmp_path / "out", str(model_path), "cpu")
    for choice, options in (
        ("copy", ColorOptions()),
        ("skip", ColorOptions()),
        ("recolor", ColorOptions(strength=0.5)),
        ("skip", ColorOptions()),
        ("recolor", ColorOptions(strength=0.7)),
    ):
        batch.run_batch(replace(job, already_color=choice, options=options))  # type: ignore[arg-type]
        found = rows(job.output)
        assert found["colour.png"]["output"] == "colour.png"
        assert {row["status"] for row in found.values()} <= {"done", "skipped"}


def test_a_broken_source_that_is_not_reached_keeps_its_output(job: LocalJob) -> None:
    run_with(job, jobs=1)
    good = (job.source / "d.webp").read_bytes()
    (job.source / "d.webp").write_bytes(b"torn")
    assert batch.run_batch(job).failed == 1
    stop = threading.Event()
    stop.set()
    batch.run_batch(job, stop=stop)
    (job.source / "d.webp").write_bytes(good)
    assert batch.run_batch(replace(job, options=ColorOptions(strength=0.5))).failed == 0


def test_an_output_whose_row_a_kill_prevented_is_replaced_when_the_settings_change(job: LocalJob) -> None:
    run_with(job)
    lines = (job.output / MANIFEST_NAME).read_bytes().splitlines(keepends=True)
    row = json.loads(lines[0])
    (job.output / MANIFEST_NAME).write_bytes(b"".join(lines[1:]))  # as if its row had never been written
    changed = replace(job, options=ColorOptions(strength=0.5))
    assert batch.run_batch(changed).failed == 1, "without an announcement it could be the user's"
    (job.output / STATE_FOLDER).mkdir()
    note = {"announced": row["output"], "output_sha256": row["output_sha256"]}
    (job.output / STATE_FOLDER / "journal.jsonl").write_text(json.dumps(note) + "\n")
    assert batch.run_batch(changed).failed == 0


def test_a_neighbour_that_takes_the_name_of_an_output_gets_it(tmp_path: Path, model_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    Image.linear_gradient("L").save(source / "c.gif")
    job = LocalJob(source, tmp_path / "out", str(model_path), "cpu")
    assert batch.run_batch(job).done == 1
    Image.linear_gradient("L").rotate(90).save(source / "c.gif.png")
    assert (batch.run_batch(job).done, batch.run_batch(job).kept) == (2, 2)
    assert sorted(tree(job.output)) == ["c.gif.png", "c.gif.png.png"]
    assert audit_batch(job.output, source).is_sound


def test_an_altered_output_is_made_again_with_a_warning(job: LocalJob) -> None:
    run_with(job)
    (job.output / "a.jpg").write_bytes((job.output / "a.jpg").read_bytes() + b"caption")
    found = run_with(job)
    assert found["a.jpg"]["warnings"] == ["the output had been altered and was remade"]
    assert run_with(job)["a.jpg"] == found["a.jpg"]


@pytest.mark.parametrize(
    "change",
    [
        {"options": ColorOptions(working_size=64)},
        {"options": ColorOptions(tta=True)},
        {"already_color": "recolor"},
        {"digital_source_type": "algorithmicallyEnhanced"},
        {"digital_source_type": None},
        {"jpeg_luma": "reencoded"},
    ],
    ids=str,
)
def test_every_setting_that_changes_an_output_makes_it_again(job: LocalJob, change: dict[str, Any]) -> None:
    run_with(job)
    summary = batch.run_batch(replace(job, **change))
    assert (summary.done, summary.kept) == (5, 0)


def test_in_a_tiff_of_grey_and_coloured_pages_the_grey_ones_are_coloured(tmp_path: Path, model_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    grey = np.asarray(Image.linear_gradient("L"))
    colour = np.zeros((256, 256, 3), np.uint8)
    colour[:128, :, 0], colour[128:, :, 1], colour[:, 128:, 2] = 200, 102, 90
    with tifffile.TiffWriter(source / "album.tif") as writer:
        for page in (grey, colour, grey.astype(np.uint16) * 200):
            writer.write(page, photometric="rgb" if page.ndim == 3 else "minisblack", metadata=None)
    found = run_with(LocalJob(source, tmp_path / "out", str(model_path), "cpu"))
    assert found["album.tif"]["warnings"] == ["already in colour and kept unchanged: page 2"]
    with tifffile.TiffFile(tmp_path / "out" / "album.tif") as album:
        first, second, third = (page.asarray() for page in album.pages)
    np.testing.assert_array_equal(second, colour)
    assert np.ptp(first.astype(int), axis=2).max() > 50
    assert third.dtype == np.uint16
    assert audit_batch(tmp_path / "out", source).is_sound


def test_merging_many_pages_does_not_count_as_the_model_s_time(
    tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from colorbatch.pixels import color

    merge = color.merge

    def slowly(*arguments: Any) -> Any:  # noqa: ANN401
        time.sleep(0.15)
        return merge(*arguments)

    monkeypatch.setattr(color, "merge", slowly)
    source = tmp_path / "in"
    source.mkdir()
    tifffile.imwrite(source / "book.tif", np.full((8, 20, 30), 99, np.uint8), photometric="minisblack", metadata=None)
    assert batch.run_batch(LocalJob(source, tmp_path / "out", str(model_path), "cpu", timeout=0.6)).done == 1


def test_a_run_that_computes_in_batches_makes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU stands in for a GPU; the colours of the model depend on the picture."""
    model_path = tmp_path / "vivid.onnx"
    model_path.write_bytes(vivid_model().SerializeToString())
    source = tmp_path / "in"
    source.mkdir()
    for number in range(30):
        level = np.full((20 + number % 3, 30), 8 * number, np.uint8)
        Image.fromarray(level).save(source / f"{number}.png")
    job = LocalJob(source, tmp_path / "plain", str(model_path), "cpu", jobs=8)
    batch.run_batch(job)
    monkeypatch.setattr(local, "Session", partial(Session, on_gpu=True))
    assert batch.run_batch(replace(job, output=tmp_path / "batched")).coloured == 30
    for plain in (tmp_path / "plain").glob("*.png"):
        assert plain.read_bytes() == (tmp_path / "batched" / plain.name).read_bytes()


def test_pictures_in_work_keep_to_the_memory_limit(
    tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 300 x 200 pixels in three channels, one picture takes 180,000 bytes decoded, counted three times."""
    source = tmp_path / "in"
    source.mkdir()
    for number in range(8):
        Image.fromarray(np.full((200, 300), 10 * number, np.uint8)).save(source / f"{number}.png")
    in_work, most, wanted, lock = set[int](), [0], [0], threading.Lock()

    def counted(*arguments: Any) -> bytes:  # noqa: ANN401
        with lock:
            in_work.add(threading.get_ident())
            most[0] = max(most[0], len(in_work))
        end = time.monotonic() + 10
        while most[0] < wanted[0] and time.monotonic() < end:  # for the others, however slow the machine is
            time.sleep(0.005)
        time.sleep(0.05)
        try:
            return encode(*arguments)
        finally:
            with lock:
                in_work.discard(threading.get_ident())

    monkeypatch.setattr(colorize, "encode", counted)
    job = LocalJob(source, tmp_path / "out", str(model_path), "cpu", jobs=6)
    for limit, expected in ((6 * 540_000, 6), (2 * 540_000 + 5, 2), (1, 1)):
        most[0], wanted[0] = 0, expected
        assert batch.run_batch(replace(job, output=tmp_path / str(limit), memory_limit=limit)).done == 8
        assert most[0] == expected
    trees = [tree(tmp_path / str(limit)) for limit in (6 * 540_000, 2 * 540_000 + 5, 1)]
    assert trees[0] == trees[1] == trees[2]


def test_a_run_over_a_list_leaves_all_others_and_their_rows_as_they_are(job: LocalJob) -> None:
    (job.source / "broken.png").write_bytes(b"no picture")
    batch.run_batch(job)
    before, outputs = rows(job.output), tree(job.output)
    (job.output / "sub" / "deeper" / "c.tif").unlink()  # that is nothing to this run
    make_tree(job.source, "new.png")
    others = replace(job, options=ColorOptions(strength=0.5), only=frozenset({"a.jpg", "sub/b.png"}))
    summary = batch.run_batch(others)
    assert (summary.coloured, summary.kept, summary.skipped, summary.failed) == (2, 0, 0, 0)
    after = rows(job.output)
    assert {name for name in before if before[name] != after[name]} == {"a.jpg", "sub/b.png"}
    assert {name for name, data in tree(job.output).items() if outputs[name] != data} == {"a.jpg", "sub/b.png"}
    assert set(after) - set(before) == {"new.png"}
    assert (after["new.png"]["status"], after["new.png"]["reason"]) == ("skipped", "not in the list given with --only")
    again = batch.run_batch(others)
    assert (again.coloured, again.kept) == (0, 2)
    whole = batch.run_batch(job)
    assert (whole.coloured, whole.kept, whole.failed) == (4, 2, 1)  # two in other settings, one missing, one new


def test_a_stopped_run_over_a_list_leaves_all_rows_standing(job: LocalJob) -> None:
    batch.run_batch(job)
    before = rows(job.output)
    stop = threading.Event()
    stop.set()
    summary = batch.run_batch(replace(job, options=ColorOptions(strength=0.5), only=frozenset({"a.jpg"})), stop=stop)
    assert rows(job.output) == before
    assert summary.stopped


def test_a_list_that_names_what_is_not_there_is_refused(job: LocalJob) -> None:
    with pytest.raises(UsageError, match=r"not in .*: x1, x2, x3 and 1 more$"):
        batch.run_batch(replace(job, only=frozenset({"a.jpg", "x1", "x2", "x3", "x4"})))
    assert not job.output.exists()


def test_a_row_tells_when_its_output_was_finished(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run takes outputs that are newer than that for altered ones."""

    def slow(*arguments: Any) -> bytes:  # noqa: ANN401
        time.sleep(0.6)
        return encode(*arguments)

    monkeypatch.setattr(colorize, "encode", slow)
    batch.run_batch(replace(job, include=("a.jpg",)))
    row = rows(job.output)["a.jpg"]
    finished = datetime.fromisoformat(str(row["finished_at"])).timestamp()
    assert (job.output / "a.jpg").stat().st_mtime - finished < 0.5
