"""What a run, a dry run and an audit do with what a record of retouching says."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batches import rows, tree
from helpers import LocalJob
from PIL import Image
from retouched import GREEN, events, redone, say

from colorbatch.errors import ExitCode, ModelRefusedError, UsageError
from colorbatch.formats import decode
from colorbatch.formats.mark import given_hints
from colorbatch.job import ColorOptions
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.merge import join_shards
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.run.batch import run_batch
from colorbatch.run.forecast import forecast
from colorbatch.shard import Shard


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
