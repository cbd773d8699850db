import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import BinaryIO

import numpy as np
import pytest
from helpers import CommandLine, LocalJob, comparable_rows, outputs_below, small_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from colorbatch.errors import OutputInUseError, UsageError
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.merge import Joined, join_shards
from colorbatch.progress import SilentProgress
from colorbatch.records.manifest import MANIFEST_NAME, Manifest
from colorbatch.records.row import Row
from colorbatch.records.state_folder import STATE_FOLDER, journal_name
from colorbatch.run.batch import run_batch
from colorbatch.run.plan import plan_batch
from colorbatch.shard import Shard
from colorbatch.store import local, open_store
from colorbatch.store.regular_files import open_regular

NAMES = ("a.jpg", "b/1.png", "b/2.tif", "b/deep/3.webp", "c.gif", "c.gif.png", "d.jpg", "e.bmp", "e.bmp.png", "f.png")


def grey(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.random.default_rng(number).integers(20, 230, (20, 30), dtype=np.uint8)
    Image.fromarray(levels).save(path, {".gif": "GIF", ".bmp": "BMP"}.get(path.suffix))


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    source = tmp_path / "in"
    for number, name in enumerate(NAMES):
        grey(source / name, number)
    Image.new("L", (9, 9), 70).save(source / "c.gif.png", "GIF")  # so its output meets that of nothing but c.gif's
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0no")
    (source / "notes.txt").touch()
    rainbow = Image.effect_noise((32, 24), 90).convert("RGB")
    rainbow.putdata([(x * 8 % 256, x * 5 % 256, x * 3 % 256) for x in range(32 * 24)])
    rainbow.save(source / "colour.png")
    return LocalJob(source, tmp_path / "out", str(model_path), "cpu", jobs=1)


def do(job: LocalJob, *indices: int, count: int) -> None:
    for index in indices:
        run_batch(replace(job, shard=Shard(index, count)))


def shards_of(count: int) -> Sequence[int]:
    """Return the shards that hold a picture."""
    return [index for index in range(1, count + 1) if any(map(Shard(index, count).holds, NAMES))]


@pytest.mark.parametrize("count", [1, 2, 7, pytest.param(64, marks=pytest.mark.slow)])
def test_the_union_of_the_shards_is_the_whole_byte_for_byte(job: LocalJob, tmp_path: Path, count: int) -> None:
    whole = replace(job, output=tmp_path / "whole")
    run_batch(whole)
    do(job, *range(count, 0, -1), count=count)
    assert not (job.output / MANIFEST_NAME).exists()
    assert join_shards(job.output) == Joined(shards=count, done=10, skipped=2, failed=1, ways=1)
    assert outputs_below(job.output) == outputs_below(whole.output)
    assert len(outputs_below(whole.output)) == 10
    assert comparable_rows(job.output) == comparable_rows(whole.output)
    assert not (job.output / STATE_FOLDER).exists()
    assert audit_batch(job.output, job.source).is_sound


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["x", "x.gif", "x.png", "x.gif.png", "x.png.gif.png", "y.tif", "y", "z" * 240]),
            st.sampled_from([".gif", ".png", ".bmp", ".JPG", ".gif.png", ".png.png.png"]),
            st.sampled_from([b"GIF89a", b"\x89PNG\r\n\x1a\n", b"BM", b"no picture"]),
        ),
        max_size=9,
    ),
    st.integers(1, 5),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_outputs_are_called_the_same_however_a_job_is_split(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[str, str, bytes]], count: int
) -> None:
    source = tmp_path_factory.mktemp("in")
    for stem, ending, data in found:
        name = (stem + ending)[-255:]
        (source / name).write_bytes(data)
    output = source.parent / "never made"
    whole = plan_batch(open_store(source), open_store(output))
    shards = [
        plan_batch(open_store(source), open_store(output), shard=Shard(index, count)) for index in range(1, count + 1)
    ]
    assert sorted(each.input for plan in shards for each in plan) == [each.input for each in whole]
    assert {each for plan in shards for each in plan} == set(whole)


def test_a_shard_looks_into_no_file_of_the_others(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def noted(path: Path) -> BinaryIO:
        opened.append(path.relative_to(job.source).as_posix())
        return open_regular(path)

    monkeypatch.setattr(local, "open_regular", noted)
    shard = next(Shard(index, 7) for index in range(1, 8) if Shard(index, 7).holds("a.jpg"))
    plan = plan_batch(open_store(job.source), open_store(job.output), shard=shard)
    allowed = {each.input for each in plan} | {"c.gif", "c.gif.png", "e.bmp", "e.bmp.png"}  # whose outputs could meet
    assert "a.jpg" in opened
    assert set(opened) <= allowed


def test_shards_run_at_the_same_time_into_one_folder(job: LocalJob, tmp_path: Path) -> None:
    commands = [
        [sys.executable, "-m", "colorbatch", "run", "-q", "--model", job.model, "--shard", f"{index}/3"]
        for index in (1, 2, 3)
    ]
    runs = [subprocess.Popen([*command, job.source, job.output], stderr=subprocess.PIPE) for command in commands]
    errors = [run.communicate(timeout=120)[1] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 0, 1], errors  # one holds the broken picture
    assert join_shards(job.output).is_whole
    whole = replace(job, output=tmp_path / "whole")
    run_batch(whole)
    assert outputs_below(job.output) == outputs_below(whole.output)
    assert comparable_rows(job.output) == comparable_rows(whole.output)


def test_what_is_missing_is_named_and_can_be_done_later(job: LocalJob) -> None:
    here, *_, away = shards_of(3)
    do(job, *(index for index in (1, 2, 3) if index != away), count=3)
    joined = join_shards(job.output)
    assert joined.missing == [away]
    assert not joined.is_whole
    assert not any(Shard(away, 3).holds(str(row["input"])) for row in comparable_rows(job.output))
    assert "run colorbatch merge first" in str(audit_batch(job.output).findings)
    before = outputs_below(job.output)
    do(job, away, count=3)
    assert join_shards(job.output).is_whole
    assert audit_batch(job.output, job.source).is_sound
    assert {name: data for name, data in outputs_below(job.output).items() if name in before} == {
        name: data for name, data in before.items() if not name.startswith(STATE_FOLDER)
    }
    assert here in shards_of(3)


def test_a_killed_shard_is_missing_and_its_pictures_are_kept_when_it_is_done_again(job: LocalJob) -> None:
    do(job, 1, 2, count=2)
    whole = outputs_below(job.output)
    record = job.output / STATE_FOLDER / "shard-1-of-2.jsonl"
    lines = record.read_bytes().splitlines(keepends=True)
    record.unlink()
    (job.output / STATE_FOLDER / "journal-1-of-2.jsonl").write_bytes(lines[0] + lines[1][:30])
    left_behind = job.output / ".colorbatch-0123456789abcdef.tmp"
    left_behind.touch()
    assert join_shards(job.output).missing == [1]
    kept = run_batch(replace(job, shard=Shard(1, 2)))
    assert kept.kept == (json.loads(lines[0])["status"] == "done")
    assert join_shards(job.output).is_whole
    assert not left_behind.exists()
    assert outputs_below(job.output) == {
        name: data for name, data in whole.items() if not name.startswith(STATE_FOLDER)
    }


def test_a_shard_that_was_stopped_is_named(job: LocalJob) -> None:
    stopped, *others = shards_of(2)

    class StopsAtOnce(SilentProgress):
        def begin(self, total: int, label: str, weight: float | None = None) -> None:  # noqa: ARG002
            stop.set()

    stop = Event()
    run_batch(replace(job, shard=Shard(stopped, 2)), StopsAtOnce(), stop)
    do(job, *others, count=2)
    joined = join_shards(job.output)
    assert (joined.missing, joined.stopped) == ([], [stopped])
    do(job, stopped, count=2)
    assert join_shards(job.output).is_whole


def test_another_split_takes_over_what_is_there(job: LocalJob) -> None:
    do(job, 1, 2, count=2)
    for index in (1, 2, 3):
        summary = run_batch(replace(job, shard=Shard(index, 3)))
        assert summary.coloured == 0
    assert join_shards(job.output) == Joined(shards=3, done=10, skipped=2, failed=1, ways=1)
    assert not (job.output / STATE_FOLDER).exists()


def test_a_run_over_all_takes_over_what_shards_did(job: LocalJob) -> None:
    do(job, 1, count=2)
    coloured = len([name for name in outputs_below(job.output) if not name.startswith(STATE_FOLDER)])
    summary = run_batch(job)
    assert summary.kept == coloured
    assert not (job.output / STATE_FOLDER).exists()
    assert audit_batch(job.output, job.source).is_sound


def test_rows_of_sources_that_are_gone_stay_while_their_outputs_do(job: LocalJob, tmp_path: Path) -> None:
    run_batch(job)
    shutil.copytree(job.output, tmp_path / "whole")
    for name in ("a.jpg", "broken.jpg"):
        (job.source / name).unlink()
    run_batch(replace(job, output=tmp_path / "whole"))
    do(job, 1, 2, 3, count=3)
    join_shards(job.output)
    assert comparable_rows(job.output) == comparable_rows(tmp_path / "whole")
    assert "a.jpg" in {row["input"] for row in comparable_rows(job.output)}


def test_different_models_are_told(job: LocalJob, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(small_model((0.1, 0.1)).SerializeToString())
    first, second = shards_of(2)
    do(job, first, count=2)
    do(replace(job, model=str(other)), second, count=2)
    assert join_shards(job.output).ways == 2


def test_a_file_of_another_name_is_no_shard(job: LocalJob) -> None:
    do(job, 1, 2, count=2)
    for name in ("shard.jsonl", "shard-3-of-2.jsonl", "shard-1-of-2.jsonl.bak", "journal-0-of-0.jsonl"):
        (job.output / STATE_FOLDER / name).write_bytes(Row("evil.jpg", status="done").to_json())
    assert join_shards(job.output).shards == 2
    assert "evil.jpg" not in {row["input"] for row in comparable_rows(job.output)}


@pytest.mark.parametrize(
    ("at_work", "wanted", "is_refused"),
    [
        (None, None, True),
        (None, Shard(1, 2), True),
        (Shard(1, 2), None, True),
        (Shard(1, 2), Shard(1, 2), True),
        (Shard(1, 2), Shard(1, 3), True),
        (Shard(1, 2), Shard(2, 2), False),
    ],
)
def test_only_shards_of_one_split_work_beside_each_other(
    tmp_path: Path, at_work: Shard | None, wanted: Shard | None, *, is_refused: bool
) -> None:
    program = (
        "import sys; from pathlib import Path; from colorbatch.records.manifest import Manifest;"
        "from colorbatch.store import open_store;"
        "from colorbatch.shard import Shard; text = sys.argv[2];"
        "manifest = Manifest(open_store(Path(sys.argv[1])), Shard.parse(text, {}) if text else None);"
        "print('at work', flush=True); input(); manifest.finish()"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(at_work or "")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        if is_refused:
            with pytest.raises(OutputInUseError, match="in progress in"):
                Manifest(open_store(tmp_path), wanted)
            own = journal_name(at_work)  # what was refused leaves nothing
            left = {f"{STATE_FOLDER}/{each}" for each in os.listdir(tmp_path / STATE_FOLDER)}
            assert left == {own, f"{own}.lock", f"{own}.holder"}
        else:
            with Manifest(open_store(tmp_path), wanted) as manifest:
                manifest.finish()
            with pytest.raises(OutputInUseError):
                join_shards(tmp_path)
        process.communicate("\n")
    assert process.returncode == 0


def test_there_is_nothing_to_merge_where_nothing_ran(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no colorbatch-manifest"):
        join_shards(tmp_path)


def test_the_command_says_what_is_missing(
    job: LocalJob, command_line: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    (job.source / "broken.jpg").unlink()
    options = ("--model", job.model, "--quiet")
    assert command_line("run", *options, "--shard", "1/3", job.source, job.output) == 0
    assert capsys.readouterr().err == ""
    assert command_line("merge", job.output) == 1
    error = capsys.readouterr().err
    assert "Missing: shard 2/3 was killed or never started" in error
    assert "Merged 1 of 3 shards" in error
    for shard in ("2/3", "3/3"):
        assert command_line("run", *options, "--shard", shard, job.source, job.output) == 0
    assert command_line("merge", "--json", "--quiet", job.output) == 0
    answer, error = capsys.readouterr()
    assert (json.loads(answer)["whole"], json.loads(answer)["done"], error) == (True, 10, "")
    assert command_line("merge", job.output) == 0
    assert "no shards to merge" in capsys.readouterr().err


def test_the_task_of_a_slurm_array_is_its_shard(
    job: LocalJob, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job.source / "broken.jpg").unlink()
    for name, value in {"COUNT": "2", "MIN": "0", "MAX": "1", "STEP": "1"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    for task in ("0", "1"):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", task)
        assert command_line("run", "-q", "--model", job.model, "--shard", "auto", job.source, job.output) == 0
    assert command_line("merge", "-q", job.output) == 0


@pytest.mark.parametrize("text", ["3", "0/2", "3/2", "x/y", "auto"])
def test_what_is_no_shard_is_exit_2(
    job: LocalJob, command_line: CommandLine, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert command_line("run", "--shard", text, job.source, job.output) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not job.output.exists()


def test_a_shard_writes_no_report(job: LocalJob, command_line: CommandLine) -> None:
    assert command_line("run", "--report", "--shard", "1/2", job.source, job.output) == 2
    assert not job.output.exists()
