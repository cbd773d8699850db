"""What a person said about pictures, in runs."""

import gc
import json
import os
import shutil
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import tifffile
from batches import rows, tree
from helpers import LocalJob, outputs_below
from PIL import Image
from retouched import GREEN, chroma_of, redone, say

from colorbatch.errors import UsageError
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
