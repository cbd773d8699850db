import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import LocalJob, hinted_model
from PIL import Image
from retouching import OpenSession

from colorbatch.errors import ModelRefusedError, OutputInUseError, UnreadablePictureError, UnsafeOutputError, UsageError
from colorbatch.job import ColorOptions
from colorbatch.operations.audit import audit_batch
from colorbatch.pixels.hint import Hint
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.retouch import RETOUCH_NAME, RetouchLine
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.retouch.session import RetouchSession
from colorbatch.run import plan
from colorbatch.run.batch import run_batch
from colorbatch.shard import Shard

RED = Hint(0.5, 0.5, "#c04030", radius=0.3)
"""Cb and Cr of about -0.13 and 0.26."""


def rows_of(output: Path) -> dict[str, dict[str, object]]:
    rows = map(json.loads, (output / MANIFEST_NAME).read_text().splitlines())
    return {row["input"]: row for row in rows}


def files_of(output: Path) -> dict[str, bytes]:
    """Return all files but the manifest, whose times differ, and the state of a session."""
    files = (path for path in output.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)
    files = (path for path in files if STATE_FOLDER not in path.parts)
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in files}


def redness_of(path: Path) -> float:
    """Return how much more red than blue the middle of a picture is, in levels."""
    red, _, blue = np.asarray(Image.open(path).convert("RGB"))[24, 32].astype(int)
    return float(red - blue)


def test_what_is_saved_is_made_at_once_and_a_run_keeps_it(job: LocalJob, session: RetouchSession) -> None:
    before = files_of(job.output)
    saved = session.save([RetouchLine("a.png", 1, hints=(RED,))], 1)
    assert (saved.made, saved.message) == (True, "")
    assert redness_of(job.output / "a.png") > 80
    session.close()
    after = files_of(job.output)
    assert {name for name in after if after[name] != before.get(name)} == {"a.png", RETOUCH_NAME}
    summary = run_batch(job)
    assert (summary.coloured, summary.kept) == (0, 2)
    assert files_of(job.output) == after


def test_a_picture_that_was_copied_is_coloured_and_copied_again(new_job: LocalJob, open_session: OpenSession) -> None:
    ramp = Image.linear_gradient("L")
    Image.merge("RGB", [ramp, ramp.rotate(90), ramp.rotate(180)]).save(new_job.source / "scan.gif")
    job = replace(new_job, already_color="copy")
    run_batch(job)
    outputs = {"a.png", "sub/b.jpg", "scan.gif"}
    for hints in ((RED,), (), (RED, RED), ()):
        for is_open in (True, False):
            session = open_session(job)
            assert session.save([RetouchLine("scan.gif", 1, hints=hints)], 1).made
            if not is_open:
                session.save([RetouchLine("scan.gif", 1)], 1)
                assert session.save([RetouchLine("scan.gif", 1, hints=hints)], 1).made
            session.close()
            expected = outputs - {"scan.gif"} | {"scan.gif.png"} if hints else outputs
            assert set(files_of(job.output)) - {RETOUCH_NAME} == expected
            assert audit_batch(job.output, job.source).is_sound
    assert run_batch(job).kept == 3


def test_a_run_that_ends_while_a_session_is_opened_is_not_lost(
    new_job: LocalJob, open_session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:

    def plan_batch(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        monkeypatch.undo()
        run_batch(new_job)
        return plan.plan_batch(*arguments, **options)

    monkeypatch.setattr("colorbatch.retouch.session.plan_batch", plan_batch)
    with pytest.raises(OutputInUseError, match="another run has just coloured"):
        open_session(new_job)
    assert {row["status"] for row in rows_of(new_job.output).values()} == {"done", "skipped"}


def test_a_run_from_scratch_with_the_record_makes_the_same_bytes(
    job: LocalJob, session: RetouchSession, tmp_path: Path
) -> None:
    session.save([RetouchLine("a.png", 1, hints=(RED,), strength=0.8)], 1)
    session.save([RetouchLine("sub/b.jpg", 1, leave_grey=True, note="a plan of the house")], 1)
    session.close()
    again = replace(job, output=tmp_path / "again")
    again.output.mkdir()
    shutil.copy(job.output / RETOUCH_NAME, again.output)
    assert run_batch(again).failed == 0
    assert files_of(again.output) == files_of(job.output)
    assert (job.output / "sub/b.jpg").read_bytes() == (job.source / "sub/b.jpg").read_bytes()


def test_to_take_back_what_was_said_makes_the_first_output_again_without_a_warning(
    job: LocalJob, session: RetouchSession
) -> None:
    before = files_of(job.output)
    session.save([RetouchLine("a.png", 1, hints=(RED,))], 1)
    session.save([RetouchLine("a.png", 1)], 1)
    session.close()
    assert files_of(job.output) == before | {RETOUCH_NAME: b""}
    assert rows_of(job.output)["a.png"]["warnings"] == []


def test_a_folder_that_no_run_has_touched_is_made_as_far_as_it_is_saved(
    new_job: LocalJob, open_session: OpenSession
) -> None:
    session = open_session(new_job)
    assert [each.input for each in session.pictures] == ["a.png", "sub/b.jpg"]
    session.save([RetouchLine("a.png", 1, hints=(RED,))], 1)
    session.close()
    rows = rows_of(new_job.output)
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.png": "done",
        "notes.txt": "skipped",
        "sub/b.jpg": "skipped",
    }
    assert str(rows["sub/b.jpg"]["reason"]).startswith("not reached")
    summary = run_batch(new_job)
    assert (summary.coloured, summary.kept) == (1, 1)


def test_to_look_writes_nothing(job: LocalJob, new_job: LocalJob, open_session: OpenSession, tmp_path: Path) -> None:
    before = files_of(job.output) | {MANIFEST_NAME: (job.output / MANIFEST_NAME).read_bytes()}
    open_session(job).close()
    assert files_of(job.output) | {MANIFEST_NAME: (job.output / MANIFEST_NAME).read_bytes()} == before
    new = replace(new_job, output=tmp_path / "new")
    open_session(new).close()
    assert list(new.output.rglob("*")) == []


def test_nobody_else_writes_meanwhile(job: LocalJob, session: RetouchSession, open_session: OpenSession) -> None:
    with pytest.raises(OutputInUseError, match="another run is in progress"):
        run_batch(job)
    with pytest.raises(OutputInUseError):
        open_session(job)
    session.close()
    run_batch(job)
    with pytest.raises(UsageError, match="the session has ended"):
        session.save([RetouchLine("a.png", 1)], 1)


def test_without_the_source_only_the_record_is_written_and_the_next_run_makes_it(
    job: LocalJob, open_session: OpenSession
) -> None:
    before = files_of(job.output)
    session = open_session(job, has_source=False)
    saved = session.save([RetouchLine("a.png", 1, hints=(RED,))], 1)
    assert not saved.made
    assert "colorbatch run SOURCE" in saved.message
    session.close()
    assert files_of(job.output).keys() - before.keys() == {RETOUCH_NAME}
    assert run_batch(job).coloured == 1
    assert redness_of(job.output / "a.png") > 80


def test_a_source_that_is_gone_changes_nothing(job: LocalJob, session: RetouchSession) -> None:
    (job.source / "a.png").unlink()
    before = files_of(job.output)
    with pytest.raises(UnreadablePictureError, match="cannot read the file"):
        session.save([RetouchLine("a.png", 1, hints=(RED,))], 1)
    session.close()
    assert files_of(job.output) == before
    assert rows_of(job.output)["a.png"]["status"] == "done"


def test_a_source_that_became_another_kind_of_picture_is_left_to_a_run(job: LocalJob, session: RetouchSession) -> None:
    (job.source / "a.png").unlink()
    Image.linear_gradient("L").save(job.source / "a.png", "TIFF")
    with pytest.raises(UnsafeOutputError, match="another kind of picture"):
        session.save([RetouchLine("a.png", 1, hints=(RED,))], 1)


@pytest.mark.parametrize("has_source", [True, False])
def test_a_record_that_is_not_valid_is_refused_at_the_start_and_left_alone_later(
    job: LocalJob, open_session: OpenSession, *, has_source: bool
) -> None:
    session = open_session(job, has_source=has_source)
    broken = b'{"schema": 1, "input": "sub/b.jpg", "vividness": 7}\n'
    (job.output / RETOUCH_NAME).write_bytes(broken)
    with pytest.raises(UsageError, match="line 1: vividness"):
        session.save([RetouchLine("a.png", 1, hints=(RED,))], 1)
    assert (job.output / RETOUCH_NAME).read_bytes() == broken
    session.close()
    with pytest.raises(UsageError, match="line 1: vividness") as error:
        open_session(job)
    assert error.value.advice == "Correct or remove these lines. Nothing was changed."


def test_what_another_program_wrote_into_the_record_meanwhile_is_kept(job: LocalJob, session: RetouchSession) -> None:
    theirs = RetouchLine("sub/b.jpg", leave_grey=True).to_json()
    (job.output / RETOUCH_NAME).write_bytes(theirs)
    session.save([RetouchLine("a.png", 1, strength=0.5)], 1)
    assert (job.output / RETOUCH_NAME).read_bytes().startswith(theirs)


def test_the_settings_of_the_outputs_are_those_of_the_session(job: LocalJob, open_session: OpenSession) -> None:
    vivid = replace(job, options=ColorOptions(strength=0.4, tta=True), jpeg_luma="reencoded", digital_source_type=None)
    run_batch(vivid)
    session = open_session(job)
    session.save([RetouchLine("a.png", 1, hints=(RED,))], 1)
    session.close()
    assert run_batch(vivid).kept == 2
    session = open_session(job, strength=1.5)
    assert session.job.options == ColorOptions(strength=1.5, tta=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"already_color": "copy"},
        {"doubtful_color": "skip"},
        {"jpeg_luma": "reencoded"},
        {"digital_source_type": "algorithmicallyEnhanced"},
        {"convert_profile": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_setting_that_a_row_tells_is_known(
    new_job: LocalJob, open_session: OpenSession, changes: dict[str, Any]
) -> None:
    job = replace(new_job, **changes)
    run_batch(job)
    found = open_session(job).job
    assert {name: getattr(found, name) for name in changes} == changes


def test_a_model_that_is_not_built_in_has_to_be_given(job: LocalJob, open_session: OpenSession) -> None:
    with pytest.raises(UsageError, match="not built in: small, sha256") as error:
        open_session(job, model=None)
    assert "--model PATH" in error.value.advice


def test_a_built_in_model_is_found_by_what_is_in_it(new_job: LocalJob, open_session: OpenSession) -> None:
    run_batch(replace(new_job, model="unet"))
    session = open_session(new_job, model=None)
    assert session.job.model == "unet"


def test_a_setting_that_is_not_known_is_refused(job: LocalJob, open_session: OpenSession) -> None:
    manifest = job.output / MANIFEST_NAME
    manifest.write_text(manifest.read_text().replace('"settings": {}', '"settings": {"palette": "warm"}'))
    with pytest.raises(UsageError, match="does not know: palette = warm"):
        open_session(job)


def test_rows_that_do_not_tell_their_settings_need_them_as_options(job: LocalJob, open_session: OpenSession) -> None:
    run_batch(replace(job, options=ColorOptions(strength=0.4)))
    manifest = job.output / MANIFEST_NAME
    manifest.write_text(manifest.read_text().replace('"settings": {"strength": 0.4}', '"settings": {}'))
    with pytest.raises(UsageError, match="does not tell all settings"):
        open_session(job)
    assert open_session(job, strength=0.4).job.options == ColorOptions(strength=0.4)


@pytest.mark.parametrize("has_line_of_all", [True, False])
def test_a_page_of_a_tiff_is_retouched_alone(
    job: LocalJob, open_session: OpenSession, *, has_line_of_all: bool
) -> None:
    pages = [Image.linear_gradient("L").resize((64, 48)) for _ in range(3)]
    pages[0].save(job.source / "c.tif", save_all=True, append_images=pages[1:])
    run_batch(job)
    if has_line_of_all:
        (job.output / RETOUCH_NAME).write_bytes(RetouchLine("c.tif", strength=0.5).to_json())
    session = open_session(job)
    session.save([RetouchLine("c.tif", 2, hints=(RED,))], 3)
    session.close()
    reds = []
    with Image.open(job.output / "c.tif") as image:
        for number in range(3):
            image.seek(number)
            red, _, blue = np.asarray(image.convert("RGB"))[24, 32].astype(int)
            reds.append(red - blue > 60)
    assert reds == [False, True, False]
    assert run_batch(job).kept == 3


def test_shards_have_to_be_merged_first(new_job: LocalJob, open_session: OpenSession) -> None:
    run_batch(replace(new_job, shard=Shard(1, 2)))
    with pytest.raises(UsageError, match="not merged"):
        open_session(new_job)


def test_the_output_must_not_be_the_source(new_job: LocalJob, open_session: OpenSession) -> None:
    with pytest.raises(UsageError):
        open_session(replace(new_job, output=new_job.source))
    with pytest.raises(UsageError, match="does not exist"):
        open_session(replace(new_job, source=new_job.source / "gone"))
    with pytest.raises(UsageError, match="has no colorbatch-manifest"):
        open_session(new_job, has_source=False)
    assert sorted(path.name for path in new_job.source.rglob("*")) == ["a.png", "b.jpg", "notes.txt", "sub"]


_KILLED = """
import sys
from pathlib import Path
from colorbatch.pixels.hint import Hint
from colorbatch.records.retouch import RetouchLine
from colorbatch.retouch.made_with import Choices
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.retouch.session import RetouchSession

session = RetouchSession(Path(sys.argv[1]), Path(sys.argv[2]), Choices(model=sys.argv[3]))
session.save([RetouchLine("a.png", 1, hints=(Hint(0.5, 0.5, "#c04030", radius=0.3),))], 1)
print("saved", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_a_session_that_was_killed_loses_nothing(job: LocalJob) -> None:
    started = [sys.executable, "-c", _KILLED, str(job.source), str(job.output), job.model]
    with subprocess.Popen(started, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "saved\n"
        os.kill(process.pid, signal.SIGKILL)
    after = files_of(job.output)["a.png"]
    summary = run_batch(job)
    assert (summary.coloured, summary.kept) == (0, 2)
    assert files_of(job.output).keys() == {"a.png", "sub/b.jpg", RETOUCH_NAME}
    assert (job.output / "a.png").read_bytes() == after


def test_another_model_for_one_picture_is_that_of_the_run_for_it(
    job: LocalJob, open_session: OpenSession, tmp_path: Path
) -> None:
    other = tmp_path / "other.onnx"
    model = hinted_model()
    model.producer_version = "another"
    other.write_bytes(model.SerializeToString())
    (job.output / RETOUCH_NAME).write_bytes(RetouchLine("sub/b.jpg", model=str(other)).to_json())
    session = open_session(job)
    assert session.models == ["default", "fast", "unet", job.model, str(other)]
    session.save([RetouchLine("a.png", 1, hints=(RED,), model=str(other))], 1)
    with pytest.raises(ValueError, match="model: unknown"):
        session.save([RetouchLine("a.png", 1, model=str(tmp_path / "third.onnx"))], 1)
    with pytest.raises(ValueError, match="does not support them"):
        session.save([RetouchLine("a.png", 1, hints=(RED,), model="unet")], 1)
    session.close()
    summary = run_batch(job)
    assert (summary.coloured, summary.kept) == (1, 1)


def test_a_model_in_a_folder_of_models_is_found_by_its_hash_and_can_be_named(
    job: LocalJob, open_session: OpenSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "renamed.onnx").write_bytes(Path(job.model).read_bytes())
    (folder / "broken.onnx").write_bytes(b"no model")
    monkeypatch.setenv("COLORBATCH_MODELS", str(folder))
    session = open_session(job, model=None)
    assert session.job.model == "renamed"
    assert {"default", "renamed", "broken"} <= set(session.models)
    with pytest.raises(ModelRefusedError, match=r"broken\.onnx is not an ONNX model"):
        session.engine("broken")
