import errno
import hashlib
import io
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import SAMPLES, small_model
from PIL import Image

import colorbatch
from colorbatch import atomic, batch
from colorbatch.errors import ModelRefusedError, OutputUnwritableError, UnreadablePictureError, UsageError
from colorbatch.job import BatchJob, ColorOptions
from colorbatch.manifest import MANIFEST_NAME, STATE_FOLDER
from colorbatch.progress import SilentProgress


class Listener(SilentProgress):
    """Remembers what it was told, and may do something after a number of steps."""

    def __init__(self, stop: threading.Event | None = None, after: int = 0) -> None:
        self.messages: list[str] = []
        self.steps = 0
        self.total = 0
        self._stop = stop
        self._after = after

    def begin(self, total: int, label: str) -> None:  # noqa: ARG002
        self.total = total

    def advance(self, steps: int = 1) -> None:
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
def job(tmp_path: Path, model_path: Path) -> BatchJob:
    make_tree(tmp_path / "in", "a.jpg", "sub/b.png", "sub/deeper/c.tif", "d.webp", "sub/e.png")
    return BatchJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu")


def test_a_tree_is_mirrored_and_every_file_accounted_for(job: BatchJob) -> None:
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


def test_the_number_of_jobs_changes_nothing(job: BatchJob, tmp_path: Path) -> None:
    outputs = []
    for jobs in (1, 2, 7):
        batch.run_batch(BatchJob(job.source, tmp_path / f"out{jobs}", "unet", "cpu", jobs=jobs))
        outputs.append(tree(tmp_path / f"out{jobs}"))
    assert len(outputs[0]) == 5
    assert outputs[0] == outputs[1] == outputs[2]


def test_jobs_must_be_one_or_more(job: BatchJob) -> None:
    with pytest.raises(UsageError, match="jobs must be 1 or more"):
        batch.run_batch(BatchJob(job.source, job.output, job.model, jobs=0))
    assert not job.output.exists()


def test_one_broken_picture_stops_no_other(job: BatchJob) -> None:
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


def test_a_second_run_keeps_what_is_unchanged(job: BatchJob) -> None:
    batch.run_batch(job)
    first = {name: (job.output / name).stat().st_mtime_ns for name in tree(job.output)}
    manifest = (job.output / MANIFEST_NAME).read_bytes()
    summary = batch.run_batch(job)
    assert (summary.done, summary.kept, summary.coloured) == (5, 5, 0)
    assert {name: (job.output / name).stat().st_mtime_ns for name in tree(job.output)} == first
    assert (job.output / MANIFEST_NAME).read_bytes() == manifest


def test_only_what_changed_is_done_again(job: BatchJob) -> None:
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


def test_a_source_that_was_broken_for_a_while_is_done_again(job: BatchJob) -> None:
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


def test_a_row_without_hashes_proves_nothing(job: BatchJob) -> None:
    batch.run_batch(job)
    lines = (job.output / MANIFEST_NAME).read_bytes().splitlines()
    stripped = [json.dumps(json.loads(line) | {"output_sha256": None}) for line in lines]
    (job.output / MANIFEST_NAME).write_text("\n".join(stripped))
    (job.output / "a.jpg").unlink()
    summary = batch.run_batch(job)
    assert (summary.done, summary.kept) == (5, 0)
    assert (job.output / "a.jpg").exists()


def test_another_model_or_working_size_does_all_again(job: BatchJob, tmp_path: Path) -> None:
    batch.run_batch(job)
    assert (
        batch.run_batch(BatchJob(job.source, job.output, job.model, "cpu", ColorOptions(working_size=64))).coloured == 5
    )
    green = tmp_path / "green.onnx"
    green.write_bytes(small_model((-0.1, -0.2)).SerializeToString())
    assert batch.run_batch(BatchJob(job.source, job.output, str(green), "cpu")).coloured == 5


def test_a_file_of_the_users_is_never_overwritten(job: BatchJob) -> None:
    (job.output / "sub").mkdir(parents=True)
    (job.output / "sub" / "b.png").write_bytes(b"mine")
    (job.output / "a.jpg").symlink_to(job.source / "a.jpg")
    source = tree(job.source)
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (3, 2)
    assert (job.output / "sub" / "b.png").read_bytes() == b"mine"
    assert tree(job.source) == source
    assert "did not make" in str(rows(job.output)["sub/b.png"]["reason"])


def test_an_output_whose_row_was_lost_is_known_again(job: BatchJob) -> None:
    batch.run_batch(job)
    good = tree(job.output)
    (job.output / MANIFEST_NAME).unlink()  # as after a kill between rename and row
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (5, 0)
    assert tree(job.output) == good


def test_a_link_in_the_output_that_leads_out_of_it_is_not_followed(job: BatchJob, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    job.output.mkdir()
    (job.output / "sub").symlink_to(tmp_path / "elsewhere")
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (2, 3)
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_stopped_run_goes_on_to_the_same_tree(job: BatchJob, tmp_path: Path) -> None:
    make_tree(job.source, *(f"{number:02}.png" for number in range(30)))
    stop = threading.Event()
    summary = batch.run_batch(job, Listener(stop, after=3), stop)
    assert summary.stopped
    assert summary.done + summary.not_reached == 35
    assert summary.not_reached > 0
    found = rows(job.output)
    assert len(found) == 35
    assert {name for name, row in found.items() if row["status"] == "done"} == set(tree(job.output))
    assert sum(row["reason"] == batch.NOT_REACHED for row in found.values()) == summary.not_reached

    again = batch.run_batch(job, stop=stop)  # stopped before it began
    assert (again.done, again.not_reached) == (summary.done, summary.not_reached)
    rest = batch.run_batch(job)
    assert (rest.done, rest.kept) == (35, summary.done)
    whole = BatchJob(job.source, tmp_path / "whole", job.model, "cpu")
    batch.run_batch(whole)
    assert tree(job.output) == tree(whole.output)


def test_a_full_disk_ends_the_run_and_the_next_one_completes_it(job: BatchJob, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes = atomic.write_bytes

    def full(path: Path, data: bytes) -> None:
        if path.name == "c.tif":
            cause = OSError(errno.ENOSPC, "No space left on device")
            raise OutputUnwritableError("cannot write c.tif: No space left on device") from cause
        write_bytes(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_bytes", full)
        with pytest.raises(OutputUnwritableError, match="No space left"):
            batch.run_batch(BatchJob(job.source, job.output, job.model, "cpu", jobs=1))
    found = rows(job.output)
    assert len(found) == 5
    assert found["sub/deeper/c.tif"]["reason"] == batch.NOT_REACHED
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (5, 0)


def test_a_bug_met_at_one_picture_is_a_failed_row(
    job: BatchJob, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(data: bytes, _max_megapixels: float) -> colorbatch.Picture:
        picture = colorbatch.decode(data)
        if picture.format == "WEBP":
            raise ZeroDivisionError("oh")
        if picture.format == "TIFF":
            raise MemoryError
        return picture

    monkeypatch.setattr(batch, "decode", faulty)
    assert batch.run_batch(job).failed == 2
    found = rows(job.output)
    assert found["d.webp"]["reason"] == "a bug in colorbatch: ZeroDivisionError: oh"
    assert found["sub/deeper/c.tif"]["reason"] == "it needs more memory than there is"
    assert "ZeroDivisionError" in caplog.text


def test_a_model_that_gives_no_numbers_fails_the_pictures(job: BatchJob, tmp_path: Path) -> None:
    path = tmp_path / "nan.onnx"
    path.write_bytes(small_model((float("nan"), 0.0)).SerializeToString())
    summary = batch.run_batch(BatchJob(job.source, job.output, str(path), "cpu"))
    assert (summary.done, summary.failed) == (0, 5)
    assert tree(job.output) == {}


def test_nothing_is_written_when_the_job_cannot_start(job: BatchJob, tmp_path: Path) -> None:
    page = tmp_path / "page.onnx"
    page.write_text("<html>")
    with pytest.raises(ModelRefusedError):
        batch.run_batch(BatchJob(job.source, job.output, str(page)))
    with pytest.raises(UsageError):
        batch.run_batch(BatchJob(job.source, job.source, job.model))
    assert not job.output.exists()
    assert not (job.source / MANIFEST_NAME).exists()


def test_names_of_any_kind_are_done(job: BatchJob) -> None:
    names = ["new\nline.png", "\x1b[31mred.png", "-dash.png", "x" * 251 + ".png", os.fsdecode(b"\xff.png"), "日本.png"]
    make_tree(job.source, *names)
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (11, 0)
    assert set(names) < set(tree(job.output))


def test_every_sample_keeps_its_grey_within_one_level(tmp_path: Path) -> None:
    summary = batch.run_batch(BatchJob(SAMPLES, tmp_path / "out"))
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
    summary = batch.run_batch(BatchJob(source, tmp_path / "out", str(model_path), "cpu"))
    assert (summary.done, summary.failed) == (3, 0)
    lines = (tmp_path / "out" / MANIFEST_NAME).read_text().splitlines()
    rows = {row["input"]: row for row in map(json.loads, lines)}
    assert (rows["deep.tif"]["bits"], rows["deep.tif"]["frames"]) == (16, 2)
    assert rows["small.gif"]["output"] == "small.gif.png"
    assert "ICC profile is damaged" in rows["profile.png"]["warnings"][0]
    assert tifffile.imread(tmp_path / "out" / "deep.tif").shape == (2, 64, 64, 3)
    assert batch.run_batch(BatchJob(source, tmp_path / "out", str(model_path), "cpu")).kept == 3


def test_a_picture_of_too_many_pixels_fails_alone(tmp_path: Path, model_path: Path) -> None:
    make_tree(tmp_path / "source", "small.png")
    Image.new("L", (400, 300)).save(tmp_path / "source" / "large.png")
    job = BatchJob(tmp_path / "source", tmp_path / "out", str(model_path), "cpu", max_megapixels=0.1)
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
    job = BatchJob(colour_source, tmp_path / "out", str(model_path), "cpu")
    summary = batch.run_batch(job)
    assert (summary.done, summary.skipped, summary.failed) == (1, 2, 0)
    found = rows(job.output)
    assert found["colour.png"]["reason"] == batch.IN_COLOUR
    assert found["colour.png"]["input_sha256"] is not None
    assert list(tree(job.output)) == ["grey.png"]
    before = (job.output / MANIFEST_NAME).read_bytes()
    assert batch.run_batch(job).kept == 1
    assert (job.output / MANIFEST_NAME).read_bytes() == before


def test_pictures_in_colour_can_be_copied_or_coloured_anew(
    colour_source: Path, tmp_path: Path, model_path: Path
) -> None:
    job = BatchJob(colour_source, tmp_path / "out", str(model_path), "cpu", already_color="copy")
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
    job = BatchJob(tmp_path / "source", tmp_path / "out", str(model_path), "cpu", jobs=1, fail_fast=True)
    summary = batch.run_batch(job)
    assert summary.failed == 1
    assert summary.stopped
    assert summary.not_reached > 20
    assert summary.done + summary.failed + summary.skipped == 30
