"""Who holds a folder is said by its holder, and never by one that is gone."""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from colorbatch.errors import OutputInUseError
from colorbatch.records.manifest import Manifest
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.shard import Shard
from colorbatch.store import holder, open_store
from colorbatch.store.lock import Lock

HOLDER = f"{STATE_FOLDER}/journal.jsonl.holder"


def refusal(folder: Path, shard: Shard | None = None) -> str:
    with pytest.raises(OutputInUseError) as refused:
        Manifest(open_store(folder), shard)
    return str(refused.value)


@pytest.mark.parametrize(("shard", "purpose"), [(None, "the retouch page"), (Shard(1, 2), "shard 1/2")])
def test_others_are_told_process_machine_purpose_and_time(tmp_path: Path, shard: Shard | None, purpose: str) -> None:
    who = rf"process {os.getpid()} on {re.escape(platform.node())}, {purpose}, since 20[-0-9]{{8}} [0-9:]{{8}} UTC"
    with Manifest(open_store(tmp_path), shard, purpose="the retouch page"):
        assert re.search(rf"is in progress in {re.escape(str(tmp_path))}: {who}$", refusal(tmp_path, shard))
        other = Shard(1, 3) if shard is None else None
        assert re.search(rf" is in progress in {re.escape(str(tmp_path))}: {who}$", refusal(tmp_path, other))
    assert not (tmp_path / STATE_FOLDER).exists(), "nothing is left"


def test_advice_names_what_does_not_end_by_itself() -> None:
    advice = OutputInUseError("another run is in progress in out").advice
    assert advice == (
        "Wait until it has finished, or choose another output folder. "
        "The retouch page and run --watch stay until you press Ctrl-C where they were started."
    )


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    "left",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        json.dumps({"host": holder.host(), "pid": dead_process(), "purpose": "a run", "since": 0}).encode(),
    ],
    ids=["nothing", "a list", "cut short", "deep", "of a process that has ended"],
)
def test_what_a_killed_process_left_is_not_told_of_the_one_after_it(tmp_path: Path, left: bytes) -> None:
    """The lock is held by one that has not said yet who it is."""
    path = tmp_path / STATE_FOLDER / "journal.jsonl"
    lock = Lock.take(path)
    assert lock is not None
    (tmp_path / HOLDER).write_bytes(left)
    assert refusal(tmp_path) == f"another run is in progress in {tmp_path}"
    lock.release()


def test_what_changes_meanwhile_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new holder replaces what a killed one left, on another machine, whose end cannot be seen here."""
    path = tmp_path / "journal"
    left = path.with_name("journal.holder")
    left.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    monkeypatch.setattr("colorbatch.store.holder.time.sleep", lambda _: holder.write_holder(path, "a run"))
    assert holder.holder_of(path) == ""
    monkeypatch.undo()
    assert f"process {os.getpid()} " in holder.holder_of(path)


def test_what_cannot_be_written_is_not_said(tmp_path: Path) -> None:
    """A link in the place of the file is not followed."""
    (tmp_path / HOLDER).parent.mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / HOLDER).symlink_to(tmp_path / "precious")
    with Manifest(open_store(tmp_path)):
        assert refusal(tmp_path) == f"another run is in progress in {tmp_path}"
    assert (tmp_path / "precious").read_text() == "precious"


def test_hostile_words_are_only_text() -> None:
    told = holder.described({"pid": "\x1b[2J", "host": "a\nb" * 1000, "purpose": "\x07", "since": 1e300})
    assert told.isprintable()
    assert len(told) < 500
