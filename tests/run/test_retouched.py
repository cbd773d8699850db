"""What a person said about pictures, in runs."""

import gc
import json
import os
import re
import shutil
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import tifffile
from batches import rows, tree
from helpers import LocalJob, hinted_model, outputs_below, vivid_model
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import ExitCode, ModelRefusedError, UsageError
from colorbatch.formats import decode
from colorbatch.formats.mark import given_hints
from colorbatch.inference.colorizer import Colorizer
from colorbatch.job import ColorOptions
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.merge import join_shards
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.records.row import NOT_REACHED
from colorbatch.run import colorize, engines
from colorbatch.run.batch import run_batch
from colorbatch.run.colorize import Encoded, NoOutput, Recipe
from colorbatch.run.engines.engine import Engine
from colorbatch.run.forecast import forecast
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.treatment import LEFT_AS_IT_IS
from colorbatch.shard import Shard
from colorbatch.stages import StageTimer

GREEN = {"x": 0.5, "y": 0.5, "radius": 0.5, "color": "#00a000"}


@pytest.fixture
def hinted(job: LocalJob, tmp_path: Path) -> LocalJob:
    """Return a job with a model whose chroma is exactly that of the hints."""
    path = tmp_path / "hinted.onnx"
    path.write_bytes(hinted_model().SerializeToString())
    return replace(job, model=str(path))


@pytest.fixture
def vivid(tmp_path: Path) -> str:
    path = tmp_path / "vivid.onnx"
    path.write_bytes(vivid_model().SerializeToString())
    return str(path)


def say(job: LocalJob, *lines: Mapping[str, object]) -> None:
    job.output.mkdir(exist_ok=True)
    text = "".join(json.dumps({"schema": 1, **line}) + "\n" for line in lines)
    (job.output / RETOUCH_NAME).write_text(text, encoding="utf-8")


def redone(job: LocalJob) -> set[str]:
    """Run again, and return the sources whose rows are new."""
    before = rows(job.output)
    run_batch(job)
    return {name for name, row in rows(job.output).items() if row["finished_at"] != before[name]["finished_at"]}


def chroma_of(path: Path, page: int = 0) -> NDArray[np.float64]:
    """Return Cb and Cr, as Pillow converts RGB to them, ``[H, W, 2]``."""
    with Image.open(path) as image:
        image.seek(page)
        return np.asarray(image.convert("RGB").convert("YCbCr"), float)[..., 1:] - 128


def events(path: Path) -> Sequence[str]:
    return re.findall(r"<stEvt:parameters>([^<]*)", path.read_bytes().decode("latin-1"))


def test_only_the_source_whose_line_changed_is_redone(hinted: LocalJob) -> None:
    run_batch(hinted)
    say(hinted, {"input": "a.jpg", "hints": [GREEN]}, {"input": "sub/b.png", "strength": 1.5})
    assert redone(hinted) == {"a.jpg", "sub/b.png"}
    assert redone(hinted) == set()
    say(hinted, {"input": "sub/b.png", "strength": 1.5, "note": "said aunt"}, {"input": "a.jpg", "hints": [GREEN] * 2})
    assert redone(hinted) == {"a.jpg"}
    (hinted.output / RETOUCH_NAME).unlink()
    assert redone(hinted) == {"a.jpg", "sub/b.png"}
    assert {row["retouch_sha256"] for row in rows(hinted.output).values()} == {None}


def test_the_colour_that_a_person_gave_is_the_colour_of_the_output(hinted: LocalJob) -> None:
    """Expected: Cb and Cr of the colour as Pillow converts it, whatever the strength."""
    Image.new("L", (40, 30), 128).save(hinted.source / "sub" / "b.png")
    say(hinted, {"input": "sub/b.png", "hints": [GREEN | {"color": "#408048"}], "strength": 0.6})
    run_batch(hinted)
    expected = np.asarray(Image.new("RGB", (1, 1), "#408048").convert("YCbCr"), float)[0, 0, 1:] - 128
    found = chroma_of(hinted.output / "sub" / "b.png")
    assert np.abs(found[15, 20] - expected).max() <= 2
    assert np.abs(found[2, 2]).max() <= 2
    assert not chroma_of(hinted.output / "sub" / "e.png").round(-1).any()


def test_a_run_that_was_stopped_opens_no_other_model(
    hinted: LocalJob, vivid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(hinted, {"input": "a.jpg", "model": vivid})
    open_engine = Mock(wraps=engines.open_engine)
    monkeypatch.setattr("colorbatch.run.batch.open_engine", open_engine)
    stop = threading.Event()
    stop.set()
    summary = run_batch(hinted, stop=stop)
    assert summary.stopped
    assert [call.args[0].model for call in open_engine.call_args_list] == [hinted.model]
    assert rows(hinted.output)["a.jpg"]["reason"] == NOT_REACHED


def test_what_is_said_until_the_folder_is_held_counts(hinted: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page may save, and end, while a run lists its sources and opens its model."""
    say(hinted, {"input": "sub/b.png", "strength": 1.5})

    def open_engine(*arguments: Any, **options: Any) -> Engine:  # noqa: ANN401
        say(hinted, {"input": "a.jpg", "hints": [GREEN]})
        return engines.open_engine(*arguments, **options)

    monkeypatch.setattr("colorbatch.run.batch.open_engine", open_engine)
    run_batch(hinted)
    made_with = {name: row["retouch_sha256"] is not None for name, row in rows(hinted.output).items()}
    assert made_with["a.jpg"]
    assert not made_with["sub/b.png"]
    assert audit_batch(hinted.output, hinted.source).is_sound


def test_a_line_that_is_broken_when_the_folder_is_held_stops_the_run(
    hinted: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    hinted.output.mkdir()

    def open_engine(*arguments: Any, **options: Any) -> Engine:  # noqa: ANN401
        (hinted.output / RETOUCH_NAME).write_text("broken")
        return engines.open_engine(*arguments, **options)

    monkeypatch.setattr("colorbatch.run.batch.open_engine", open_engine)
    with pytest.raises(UsageError, match=f"{RETOUCH_NAME}, line 1: not JSON"):
        run_batch(hinted)
    assert [each.name for each in hinted.output.iterdir()] == [RETOUCH_NAME]


def test_a_record_that_can_be_read_once_is_read_once(hinted: LocalJob, tmp_path: Path) -> None:
    """A shell gives the output of a command as a pipe: ``--retouch <(command)``."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    line = json.dumps({"schema": 1, "input": "a.jpg", "hints": [GREEN]})
    writer = threading.Thread(target=pipe.write_text, args=(line,))
    writer.start()
    run_batch(replace(hinted, retouch=pipe))
    writer.join()
    assert rows(hinted.output)["a.jpg"]["retouch_sha256"] is not None


def test_the_engine_of_a_model_is_gone_before_that_of_the_next_is_opened(
    hinted: LocalJob, vivid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = shutil.copy(vivid, tmp_path / "third.onnx")
    say(hinted, {"input": "a.jpg", "model": vivid}, {"input": "sub/b.png", "model": os.fspath(third)})
    opened: list[weakref.ref[Engine]] = []

    def open_engine(*arguments: Any, **options: Any) -> Engine:  # noqa: ANN401
        gc.collect()
        assert [each() for each in opened] == [None] * len(opened)
        engine = engines.open_engine(*arguments, **options)
        opened.append(weakref.ref(engine))
        return engine

    monkeypatch.setattr("colorbatch.run.batch.open_engine", open_engine)
    summary = run_batch(hinted)
    assert len(opened) == 3
    assert (summary.done, summary.provider) == (5, "cpu")


@pytest.mark.parametrize("engine", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_run_from_scratch_gives_the_same_bytes(hinted: LocalJob, tmp_path: Path, engine: Any, vivid: str) -> None:  # noqa: ANN401
    lines: list[dict[str, object]] = [
        {"input": "a.jpg", "hints": [GREEN]},
        {"input": "d.webp", "leave_grey": True},
        {"input": "sub/e.png", "model": vivid, "vividness": 1.0},
    ]
    run_batch(hinted)
    say(hinted, *lines)
    run_batch(hinted)
    again = replace(hinted, output=tmp_path / "again", engine=engine)
    say(again, *lines)
    run_batch(again)
    assert outputs_below(again.output) == outputs_below(hinted.output)
    assert audit_batch(hinted.output, hinted.source).is_sound


def test_shards_and_their_merge_honour_it(hinted: LocalJob, tmp_path: Path) -> None:
    say(hinted, *({"input": name, "hints": [GREEN]} for name in ("a.jpg", "d.webp", "sub/b.png")))
    run_batch(hinted)
    sharded = replace(hinted, output=tmp_path / "sharded")
    shutil.copytree(
        hinted.output, sharded.output, ignore=lambda *_: [*tree(hinted.output), "colorbatch-manifest.jsonl"]
    )
    say(sharded, *({"input": name, "hints": [GREEN]} for name in ("a.jpg", "d.webp", "sub/b.png")))
    for index in (1, 2):
        run_batch(replace(sharded, shard=Shard(index, 2)))
    join_shards(sharded.output)
    assert outputs_below(sharded.output) == outputs_below(hinted.output)
    assert audit_batch(sharded.output, sharded.source).is_sound


def test_what_is_left_as_it_is_is_the_source(job: LocalJob) -> None:
    run_batch(job)
    say(job, {"input": "a.jpg", "leave_grey": True})
    run_batch(job)
    assert (job.output / "a.jpg").read_bytes() == (job.source / "a.jpg").read_bytes()
    row = rows(job.output)["a.jpg"]
    assert (row["status"], row["reason"], row["digital_source_type"]) == ("done", LEFT_AS_IT_IS, None)
    assert audit_batch(job.output, job.source).is_sound


def test_what_is_left_as_it_is_takes_the_place_of_an_output_in_another_format(job: LocalJob) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(levels).save(job.source / "old.gif")
    run_batch(job)
    say(job, {"input": "old.gif", "leave_grey": True})
    summary = run_batch(job)
    assert (summary.coloured, summary.copied, summary.kept) == (0, 1, 5)
    with Image.open(job.output / "old.gif.png") as output:
        assert np.array_equal(np.asarray(output.convert("L")), levels)
    assert not chroma_of(job.output / "old.gif.png").any()
    assert audit_batch(job.output, job.source).is_sound


def test_a_page_has_a_line_of_its_own(hinted: LocalJob) -> None:
    with tifffile.TiffWriter(hinted.source / "pages.tif") as writer:
        for level in (90, 120, 150):
            writer.write(np.full((40, 60), level, np.uint8))
    say(
        hinted,
        {"input": "pages.tif", "hints": [GREEN]},
        {"input": "pages.tif", "page": 2, "leave_grey": True},
        {"input": "pages.tif", "page": 7, "strength": 1.5},
    )
    run_batch(hinted)
    is_green = [abs(chroma_of(hinted.output / "pages.tif", page)[20, 30]).max() > 20 for page in range(3)]
    assert is_green == [True, False, True]
    assert rows(hinted.output)["pages.tif"]["warnings"] == [
        f"{LEFT_AS_IT_IS}: page 2",
        "the retouch record names page 7; the last one is 3",
    ]
    assert audit_batch(hinted.output, hinted.source).is_sound


def test_another_model_colours_its_sources_in_the_same_run(job: LocalJob, vivid: str) -> None:
    say(job, {"input": "sub/b.png", "model": vivid, "vividness": 1.0}, {"input": "a.jpg", "model": job.model})
    summary = run_batch(replace(job, options=ColorOptions(strength=0.5)))
    assert (summary.done, summary.failed) == (5, 0)
    found = rows(job.output)
    assert found["sub/b.png"]["model_sha256"] != found["a.jpg"]["model_sha256"] == found["d.webp"]["model_sha256"]
    cr = chroma_of(job.output / "sub" / "b.png")[..., 1]
    assert abs(cr.mean() - 255 / 4 / 2) < 8  # vividness 1.0, divided by 4 by the model, at half strength
    assert redone(replace(job, options=ColorOptions(strength=0.5))) == set()
    assert set(summary.stages) >= {"network", "write"}


def test_an_estimate_is_made_with_the_model_of_each_source(
    job: LocalJob, vivid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(job, {"input": "sub/b.png", "model": vivid, "vividness": 1.0})
    used = {}

    def colorize_source(
        content: bytes, planned: PlannedPicture, recipe: Recipe, colorizer: Colorizer, stages: StageTimer
    ) -> Encoded | NoOutput:
        used[planned.input] = colorizer.session.model.sha256
        return colorize.colorize_source(content, planned, recipe, colorizer, stages)

    monkeypatch.setattr("colorbatch.run.forecast.colorize_source", colorize_source)
    assert forecast(job).tried == 5
    run_batch(job)
    assert used == {name: row["model_sha256"] for name, row in rows(job.output).items() if row["status"] == "done"}


def test_a_vividness_of_the_run_does_not_keep_a_model_without_it_from_a_source(job: LocalJob, vivid: str) -> None:
    say(job, {"input": "sub/b.png", "model": job.model})
    summary = run_batch(replace(job, model=vivid, options=ColorOptions(vividness=0.5)))
    assert (summary.done, summary.failed) == (5, 0)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"hints": [GREEN]}, r"the model small does not support hints\. Use the built-in default\."),
        ({"vividness": 0.5}, r"the model small has no vividness\. Change its line in the retouch record\."),
    ],
)
def test_what_the_model_does_not_support_fails_that_picture_alone(
    job: LocalJob, said: dict[str, object], reason: str
) -> None:
    say(job, {"input": "a.jpg"} | said)
    expected = forecast(job)
    assert expected.counts == {"colour": 4, "failed": 1}
    (failing,) = [planned for planned, prospect in expected.pictures if prospect == "failed"]
    summary = run_batch(job)
    assert failing.reason == rows(job.output)["a.jpg"]["reason"]
    assert (summary.done, summary.failed) == (4, 1)
    assert re.fullmatch(reason, str(rows(job.output)["a.jpg"]["reason"]))


def test_a_missing_model_is_refused_before_anything_is_written(job: LocalJob) -> None:
    say(job, {"input": "a.jpg", "model": "none.onnx"})
    with pytest.raises(ModelRefusedError, match=r"the retouch record, a\.jpg: .*none\.onnx"):
        run_batch(job)
    assert set(tree(job.output)) == {RETOUCH_NAME}


def test_a_broken_line_stops_the_run_before_anything_is_written(job: LocalJob) -> None:
    say(job, {"input": "a.jpg", "strenght": 1})
    for act in (run_batch, forecast):
        with pytest.raises(UsageError, match=rf"{RETOUCH_NAME}, line 1: strenght: unknown"):
            act(job)
    assert set(tree(job.output)) == {RETOUCH_NAME}
    assert run_batch(replace(job, ignore_retouch=True)).done == 5


def test_a_file_that_does_not_exist_is_a_warning(job: LocalJob, caplog: pytest.LogCaptureFixture) -> None:
    say(job, *({"input": name, "leave_grey": True} for name in ("a.jpg", "x.jpg", "sub/y.jpg")))
    assert run_batch(job).done == 5
    (told,) = [record.getMessage() for record in caplog.records if "retouch" in record.getMessage()]
    assert told == f"the retouch record names files that are not in {job.source}: sub/y.jpg, x.jpg"
    with pytest.raises(UsageError, match="the retouch record names files"):
        run_batch(replace(job, strict_match=True))


@pytest.mark.parametrize("name", ["colorbatch-retouch (1).jsonl", "colorbatch-retouch-2.jsonl"])
def test_a_record_that_a_browser_has_named_otherwise_is_told_of(
    job: LocalJob, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Names as Chromium and Safari give them to a second download."""
    say(job)
    (job.output / name).write_bytes(b"")
    run_batch(job)
    assert f"{name} in {job.output} is not read: rename it to {RETOUCH_NAME}" in caplog.messages


def test_another_record_and_none(hinted: LocalJob, tmp_path: Path) -> None:
    say(hinted, {"input": "a.jpg", "hints": [GREEN]})
    other = tmp_path / "other.jsonl"
    other.write_text('{"schema": 1, "input": "sub/b.png", "hints": [{"x": 0.5, "y": 0.5, "color": "#00a000"}]}')
    run_batch(replace(hinted, retouch=other))
    told = {name for name, row in rows(hinted.output).items() if row["retouch_sha256"] is not None}
    assert told == {"sub/b.png"}
    assert audit_batch(hinted.output, retouch=other).is_sound
    assert {each.path for each in audit_batch(hinted.output).findings} == {"a.jpg", "sub/b.png"}
    assert redone(replace(hinted, ignore_retouch=True)) == {"sub/b.png"}
    assert {each.path for each in audit_batch(hinted.output).findings} == {"a.jpg"}
    assert audit_batch(hinted.output, ignore_retouch=True).is_sound


def test_a_dry_run_says_what_would_be_redone(hinted: LocalJob) -> None:
    run_batch(hinted)
    say(hinted, {"input": "a.jpg", "hints": [GREEN]}, {"input": "d.webp", "model": "unet"})
    prospects = {planned.input: prospect for planned, prospect in forecast(hinted).pictures}
    assert {name for name, prospect in prospects.items() if prospect == "again"} == {"a.jpg", "d.webp"}


def test_a_look_knows_what_a_person_said(hinted: LocalJob, colour_source: Path) -> None:
    for name in ("colour.png", "colour.bmp"):
        shutil.copy(colour_source / name, hinted.source)
    say(hinted, {"input": "colour.bmp", "hints": [GREEN]}, {"input": "a.jpg", "leave_grey": True})
    prospects = {planned.input: prospect for planned, prospect in forecast(hinted, look=True).pictures}
    run_batch(hinted)
    assert {name: prospects.pop(name) for name in ("colour.png", "colour.bmp", "a.jpg")} == {
        "colour.png": "skipped",
        "colour.bmp": "colour",
        "a.jpg": "copied",
    }
    assert set(prospects.values()) == {"colour"}
    found = rows(hinted.output)
    assert [found[name]["status"] for name in ("colour.png", "colour.bmp", "a.jpg")] == ["skipped", "done", "done"]


@pytest.mark.parametrize("said", [{"hints": [GREEN]}, {"strength": 1.0}])
def test_what_a_person_says_colours_a_picture_that_counts_as_in_colour(
    hinted: LocalJob, colour_source: Path, said: dict[str, object]
) -> None:
    shutil.copy(colour_source / "colour.png", hinted.source)
    run_batch(hinted)
    assert rows(hinted.output)["colour.png"]["status"] == "skipped"
    say(hinted, {"input": "colour.png"} | said)
    assert redone(hinted) == {"colour.png"}
    assert rows(hinted.output)["colour.png"]["status"] == "done"


def save_color(path: Path) -> None:
    """Write a picture that is in colour throughout, and in a format that outputs cannot have."""
    ramp = Image.linear_gradient("L")
    Image.merge("RGB", [ramp, ramp.rotate(90), ramp.rotate(180)]).save(path, path.suffix[1:].upper())


@pytest.mark.parametrize("shard", [None, Shard(1, 1)])
def test_the_output_of_a_source_is_one_file_whether_it_is_copied_or_coloured(
    hinted: LocalJob, shard: Shard | None
) -> None:
    shutil.rmtree(hinted.source)
    hinted.source.mkdir()
    save_color(hinted.source / "scan.gif")
    job = replace(hinted, already_color="copy", shard=shard)
    for color in (None, "#00a000", None, "#a00000", "#00a000"):
        say(job, *([] if color is None else [{"input": "scan.gif", "hints": [GREEN | {"color": color}]}]))
        assert run_batch(job).done == 1
        if shard is not None:
            join_shards(job.output)
        name = "scan.gif" if color is None else "scan.gif.png"
        assert [each for each in tree(job.output) if each.startswith("scan")] == [name]
        assert (color is None) == ((job.output / name).read_bytes() == (job.source / "scan.gif").read_bytes())
        assert audit_batch(job.output, job.source).is_sound
        assert run_batch(job).kept == 1


@pytest.mark.parametrize("how", ["altered", "link"])
def test_an_earlier_output_that_is_not_as_it_was_made_is_not_removed(
    hinted: LocalJob, tmp_path: Path, how: str
) -> None:
    save_color(hinted.source / "scan.gif")
    job = replace(hinted, already_color="copy")
    run_batch(job)
    earlier = job.output / "scan.gif"
    if how == "link":
        earlier.replace(tmp_path / "elsewhere.gif")
        earlier.symlink_to(tmp_path / "elsewhere.gif")
    else:
        earlier.write_bytes(earlier.read_bytes() + b"caption")
    content = earlier.read_bytes()
    say(job, {"input": "scan.gif", "hints": [GREEN]})
    run_batch(job)
    assert earlier.read_bytes() == content
    assert earlier.is_symlink() == (how == "link")
    row = rows(job.output)["scan.gif"]
    assert row["output"] == "scan.gif.png"
    assert "an earlier output, scan.gif, was not removed: it was altered" in str(row["warnings"])


def test_an_output_whose_source_is_skipped_again_is_told_of(hinted: LocalJob, colour_source: Path) -> None:
    shutil.copy(colour_source / "colour.png", hinted.source)
    say(hinted, {"input": "colour.png", "hints": [GREEN]})
    run_batch(hinted)
    (hinted.output / RETOUCH_NAME).unlink()
    run_batch(hinted)
    row = rows(hinted.output)["colour.png"]
    assert (row["status"], row["output"]) == ("skipped", "colour.png")
    assert row["warnings"] == ["the output of an earlier run is still there"]
    for source in (None, hinted.source):
        (finding,) = audit_batch(hinted.output, source).findings
        assert (finding.path, finding.problem.endswith("delete it")) == ("colour.png", True)
    (hinted.output / "colour.png").unlink()
    run_batch(hinted)
    assert audit_batch(hinted.output, hinted.source).is_sound


def test_the_mark_says_how_many_hints_a_person_gave(hinted: LocalJob) -> None:
    hint = {"x": 0.1, "y": 0.1, "color": "#ff0000"}
    say(hinted, {"input": "a.jpg", "hints": [hint, GREEN, hint]}, {"input": "d.webp", "hints": [hint]})
    run_batch(hinted)
    told = [events(hinted.output / name)[-1].split(" from ")[0] for name in ("a.jpg", "d.webp", "sub/e.png")]
    assert told == [
        "coloured by a model, with 3 hints of a person",
        "coloured by a model, with 1 hint of a person",
        "coloured by a model",
    ]
    packet = decode((hinted.output / "a.jpg").read_bytes()).first.metadata.xmp
    assert given_hints(packet) == 3


def test_audit_finds_a_mark_that_says_another_number(hinted: LocalJob) -> None:
    say(hinted, {"input": "a.jpg", "hints": [GREEN]})
    run_batch(hinted)
    forged = (hinted.output / "a.jpg").read_bytes().replace(b"with 1 hint of", b"with 2 hint of")
    (hinted.output / "a.jpg").write_bytes(forged)
    import hashlib

    manifest = hinted.output / "colorbatch-manifest.jsonl"
    lines = [json.loads(each) for each in manifest.read_bytes().splitlines()]
    for row in lines:
        if row["input"] == "a.jpg":
            row["output_sha256"] = hashlib.sha256(forged).hexdigest()
    manifest.write_text("".join(json.dumps(row) + "\n" for row in lines))
    (finding,) = audit_batch(hinted.output).findings
    assert finding.problem == "its metadata does not state how many hints a person gave, which is 1"


def test_audit_finds_a_record_that_was_changed_since(hinted: LocalJob) -> None:
    say(hinted, {"input": "a.jpg", "hints": [GREEN]})
    run_batch(hinted)
    assert audit_batch(hinted.output, hinted.source).is_sound
    say(hinted, {"input": "a.jpg", "hints": [GREEN, GREEN]}, {"input": "d.webp", "note": "no more than a note"})
    (finding,) = audit_batch(hinted.output).findings
    assert (finding.path, finding.problem) == (
        "a.jpg",
        "it was not made as the retouch record says: run it again first",
    )


def test_the_command_line(hinted: LocalJob, command_line: Any, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ANN401
    say(hinted, {"input": "a.jpg", "hints": [GREEN]})
    model = ("--model", hinted.model)
    assert command_line("run", *model, hinted.source, hinted.output) == ExitCode.OK
    assert command_line("audit", hinted.output, "--source", hinted.source) == ExitCode.OK
    assert command_line("run", "--no-retouch", *model, hinted.source, hinted.output) == ExitCode.OK
    assert rows(hinted.output)["a.jpg"]["retouch_sha256"] is None
    assert command_line("audit", hinted.output) == ExitCode.PICTURES_FAILED
    record = hinted.output / RETOUCH_NAME
    capsys.readouterr()
    assert command_line("run", "--no-retouch", "--retouch", record, hinted.source, hinted.output) == ExitCode.USAGE
    assert "--retouch and --no-retouch exclude each other" in capsys.readouterr().err
    record.write_text("no line")
    assert command_line("run", hinted.source, hinted.output) == ExitCode.USAGE
    assert "line 1: not JSON" in capsys.readouterr().err
    assert command_line("audit", hinted.output) == ExitCode.USAGE


def test_the_settings_of_a_row_are_those_that_were_chosen(job: LocalJob) -> None:
    run_batch(replace(job, options=ColorOptions(strength=0.5), already_color="copy"))
    assert rows(job.output)["a.jpg"]["settings"] == {"strength": 0.5, "already_color": "copy"}
    run_batch(replace(job, digital_source_type=None))
    assert rows(job.output)["a.jpg"]["settings"] == {"digital_source_type": None}
    run_batch(job)
    assert rows(job.output)["a.jpg"]["settings"] == {}
