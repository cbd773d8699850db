"""Later runs into the same folder: what is kept, what is made again, and what stays on record."""

import errno
import io
import json
import os
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from batches import make_tree, rows, run_with, tree
from helpers import LocalJob, comparable_rows, small_model
from PIL import Image

from colorbatch.errors import UsageError
from colorbatch.formats import encode
from colorbatch.job import BatchJob, ColorOptions
from colorbatch.operations.audit import audit_batch
from colorbatch.records.manifest import MANIFEST_NAME, Manifest
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.run import batch, colorize


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


def test_an_output_whose_row_was_lost_is_known_again(job: LocalJob) -> None:
    batch.run_batch(job)
    good = tree(job.output)
    (job.output / MANIFEST_NAME).unlink()  # as after a kill between rename and row
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (5, 0)
    assert tree(job.output) == good


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


def test_the_empty_folder_of_a_disk_that_is_not_mounted_is_noticed(
    job: LocalJob, caplog: pytest.LogCaptureFixture
) -> None:
    batch.run_batch(job)
    before = tree(job.output) | {"manifest": (job.output / MANIFEST_NAME).read_bytes()}
    mounted = job.source.rename(job.source.with_name("mounted"))
    job.source.mkdir()
    assert not [each for each in caplog.messages if "mounted" in each]
    assert batch.run_batch(job).failed == 0
    made = f"{job.source} has no pictures any more, but 5 were made of it: is its disk mounted?"
    assert made in caplog.messages
    assert tree(job.output) | {"manifest": (job.output / MANIFEST_NAME).read_bytes()} == before
    job.source.rmdir()
    mounted.rename(job.source)
    assert batch.run_batch(job).kept == 5


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


@pytest.mark.parametrize("is_gone", [False, True], ids=["its source is there", "its source is gone"])
def test_an_output_whose_row_a_kill_prevented_has_the_row_that_was_announced(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch, *, is_gone: bool
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "append", killed)
        patch.setattr(Manifest, "finish", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            run_with(job, jobs=1)
    made = {each for each in tree(job.output) if not each.startswith(STATE_FOLDER)}
    assert made
    whole = replace(job, output=job.output.with_name("whole"))
    run_with(whole)
    if is_gone:
        for name in made:
            (job.source / name).unlink()
    assert batch.run_batch(job).kept == (0 if is_gone else len(made))
    assert audit_batch(job.output).findings == []
    assert tree(job.output) == tree(whole.output)
    assert comparable_rows(job.output) == comparable_rows(whole.output)


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
        {"doubtful_color": "skip"},
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


def test_outputs_get_the_times_of_their_sources(job: LocalJob) -> None:
    sources = {name: job.source / name for name in tree(job.source)}
    for number, path in enumerate(sources.values()):
        os.utime(path, ns=(1, 10**18 + number * 1_234_567_891_234_567))
    os.utime(job.source / "a.jpg", (0, time.time() + 10**6))  # the clock of a camera
    os.utime(job.source / "d.webp", (0, -315_619_200.25))  # 1960
    batch.run_batch(job)
    assert (job.output / "a.jpg").stat().st_mtime != (job.source / "a.jpg").stat().st_mtime
    kept = replace(job, preserve_times=True)
    assert batch.run_batch(kept).kept == 5, "also outputs of earlier runs"
    (job.output / "sub" / "e.png").unlink()
    assert batch.run_batch(kept).kept == 4
    outputs = {row["input"]: job.output / str(row["output"]) for row in rows(job.output).values()}
    assert len(outputs) == 5
    for name, path in outputs.items():
        assert path.stat().st_mtime == pytest.approx(sources[str(name)].stat().st_mtime, abs=1e-6)
    assert batch.run_batch(job).kept == 5
    from colorbatch.run.forecast import forecast

    assert forecast(job).counts["kept"] == 5


def test_a_time_that_cannot_be_set_is_a_warning_as_long_as_that_is_so(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    warning = "the time of the source was not preserved: Operation not permitted"
    with monkeypatch.context() as patch:
        patch.setattr("colorbatch.store.local.os.utime", refuse)
        for _ in range(2):
            assert batch.run_batch(replace(job, preserve_times=True)).done == 5
            assert rows(job.output)["a.jpg"]["warnings"] == [warning]
    batch.run_batch(replace(job, preserve_times=True))
    assert rows(job.output)["a.jpg"]["warnings"] == []


@pytest.mark.skipif(os.name == "nt", reason="symlinks")
def test_no_time_is_set_through_a_link(job: LocalJob) -> None:
    batch.run_batch(job)
    outside = job.output.parent / "outside.jpg"
    (job.output / "a.jpg").rename(outside)
    (job.output / "a.jpg").symlink_to(outside)
    before = outside.stat().st_mtime_ns
    batch.run_batch(replace(job, preserve_times=True))
    assert outside.stat().st_mtime_ns == before


def test_times_cannot_be_preserved_in_a_store(job: LocalJob) -> None:
    pytest.importorskip("upath")
    from upath import UPath

    from colorbatch.run.forecast import forecast

    remote = BatchJob(job.source, UPath("memory://bucket/out"), job.model, preserve_times=True)
    for run in (batch.run_batch, forecast):
        with pytest.raises(UsageError, match="--preserve-times cannot be used with the output memory://bucket/out"):
            run(remote)
