"""One run over a folder."""

import hashlib
import io
import json
import os
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from batches import Listener, make_tree, rows, run_with, tree
from helpers import SAMPLES, LocalJob, small_model, vivid_model
from PIL import Image, ImageFile

import colorbatch
from colorbatch.errors import ModelRefusedError, OutputUnwritableError, UsageError
from colorbatch.formats import encode
from colorbatch.inference.session import Session
from colorbatch.operations.audit import audit_batch
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.run import batch, colorize, treatment
from colorbatch.run.engines import local


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
    assert found["empty.png"]["reason"] == "the file is empty. Restore the file from a backup or scan it again."
    assert len(listener.messages) == 3
    assert "broken.jpg" not in tree(job.output)


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


def test_pictures_in_colour_are_left_alone(colour_source: Path, tmp_path: Path, model_path: Path) -> None:
    job = LocalJob(colour_source, tmp_path / "out", str(model_path), "cpu")
    summary = batch.run_batch(job)
    assert (summary.done, summary.skipped, summary.failed) == (1, 2, 0)
    found = rows(job.output)
    assert found["colour.png"]["reason"] == treatment.IN_COLOR
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
