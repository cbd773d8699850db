"""A watched folder whose retouch record names other models, good ones and ones that cannot be used."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batches import make_tree, rows, tree
from helpers import LocalJob, vivid_model

from colorbatch.errors import ModelRefusedError
from colorbatch.job import BatchSummary
from colorbatch.operations.audit import audit_batch
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.run import batch, engines
from colorbatch.run.watch import Watching, watch_batch


def watch_through(job: LocalJob, *steps: Callable[[], object]) -> BatchSummary:
    """Watch a folder; take a step after each second look, and end after the last one."""
    stop, left, looks = threading.Event(), list(steps), 0

    def after_look(_: BatchSummary | None) -> None:
        nonlocal looks
        looks += 1
        if looks % 2:
            return
        if left:
            left.pop(0)()
        else:
            stop.set()

    return watch_batch(job, Watching(0.0, 0.02), stop=stop, after_look=after_look)


def say(job: LocalJob, *lines: Mapping[str, object]) -> None:
    job.output.mkdir(exist_ok=True)
    text = "".join(json.dumps({"schema": 1, **line}) + "\n" for line in lines)
    (job.output / RETOUCH_NAME).write_text(text, encoding="utf-8")


def unknown_operator() -> bytes:
    """Return a model that keeps the contract, and that ONNX Runtime cannot open."""
    model = vivid_model()
    model.graph.node[0].op_type = "Nonsense"
    content: bytes = model.SerializeToString()
    return content


CANNOT_BE_USED = {"absent": None, "damaged": b"x", "unknown operator": unknown_operator()}


@pytest.mark.parametrize("content", CANNOT_BE_USED.values(), ids=CANNOT_BE_USED)
def test_a_model_that_cannot_be_used_fails_its_pictures_alone(
    job: LocalJob, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "other.onnx"
    if content is not None:
        path.write_bytes(content)
    found: dict[str, dict[str, Any]] = {}
    before: dict[str, bytes] = {}

    def look() -> None:
        found.update(rows(job.output))
        assert (job.output / "a.jpg").read_bytes() == before["a.jpg"]
        path.write_bytes(vivid_model().SerializeToString())
        say(job, {"input": "a.jpg", "model": str(path), "vividness": 0.5})

    summary = watch_through(
        job,
        lambda: before.update(tree(job.output)),
        lambda: say(job, {"input": "a.jpg", "model": str(path)}),
        lambda: make_tree(job.source, "arrived.png"),
        look,
    )
    assert found["a.jpg"]["status"] == "failed"
    assert found["a.jpg"]["reason"].startswith("the model that the retouch record names: ")
    assert found["arrived.png"]["status"] == "done"
    assert (summary.done, summary.failed) == (6, 0)
    assert audit_batch(job.output, job.source).is_sound
    assert batch.run_batch(job).kept == 6


def test_a_folder_that_is_emptied_does_not_end_a_watch_that_wants_matches(job: LocalJob) -> None:
    def empty() -> None:
        for name in tree(job.source):
            (job.source / name).unlink()

    strict = replace(job, strict_match=True, include=("*.jpg", "*.png"))
    summary = watch_through(strict, empty, lambda: make_tree(job.source, "arrived.png"))
    assert rows(job.output)["arrived.png"]["status"] == "done"
    assert (summary.done, summary.failed) == (4, 0)


def test_what_is_wrong_from_the_start_is_told_at_once(job: LocalJob, tmp_path: Path) -> None:
    say(job, {"input": "a.jpg", "model": str(tmp_path / "absent.onnx")})
    with pytest.raises(ModelRefusedError, match=r"the retouch record, a.jpg: cannot read the model"):
        watch_through(job)


def test_a_round_without_pictures_of_its_own_model_does_not_open_that(
    job: LocalJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(vivid_model().SerializeToString())
    say(job, {"input": "a.jpg", "model": str(path)})
    opened: list[str] = []

    def open_engine(job: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        opened.append(Path(job.model).name)
        return engines.open_engine(job, *arguments, **options)

    monkeypatch.setattr(batch, "open_engine", open_engine)
    watch_through(
        job,
        lambda: say(job, {"input": "a.jpg", "model": str(path), "vividness": 0.5}),
        lambda: make_tree(job.source, "arrived.png"),
    )
    own = Path(job.model).name
    assert opened == [own, "other.onnx", own]


def test_a_run_whose_second_model_cannot_be_opened_keeps_what_it_made(job: LocalJob, tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(unknown_operator())
    say(job, {"input": "a.jpg", "model": str(tmp_path / "other.onnx")})
    with pytest.raises(ModelRefusedError):
        batch.run_batch(job)
    found = rows(job.output)
    assert [name for name, row in found.items() if row["status"] == "done"] == sorted(found.keys() - {"a.jpg"})
    assert not (job.output / ".colorbatch").exists()
    summary = batch.run_batch(replace(job, ignore_retouch=True))
    assert (summary.kept, summary.done) == (4, 5)
