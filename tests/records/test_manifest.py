import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from memory_store import MemoryStore

from colorbatch.errors import OutputInUseError, OutputUnwritableError, UsageError
from colorbatch.records.manifest import MANIFEST_NAME, Manifest, refuse_without_rows, rows_of
from colorbatch.records.row import Row
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.store import open_store


def rows_in(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / MANIFEST_NAME).read_bytes().splitlines()]


def test_rows_are_one_ascii_json_object_a_line_sorted_by_input(tmp_path: Path) -> None:
    with Manifest(open_store(tmp_path)) as manifest:
        manifest.append(Row("ü.jpg", status="done"))
        manifest.append(Row(os.fsdecode(b"a\xff\n.jpg"), status="failed", reason="broken"))
        manifest.finish([Row("left.jpg", status="skipped")])
    assert (tmp_path / MANIFEST_NAME).read_bytes().isascii()
    rows = rows_in(tmp_path)
    assert [row["input"] for row in rows] == ["a\udcff\n.jpg", "left.jpg", "ü.jpg"]
    assert set(rows[0]) == {  # the fields of DESIGN, "The manifest"
        *("schema", "input", "output", "status", "reason", "input_sha256", "output_sha256", "input_bytes"),
        *("width", "height", "bits", "frames", "model", "model_sha256", "settings_sha256", "provider", "warnings"),
        *("confidence", "seconds", "finished_at", "version", "digital_source_type", "input_etag", "output_etag"),
        *("luma", "c2pa", "colored_at"),
        *("input_modified", "is_input_trusted", "output_bytes", "settings", "retouch_sha256"),
        *("sidecars", "sidecars_sha256", "sidecars_etag", "sidecar_output", "sidecar_output_sha256"),
    }
    assert os.listdir(tmp_path) == [MANIFEST_NAME]


def test_only_a_row_of_an_output_that_was_written_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand files that are no pictures would wait for minutes."""
    synced: list[int] = []
    with Manifest(open_store(tmp_path)) as manifest:
        monkeypatch.setattr(os, "fsync", synced.append)
        manifest.append(Row("notes.txt", status="skipped"), is_durable=False)
        assert synced == []
        manifest.append(Row("a.jpg", status="done"))
        assert len(synced) == 1


def test_what_a_killed_run_left_half_written_is_deleted_even_if_its_journal_is_lost(tmp_path: Path) -> None:
    half = tmp_path / "sub" / ".colorbatch-0123456789abcdef.tmp"
    half.parent.mkdir()
    half.touch()
    (half.parent / "of the user's.tmp").touch()
    with Manifest(open_store(tmp_path)) as manifest:
        manifest.finish()
    assert os.listdir(half.parent) == ["of the user's.tmp"]


def test_rows_of_a_killed_run_are_found_in_the_journal(tmp_path: Path) -> None:
    with Manifest(open_store(tmp_path)) as manifest:
        manifest.append(Row("a.jpg", status="failed"))
        manifest.finish()
    with Manifest(open_store(tmp_path)) as killed:
        killed.append(Row("a.jpg", status="done"))
        killed.append(Row("b.jpg", status="done"))
    journal = tmp_path / STATE_FOLDER / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(Row("c.jpg", status="done").to_json()[:30])  # the line that the crash tore
    with Manifest(open_store(tmp_path)) as manifest:
        assert {name: row.status for name, row in manifest.previous.items()} == {"a.jpg": "done", "b.jpg": "done"}
        manifest.append(Row("d.jpg", status="done"))  # lands on a line of its own
    with Manifest(open_store(tmp_path)) as manifest:
        assert set(manifest.previous) == {"a.jpg", "b.jpg", "d.jpg"}


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe",
        b'{"schema": 2, "input": "x"}',
        b'{"schema": 1, "input": "x", "status": "perhaps"}',
        b'{"schema": 1, "input": "x", "output": 5}',
        b'{"schema": 1, "input": 5}',
    ],
)
def test_lines_that_are_no_rows_are_passed_over(tmp_path: Path, line: bytes) -> None:
    good = Row("good.jpg", status="done").to_json()
    (tmp_path / MANIFEST_NAME).write_bytes(line + b"\n" + good)
    with Manifest(open_store(tmp_path)) as manifest:
        assert set(manifest.previous) == {"good.jpg"}


def test_a_folder_that_cannot_be_made_is_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputUnwritableError, match="cannot"):
        Manifest(open_store(tmp_path / "file"))


def test_a_second_run_into_the_same_folder_is_refused_while_the_first_lasts(tmp_path: Path) -> None:
    with Manifest(open_store(tmp_path)) as first:
        first.append(Row("a.jpg", status="failed", reason="broken"))
        with pytest.raises(OutputInUseError, match="another run is in progress") as refused:
            Manifest(open_store(tmp_path))
        assert refused.value.exit_code == 5
        first.finish()
    with Manifest(open_store(tmp_path)) as second:
        assert list(second.previous) == ["a.jpg"]
        second.finish()
    assert os.listdir(tmp_path) == [MANIFEST_NAME]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_the_lock_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from colorbatch.records.manifest import Manifest, rows_of
from colorbatch.records.row import Row
from colorbatch.store import open_store
manifest = Manifest(open_store(Path(sys.argv[1])))
manifest.append(Row("a.jpg", status="failed", reason="broken"))
print("held", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OutputInUseError):
            Manifest(open_store(tmp_path))
        other.kill()
    with Manifest(open_store(tmp_path)) as manifest:
        assert list(manifest.previous) == ["a.jpg"]


@pytest.mark.parametrize(
    "change",
    [
        {"input": "../a.jpg"},
        {"input": "/etc/passwd"},
        {"output": "b/../../a.jpg"},
        {"output": "a\0.jpg"},
        {"output": ""},
        {"warnings": [1]},
        {"warnings": 3},
        {"digital_source_type": ["x"]},
        {"model": 5},
        {"width": "<b>"},
        {"seconds": float("nan")},
        {"seconds": -1},
        {"height": 10**400},
        {"input_bytes": [1]},
    ],
    ids=str,
)
def test_a_row_that_leads_elsewhere_or_holds_nonsense_is_no_row(change: dict[str, object]) -> None:
    values = json.loads(Row("a.jpg", "a.jpg", "done").to_json()) | change
    with pytest.raises((ValueError, TypeError)):
        Row.from_json(json.dumps(values).encode())


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"a picture")
    with pytest.raises(UsageError, match="has no colorbatch-manifest"):
        refuse_without_rows(open_store(tmp_path / "photo.jpg"))


def test_a_store_that_fails_at_the_cleanup_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    output = MemoryStore(name="out")
    monkeypatch.setattr(output, "remove_left_behind", refuse)
    with pytest.raises(OutputUnwritableError, match="Permission denied"):
        Manifest(output)
    assert output.held == set()


@pytest.mark.parametrize(
    ("fields", "is_row"),
    [
        ({"input_modified": -315619200.25}, True),  # 1960
        ({"input_modified": 4354819200}, True),
        ({"input_modified": None, "is_input_trusted": True}, True),
        ({"input_modified": "yesterday"}, False),
        ({"input_modified": float("nan")}, False),
        ({"input_modified": -1e300}, False),
        ({"is_input_trusted": "yes"}, False),
        ({"is_input_trusted": None}, False),
    ],
)
def test_a_time_may_be_before_1970_and_must_be_a_number(fields: dict[str, object], is_row: bool) -> None:  # noqa: FBT001
    line = json.dumps({"schema": 1, "input": "a.jpg", "status": "done", **fields}).encode()
    if is_row:
        assert Row.from_json(line).input_modified == fields["input_modified"]
    else:
        with pytest.raises(ValueError, match=r"a field|a time"):
            Row.from_json(line)


def test_a_checkpoint_is_a_whole_manifest_and_the_folder_stays_held(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with Manifest(store) as manifest:
        manifest.append(Row("a.jpg", status="done", output="a.jpg", output_sha256="0" * 64))
        manifest.checkpoint([Row("b.jpg", status="skipped")])
        assert [row["input"] for row in rows_in(tmp_path)] == ["a.jpg", "b.jpg"]
        assert set(manifest.previous) == {"a.jpg", "b.jpg"}
        assert manifest.outputs == {"a.jpg": {"0" * 64}}
        assert "a.jpg" not in manifest
        assert (tmp_path / ".colorbatch" / "journal.jsonl").read_bytes() == b""
        with pytest.raises(OutputInUseError):
            Manifest(store)
        manifest.append(Row("c.jpg", status="done"))
        assert set(rows_of(store)) == {"a.jpg", "b.jpg", "c.jpg"}  # as after a kill now
        manifest.checkpoint(manifest.previous.values())
        assert [row["input"] for row in rows_in(tmp_path)] == ["a.jpg", "b.jpg", "c.jpg"]
    assert os.listdir(tmp_path) == [MANIFEST_NAME]
