"""Rows that a killed process had announced, but not appended."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from memory_store import MemoryStore

from colorbatch.records.manifest import Manifest, announcement
from colorbatch.records.row import Row

MADE = b"an output"
SHA256 = hashlib.sha256(MADE).hexdigest()
ROW = Row("a.gif", "a.gif.png", "done", input_sha256="1" * 64, output_sha256=SHA256, output_bytes=len(MADE))


def killed(*lines: bytes, files: dict[str, bytes] | None = None) -> MemoryStore:
    """Return an output folder whose journal was left by a killed run."""
    output = MemoryStore({"a.gif.png": MADE} if files is None else files, "out")
    output.put(".colorbatch/journal.jsonl", b"".join(lines))
    return output


def announced(row: Row = ROW) -> bytes:
    return announcement(str(row.output), str(row.output_sha256), row)


def completed(output: MemoryStore) -> dict[str, Row]:
    with Manifest(output) as record:
        return dict(record.previous)


def test_the_row_of_an_output_that_was_written_is_completed() -> None:
    assert completed(killed(announced())) == {"a.gif": ROW}
    assert completed(killed(announced(), b'{"announced": "b')) == {"a.gif": ROW}  # truncated by the kill


def test_of_an_output_that_was_not_written_there_is_no_row() -> None:
    assert completed(killed(announced(), files={})) == {}
    assert completed(killed(announced(), files={"a.gif.png": b"of somebody else"})) == {}
    sidecar = replace(ROW, sidecar_output="a.gif.png.xmp", sidecar_output_sha256=SHA256)
    assert completed(killed(announced(sidecar))) == {}


@pytest.mark.parametrize("row", [replace(ROW, seconds=1.0), Row("a.gif", status="failed", reason="the disk is full")])
def test_a_row_that_was_appended_after_all_counts(row: Row) -> None:
    assert completed(killed(announced(), row.to_json())) == {"a.gif": row}


def test_a_sidecar_alone_that_is_another_makes_another_row() -> None:
    files = {"a.gif.png": MADE, "a.xmp": b"new words"}
    before, after = (
        replace(ROW, sidecar_output="a.xmp", sidecar_output_sha256=hashlib.sha256(words).hexdigest())
        for words in (b"old words", b"new words")
    )
    assert completed(killed(before.to_json(), announced(after), files=files)) == {"a.gif": after}


def test_an_earlier_row_is_replaced_unless_its_output_has_another_name_and_is_still_there() -> None:
    before = replace(ROW, output_sha256="2" * 64)
    assert completed(killed(before.to_json(), announced())) == {"a.gif": ROW}
    copy = Row("a.gif", "a.gif", "done", input_sha256="1" * 64, output_sha256="1" * 64)
    assert completed(killed(copy.to_json(), announced())) == {"a.gif": copy}


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line.replace(b'"row": {', b'"row": [{').replace(b"}}", b"}]}"),
        lambda line: line.replace(b'"input": "a.gif"', b'"input": ["a.gif"]'),
        lambda line: line.replace(b'"a.gif.png"', b'"../a.gif.png"'),
        lambda _: b'{"announced": "a.gif.png", "row": ' + b"[" * 100_000 + b"\n",
    ],
    ids=["a list", "a list for a name", "outside", "deep"],
)
def test_a_damaged_announcement_is_no_row(damage: Callable[[bytes], bytes]) -> None:
    line = damage(announced())
    assert line != announced()
    assert completed(killed(line)) == {}
