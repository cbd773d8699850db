import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stores import S3
from upath import UPath

from colorbatch.errors import OutputInUseError
from colorbatch.records.manifest import Manifest, rows_of
from colorbatch.records.row import Row
from colorbatch.store import lease, open_store
from colorbatch.store.holder import host
from colorbatch.store.lease import Lease, active_holder
from colorbatch.store.remote import RemoteStore

NAME = ".colorbatch/journal.jsonl/lease"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteStore:
    """Return a store in memory, where everything goes fast."""
    quick(monkeypatch)
    return RemoteStore(UPath(f"memory://{tmp_path.name}/out"))


def quick(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lease, "SECONDS_WATCHED", 0.3)
    patch.setattr(lease, "_SECONDS_BETWEEN_LOOKS", 0.02)
    patch.setattr(lease, "_SECONDS_TO_SETTLE", 0.01)
    patch.setattr("colorbatch.store.remote_journal.SECONDS_BETWEEN_RENEWALS", 0.05)


def left_by(store: RemoteStore, **values: object) -> None:
    store.put(NAME, json.dumps(values).encode(), may_replace=True)


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_one_holds_it_until_it_is_released(store: RemoteStore) -> None:
    first = Lease(store, NAME)
    first.renew()
    first.release()
    assert not active_holder(store, NAME)
    assert not Lease(store, NAME).was_left


@pytest.mark.skipif(os.name == "nt", reason="process numbers")
def test_that_of_a_dead_process_of_this_machine_is_taken_at_once(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SECONDS_WATCHED", 60.0)
    left_by(store, host=host(), pid=dead_process(), run="x")
    assert Lease(store, NAME).was_left


@pytest.mark.parametrize(
    "values", [{"host": "elsewhere", "pid": 1, "run": "x"}, {}, {"host": 1, "pid": "no", "run": []}], ids=str
)
def test_one_that_is_not_beaten_is_taken_after_a_while(store: RemoteStore, values: dict[str, object]) -> None:
    left_by(store, **values)
    taken = Lease(store, NAME)
    assert taken.was_left
    taken.renew()


def test_one_that_is_no_json_is_taken_too(store: RemoteStore) -> None:
    store.put(NAME, b"\xff", may_replace=True)
    assert Lease(store, NAME).was_left


def test_the_loser_learns_that_it_was_taken_over(store: RemoteStore) -> None:
    first = Lease(store, NAME)
    store.delete(NAME)
    second = Lease(store, NAME)
    with pytest.raises(OutputInUseError, match="taken"):
        first.renew()
    first.release()
    second.renew()


def test_a_second_run_is_refused_while_the_first_lasts(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    folder = s3.at("out")
    with Manifest(open_store(folder)) as first:
        first.append(Row("a.jpg", status="failed", reason="broken"))
        with pytest.raises(
            OutputInUseError, match=f"another run is in progress in s3://archive/out: process {os.getpid()}"
        ):
            Manifest(open_store(folder))
        first.finish()
    with Manifest(open_store(folder)) as second:
        assert list(second.previous) == ["a.jpg"]
        second.finish()
    assert list(s3.bucket.files("out/")) == ["colorbatch-manifest.jsonl"]


def test_rows_are_there_a_few_seconds_later_and_on_leaving(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    folder = s3.at("out")
    with Manifest(open_store(folder)) as manifest:
        manifest.append(Row("a.jpg", status="done"))
        while not rows_of(open_store(folder)):
            pass
        manifest.append(Row("b.jpg", status="done"))
    assert set(rows_of(open_store(folder))) == {"a.jpg", "b.jpg"}
    with Manifest(open_store(folder)) as manifest:
        manifest.append(Row("a.jpg", status="failed"))
    assert rows_of(open_store(folder))["a.jpg"].status == "failed"  # the later row
    assert not any(name.endswith("lease") for name in s3.bucket.files("out/"))


def test_a_run_that_was_taken_for_dead_writes_no_manifest(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr("colorbatch.store.remote_journal.SECONDS_BETWEEN_RENEWALS", 60.0)  # it sleeps
    folder = s3.at("out")
    with Manifest(open_store(folder)) as sleeper:
        RemoteStore(folder).delete(NAME)
        with Manifest(open_store(folder)) as heir:
            with pytest.raises(OutputInUseError, match="taken"):
                sleeper.finish([Row("a.jpg")])
            heir.append(Row("b.jpg", status="done"))
            heir.finish()
    assert list(rows_of(open_store(folder))) == ["b.jpg"]


def test_lines_that_are_recorded_elsewhere_are_removed_and_the_journal_stays_held(store: RemoteStore) -> None:
    with Manifest(store) as manifest:
        manifest.append(Row("a.jpg", status="done"))
        manifest.checkpoint([])
        assert active_holder(store, NAME)
        (journal,) = store.journal_files(".colorbatch")
        assert journal.read() == b""
        assert set(rows_of(store)) == {"a.jpg"}
    assert not active_holder(store, NAME)
