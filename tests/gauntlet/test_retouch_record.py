"""A retouch record that somebody made up is refused or honoured, and never leads out of its folder."""

import json
import os
from collections.abc import Callable

import pytest
from gauntlet.arena import Arena
from gauntlet.facts import decoded

RECORD = "colorbatch-retouch.jsonl"


def line(**values: object) -> bytes:
    return json.dumps({"schema": 1} | values).encode() + b"\n"


HOSTILE: dict[str, tuple[Callable[[Arena], bytes], int]] = {
    "binary": (lambda _: os.urandom(100_000), 2),
    "deep": (lambda _: b'{"schema": 1, "input": ' + b"[" * 200_000, 2),
    "long": (lambda _: line(input="000.png", note="n" * 20_000_000), 2),
    "many hints": (lambda _: line(input="000.png", hints=[{"x": 0, "y": 0, "color": "#ffffff"}] * 10**5), 2),
    "control characters": (lambda _: line(**{"input": "000.png", "\x1b[2J": 1}), 2),
    "a path out of the source": (lambda _: line(input="../../elsewhere/secret.png", leave_grey=True), 0),
    "an absolute path": (lambda arena: line(input=str(arena.elsewhere / "secret.png"), leave_grey=True), 0),
    "a model that is none": (lambda arena: line(input="000.png", model=str(arena.elsewhere / "precious.txt")), 3),
    "a model without end": (lambda _: line(input="000.png", model="/dev/zero"), 3),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_record_of_nonsense_is_refused_before_anything_is_written(arena: Arena, kind: str) -> None:
    arena.fill_and_run(4)
    content, code = HOSTILE[kind]
    (arena.output / RECORD).write_bytes(content(arena))
    ended = arena.run(codes={code}, foreign=[RECORD])
    assert b"\x1b" not in ended.stderr


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing"])
def test_what_is_no_file_is_no_record(arena: Arena, kind: str) -> None:
    arena.fill_and_run(4)
    path = arena.output / RECORD
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to(arena.elsewhere / "none")
    arena.command("run", "--model", arena.model, arena.source, arena.output, codes={0, 4}, writes=[arena.output])


def test_a_decision_is_carried_out_by_the_next_run_and_by_no_other(arena: Arena) -> None:
    arena.fill_and_run(6)
    before = arena.outputs()
    (arena.output / RECORD).write_bytes(line(input="000.png", leave_grey=True))
    arena.run(codes={0}, foreign=[RECORD])
    assert (arena.output / "000.png").read_bytes() == (arena.source / "000.png").read_bytes()
    assert {name: sha256 for name, sha256 in arena.outputs().items() if before.get(name) != sha256}.keys() == {
        "000.png",
        RECORD,
    }
    (arena.output / RECORD).unlink()
    arena.run(codes={0})
    assert arena.outputs() == before
    assert decoded(arena.output / "000.png") is not None
