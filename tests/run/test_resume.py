"""What is kept and what is made again, without a disk."""

import hashlib
import json
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers import small_model
from memory_store import MemoryStore
from PIL import Image

from colorbatch.errors import OutputInUseError
from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.session import Session
from colorbatch.job import BatchJob
from colorbatch.records.manifest import MANIFEST_NAME, Manifest, rows_of
from colorbatch.records.row import Row
from colorbatch.run.engines.local import ThisProcess
from colorbatch.run.output import make
from colorbatch.run.plan import PlannedPicture, plan_batch
from colorbatch.run.resume import Appearance, Hashes, Keep, Remake, decide
from colorbatch.run.work import Failed, Kept, Made, Outcome, Run, Skipped, Work
from colorbatch.shard import Shard
from colorbatch.store.local import LocalStore


def picture(level: int, mode: str = "L") -> bytes:
    buffer = BytesIO()
    pixels = np.full((12, 16), level, np.uint8)
    pixels[3:, 5:] //= 2
    image = Image.fromarray(pixels)
    if mode == "RGB":
        colors = np.zeros((256, 256, 3), np.uint8)
        colors[:128, :, 0], colors[128:, :, 1], colors[:, 128:, 2] = 200, 102, 90  # red and green of one luma
        image = Image.fromarray(colors)
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def executor(model_path: Path) -> ThisProcess:
    job = BatchJob(Path("in"), Path("out"), str(model_path), "cpu")
    return executor_of(job)


def executor_of(job: BatchJob) -> ThisProcess:
    return ThisProcess(Session(read_model_file(job.model), "cpu", threads=1), job, 1)


def run_once(source: MemoryStore, output: MemoryStore, executor: ThisProcess) -> dict[str, Outcome]:
    """Do what a run does, and write its manifest."""
    with Manifest(output) as record:
        run = Run(executor.recipe, source, output, record.previous, record.outputs)
        found = {}
        for planned in plan_batch(source, output):
            outcome = make(planned, Work(run, executor, record.announce))
            record.append(outcome.row)
            found[planned.input] = outcome
        record.finish()
    return found


def kinds(outcomes: dict[str, Outcome]) -> dict[str, type]:
    return {name: type(outcome) for name, outcome in outcomes.items()}


def decisions(source: MemoryStore, output: MemoryStore, executor: ThisProcess) -> dict[str, str]:
    """Return what a dry run would say."""
    rows = rows_of(output)
    found: dict[str, str] = {}
    for planned in plan_batch(source, output):
        if planned.verdict != "colour":
            continue
        decision = decide(planned, rows.get(planned.input), executor.recipe, Appearance(planned, output))
        found[planned.input] = decision.reason if isinstance(decision, Remake) else "keep"
    return found


@pytest.fixture
def source() -> MemoryStore:
    files = {"a.png": picture(200), "sub/b.png": picture(90), "colour.png": picture(128, "RGB"), "c.jpg": b"broken"}
    return MemoryStore(files, "in")


def test_a_second_run_keeps_all_that_is_unchanged(source: MemoryStore, executor: ThisProcess) -> None:
    output = MemoryStore(name="out")
    assert kinds(run_once(source, output, executor)) == {
        "a.png": Made,
        "c.jpg": Failed,
        "colour.png": Skipped,
        "sub/b.png": Made,
    }
    before = dict(output.files)
    assert decisions(source, output, executor) == {
        "a.png": "keep",
        "c.jpg": "new",
        "colour.png": "keep",
        "sub/b.png": "keep",
    }
    assert kinds(run_once(source, output, executor)) == {
        "a.png": Kept,
        "c.jpg": Failed,
        "colour.png": Kept,
        "sub/b.png": Kept,
    }
    del before[MANIFEST_NAME]
    assert {name: data for name, data in output.files.items() if name != MANIFEST_NAME} == before


@pytest.mark.parametrize(
    ("what", "reason"), [("source", "source"), ("missing", "missing"), ("altered", "altered"), ("recipe", "recipe")]
)
def test_what_changed_is_made_again(
    source: MemoryStore, executor: ThisProcess, tmp_path: Path, what: str, reason: str
) -> None:
    output = MemoryStore(name="out")
    first = run_once(source, output, executor)
    good = output.files["a.png"]
    again = executor
    if what == "source":
        source.put("a.png", picture(201) + b"more")
    elif what == "missing":
        output.delete("a.png")
    elif what == "altered":
        row = first["a.png"].row
        output.put("a.png", good + b"altered")
        output._modified["a.png"] += 60  # noqa: SLF001 (a minute later)
        assert row.output_sha256 != hashlib.sha256(output.files["a.png"]).hexdigest()
    else:
        green = tmp_path / "green.onnx"
        green.write_bytes(small_model((-0.1, -0.1)).SerializeToString())
        again = executor_of(replace(executor.recipe.job, model=str(green)))
    assert decisions(source, output, again)["a.png"] == reason
    output.hashed.clear()
    outcome = run_once(source, output, again)["a.png"]
    assert isinstance(outcome, Made)
    assert max(output.hashed.values()) == 1, "each output is hashed at most once"
    assert hashlib.sha256(output.files["a.png"]).hexdigest() == outcome.row.output_sha256
    has_warning = outcome.row.warnings == ("the output had been altered and was remade",)
    assert has_warning is (what == "altered")
    assert (output.files["a.png"] == good) is (what in ("missing", "altered"))


def test_each_output_that_is_kept_is_hashed_once(source: MemoryStore, executor: ThisProcess) -> None:
    output = MemoryStore(name="out")
    run_once(source, output, executor)
    output.hashed.clear()
    run_once(source, output, executor)
    assert output.hashed == {"a.png": 1, "sub/b.png": 1}


def test_a_file_of_somebody_else_is_hashed_once_and_stays(source: MemoryStore, executor: ThisProcess) -> None:
    output = MemoryStore({"a.png": b"mine"}, "out")
    outcome = run_once(source, output, executor)["a.png"]
    assert isinstance(outcome, Failed)
    assert output.files["a.png"] == b"mine"
    assert output.hashed["a.png"] == 1


def test_an_output_without_a_row_is_known_by_its_bytes(source: MemoryStore, executor: ThisProcess) -> None:
    whole = MemoryStore(name="whole")
    run_once(source, whole, executor)
    output = MemoryStore({"a.png": whole.files["a.png"]}, "out")
    assert isinstance(run_once(source, output, executor)["a.png"], Made)
    assert output.files["a.png"] == whole.files["a.png"]
    assert output.hashed["a.png"] == 1


def test_an_output_that_a_killed_run_announced_is_replaced(source: MemoryStore, executor: ThisProcess) -> None:
    output = MemoryStore(name="out")
    with Manifest(output) as killed:
        killed.announce("a.png", hashlib.sha256(b"of another processor").hexdigest())
        output.put("a.png", b"of another processor")
    assert isinstance(run_once(source, output, executor)["a.png"], Made)
    assert output.files["a.png"] != b"of another processor"


def test_rows_of_a_killed_run_count_before_those_of_the_manifest(source: MemoryStore, executor: ThisProcess) -> None:
    output = MemoryStore(name="out")
    run_once(source, output, executor)
    with Manifest(output) as killed:
        killed.append(Row("a.png", status="failed", reason="of the killed run"))
    assert rows_of(output)["a.png"].reason == "of the killed run"
    assert decisions(source, output, executor)["a.png"] == "new"


def test_a_run_keeps_all_others_away_and_a_shard_those_of_other_splits() -> None:
    output = MemoryStore(name="out")
    with Manifest(output, Shard(1, 2)) as first:
        for other in (None, Shard(1, 2), Shard(1, 3)):
            with pytest.raises(OutputInUseError):
                Manifest(output, other)
        with Manifest(output, Shard(2, 2)) as second:
            second.finish()
        first.finish()
    assert sorted(output.files) == [".colorbatch/shard-1-of-2.jsonl", ".colorbatch/shard-2-of-2.jsonl"]


def test_a_source_is_not_read_where_the_recipe_or_its_etag_decides(executor: ThisProcess) -> None:
    class Unread(Appearance):
        def is_source_unchanged(self, row: Row) -> bool:
            raise AssertionError(row)

    planned = PlannedPicture("a.png", "a.png", "a.png")
    row = Row("a.png", "a.png", "done", input_sha256="0" * 64, output_sha256="1" * 64, model_sha256="another")
    evidence = Unread(planned, MemoryStore())
    assert decide(planned, None, executor.recipe, evidence) == Remake("new")
    assert decide(planned, row, executor.recipe, evidence) == Remake("recipe")


@pytest.mark.parametrize("reason", ["it is in colour already", "it might be a colour photograph"])
def test_a_decision_that_there_is_no_output_is_kept(executor: ThisProcess, reason: str) -> None:
    planned = PlannedPicture("a.png", "a.png", "a.png", bytes=5)
    row = Row(
        "a.png",
        status="skipped",
        reason=reason,
        input_sha256="0" * 64,
        input_bytes=5,
        model_sha256=executor.recipe.model.sha256,
        settings_sha256=executor.recipe.settings_sha256,
    )
    assert decide(planned, row, executor.recipe, Appearance(planned, MemoryStore())) == Keep(row)


@pytest.mark.parametrize("evidence", ["appearance", "hashes"])
def test_an_output_whose_name_no_file_can_have_is_missing(tmp_path: Path, evidence: str) -> None:
    planned, output = PlannedPicture("a.png", "a.png", "a.png"), LocalStore(tmp_path)
    kinds = {"appearance": Appearance(planned, output), "hashes": Hashes(planned, bytes, output)}
    row = Row("a.png", "a" * 5000, "done", input_sha256="0" * 64, output_sha256="1" * 64)
    assert kinds[evidence].output_state(row) == "missing"


def aged(store: MemoryStore) -> MemoryStore:
    """Let all files have been changed a while ago."""
    for name in store.files:
        store.set_modified(name, time.time() - 60)
    return store


@pytest.fixture
def trusting(model_path: Path) -> ThisProcess:
    return executor_of(BatchJob(Path("in"), Path("out"), str(model_path), "cpu", trust_times=True))


def reads(source: MemoryStore, output: MemoryStore, executor: ThisProcess) -> tuple[dict[str, Outcome], int]:
    """Run, and return the outcomes and how often a picture in either store was read."""
    source.reads.clear()
    output.hashed.clear()
    found = run_once(source, output, executor)
    return found, source.reads.total() + output.hashed.total()


def test_with_trusted_times_nothing_unchanged_is_read(
    source: MemoryStore, executor: ThisProcess, trusting: ThisProcess
) -> None:
    del source.files["c.jpg"]
    output = MemoryStore(name="out")
    run_once(aged(source), output, executor)
    assert reads(source, output, executor)[1] == 5, "3 sources and 2 outputs"
    found, count = reads(source, output, trusting)
    assert count == 0
    assert kinds(found) == dict.fromkeys(("a.png", "colour.png", "sub/b.png"), Kept)
    assert {outcome.row.is_input_trusted for outcome in found.values()} == {True}
    assert {row.is_input_trusted for row in rows_of(output).values()} == {True}
    found, count = reads(source, output, executor)
    assert (count, {outcome.row.is_input_trusted for outcome in found.values()}) == (5, {False})


def test_a_source_with_another_time_or_size_is_read(source: MemoryStore, trusting: ThisProcess) -> None:
    output = MemoryStore(name="out")
    run_once(aged(source), output, trusting)
    source.set_modified("a.png", time.time() - 30)
    old = source.state("sub/b.png")
    assert old is not None
    source.put("sub/b.png", picture(91) + b"longer")
    source.set_modified("sub/b.png", old.modified or 0.0)
    assert len(source.files["sub/b.png"]) != old.bytes
    found, _ = reads(source, output, trusting)
    assert source.reads["a.png"] == 1
    assert kinds(found)["a.png"] is Kept
    assert not found["a.png"].row.is_input_trusted
    assert kinds(found)["sub/b.png"] is Made
    found, _ = reads(source, output, trusting)
    assert source.reads["a.png"] == 0, "its new time is known now"


def test_the_time_of_a_source_that_was_just_changed_is_not_trusted(source: MemoryStore, trusting: ThisProcess) -> None:
    """A change right after it was read might have the same time in a file system that rounds to 2 seconds."""
    output = MemoryStore(name="out")
    found = run_once(source, output, trusting)
    assert found["a.png"].row.input_modified is None
    found, _ = reads(source, output, trusting)
    assert source.reads["a.png"] == 1
    assert not found["a.png"].row.is_input_trusted


def test_with_trusted_times_an_altered_output_is_made_again(source: MemoryStore, trusting: ThisProcess) -> None:
    output = MemoryStore(name="out")
    run_once(aged(source), output, trusting)
    good = dict(output.files)
    output.put("a.png", b"cut")
    output.put("sub/b.png", good["sub/b.png"][:-1] + b"x")
    output.set_modified("sub/b.png", time.time() + 60)
    found, _ = reads(source, output, trusting)
    assert (kinds(found)["a.png"], kinds(found)["sub/b.png"]) == (Made, Made)
    assert {name: output.files[name] for name in ("a.png", "sub/b.png")} == {
        name: good[name] for name in ("a.png", "sub/b.png")
    }


def test_a_row_of_an_older_version_is_read_once(source: MemoryStore, trusting: ThisProcess) -> None:
    output = MemoryStore(name="out")
    run_once(aged(source), output, trusting)
    lines = [json.loads(line) for line in output.files[MANIFEST_NAME].splitlines()]
    for row in lines:
        for name in ("input_modified", "output_bytes", "is_input_trusted"):
            del row[name]
    output.files[MANIFEST_NAME] = b"".join(json.dumps(row).encode() + b"\n" for row in lines)
    assert reads(source, output, trusting)[1] > 1
    run_once(source, output, trusting)
    _, count = reads(source, output, trusting)
    assert count == source.reads["c.jpg"] == 1, "a broken one is tried again"
