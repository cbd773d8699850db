"""Whatever surrounds a run: another run, streams that nobody reads, little memory, few descriptors, odd clocks."""

import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from gauntlet.arena import Arena, at_outputs, needs, needs_root, sent
from gauntlet.facts import MANIFEST, STATE
from helpers import endless_model
from PIL import Image


def endless(arena: Arena) -> Path:
    path = arena.root.parent / "endless.onnx"
    path.write_bytes(endless_model().SerializeToString())
    return path


def plainly(arena: Arena, model: Path) -> list[str]:
    """Return the command of a run that nobody looks after."""
    return [sys.executable, "-m", "colorbatch", "run", "-q", "--model", *map(str, (model, arena.source, arena.output))]


def journal_of(arena: Arena) -> Path:
    return arena.output / STATE / "journal.jsonl"


@pytest.mark.parametrize("command", ["run", "shard", "merge"])
def test_a_second_run_into_the_same_folder_is_turned_away(arena: Arena, command: str) -> None:
    arena.fill(5)
    with subprocess.Popen(plainly(arena, endless(arena)), stderr=subprocess.DEVNULL) as first:
        while not journal_of(arena).exists() and first.poll() is None:
            time.sleep(0.01)
        try:
            match command:
                case "run":
                    arena.run(codes={5})
                case "shard":
                    arena.run("--shard", "1/2", codes={5})
                case "merge":
                    arena.command("merge", arena.output, codes={5})
        finally:
            first.kill()
    arena.run(codes={0})
    assert len(arena.outputs()) == 5


@pytest.mark.parametrize("attempt", range(5))
def test_of_runs_that_begin_at_the_same_moment_one_works_at_a_time(
    arena: Arena,
    attempt: int,  # noqa: ARG001 (each may go otherwise)
) -> None:
    arena.fill(20)
    runs = [subprocess.Popen(plainly(arena, arena.model), stderr=subprocess.PIPE) for _ in range(4)]
    said = [run.communicate(timeout=120)[1] for run in runs]
    codes = [run.returncode for run in runs]
    assert 0 in codes, said
    assert set(codes) <= {0, 5}, said
    arena.run(codes={0})
    assert arena.outputs() == arena.straight()


def reader_gone() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


STREAMS: Mapping[str, Callable[[], int]] = {
    "full": lambda: os.open("/dev/full", os.O_WRONLY),
    "gone": reader_gone,
    "read only": lambda: os.open(os.devnull, os.O_RDONLY),
}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("which", ["stdout", "stderr"])
@pytest.mark.parametrize("option", ["-q", "-v"])
def test_streams_that_nobody_reads_stop_no_work(arena: Arena, kind: str, which: str, option: str) -> None:
    arena.fill(5)
    stream = STREAMS[kind]()
    try:
        codes = {4} if which == "stdout" and kind != "gone" else {0}
        arena.command(
            *("run", "--json", option, "--model", arena.model, arena.source, arena.output),
            codes=codes,
            writes=(arena.output,),
            stdout=stream if which == "stdout" else subprocess.PIPE,
            stderr=stream if which == "stderr" else subprocess.PIPE,
        )
    finally:
        os.close(stream)
    arena.run(codes={0})
    assert len(arena.outputs()) == 5


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_stop_no_work_and_lend_their_numbers_to_no_output(arena: Arena, closed: str) -> None:
    arena.fill(5)
    arena.add("broken.png").write_bytes(b"broken")
    arena.run("-v", codes={1}, begin=("sh", "-c", f'exec "$@" {closed}', "sh"))
    assert len(arena.outputs()) == 5


def on_a_terminal(arena: Arena, environment: Mapping[str, str]) -> bytes:
    """Return what a run says on a terminal."""
    ours, theirs = pty.openpty()
    try:
        arena.run(codes={1}, stdin=theirs, stdout=theirs, stderr=theirs, environment=environment)
        os.set_blocking(ours, False)
        said = b""
        with suppress(BlockingIOError):
            while True:
                said += os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)
    return said


@pytest.mark.parametrize(
    ("environment", "is_drawn"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, True),
        ({"TERM": "xterm", "COLUMNS": "1", "LINES": "1"}, True),
        ({"TERM": "dumb"}, False),
    ],
)
def test_a_terminal_shows_hostile_names_as_text(
    arena: Arena, environment: Mapping[str, str], *, is_drawn: bool
) -> None:
    arena.fill(5)
    arena.add("\x1b]0;title\x07\x1b[2J.png").write_bytes(b"broken")
    said = on_a_terminal(arena, environment)
    assert b"\x1b]0;" not in said
    assert b"\x1b[2J" not in said
    assert b"Traceback" not in said
    assert (b"\x1b" in said) == is_drawn
    if "NO_COLOR" in environment:
        assert b"\x1b[3" not in said


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": None},
        {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"},
        {"PATH": None},
        {"PATH": "", "LANG": None, "TERM": None},
        {"FORCE_COLOR": "1", "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": "1"},
        {"OMP_NUM_THREADS": "x", "OPENBLAS_NUM_THREADS": "-1"},
        {"SLURM_ARRAY_TASK_ID": "x", "CI": "", "TZ": "Nowhere/None"},
    ],
    ids="-".join,
)
def test_an_odd_environment_changes_nothing(arena: Arena, environment: Mapping[str, str | None]) -> None:
    arena.fill(10)
    straight = arena.straight()
    arena.run(codes={0}, environment=environment)
    assert arena.outputs() == straight


def test_no_network_is_needed(arena: Arena) -> None:
    needs_root()
    needs("unshare", there=shutil.which("unshare") is not None)
    arena.fill(10)
    arena.run(codes={0}, begin=("unshare", "--net"))


def test_a_provider_that_is_not_there_is_never_replaced(arena: Arena) -> None:
    arena.fill(3)
    ended = arena.run("--provider", "cuda", codes={4})
    assert b"provider cuda" in ended.stderr
    assert not arena.output.exists()
    ended = arena.run("--provider", "auto", codes={0})
    assert {row["provider"] for row in ended.rows.values() if row["status"] == "done"} == {"cpu"}


def test_with_1_gb_of_memory_what_is_too_large_fails_and_the_others_are_coloured(arena: Arena) -> None:
    """Of address space, of which the program itself takes more than it uses."""
    arena.fill(10)
    Image.new("L", (15_000, 14_000), 90).save(arena.source / "large.png")
    Image.new("L", (15_000, 14_000), 90).save(arena.source / "large.tif", compression="tiff_deflate")
    ended = arena.run("--jobs", 1, codes={1}, limits={resource.RLIMIT_AS: 10**9})
    failed = {name: row["reason"] for name, row in ended.rows.items() if row["status"] == "failed"}
    assert {"large.png"} <= set(failed) <= {"large.png", "large.tif"}
    assert set(failed.values()) == {"not enough memory"}


@pytest.mark.parametrize("descriptors", [10, 16, 32, 64])
def test_few_descriptors_are_enough_or_are_said_to_be_too_few(arena: Arena, descriptors: int) -> None:
    arena.fill(30)
    codes = {0} if descriptors >= 32 else {0, 1, 3, 4}
    arena.run("--jobs", 4, codes=codes, limits={resource.RLIMIT_NOFILE: descriptors})
    arena.run(codes={0})


def test_a_hundred_thousand_entries(arena: Arena) -> None:
    for folder in range(100):
        (arena.source / f"{folder:02}").mkdir()
        for number in range(1000):
            (arena.source / f"{folder:02}" / f"{number:03}.txt").touch()
    arena.fill(10)
    ended = arena.run(codes={0})
    assert len(ended.rows) == 100_011
    assert ended.seconds < 170
    assert len(arena.outputs()) == 10


TIMES = {"1960": -315_619_200, "1970": 0, "1980": 315_532_800, "2038": 2**31 + 5, "2107": 4_354_819_198}


def test_any_time_of_a_source_is_fine(arena: Arena) -> None:
    for year, seconds in TIMES.items():
        os.utime(arena.add(f"{year}.png"), (seconds, seconds))
        os.utime(arena.add(f"{year}/a.png").parent, (seconds, seconds))
    arena.run(codes={0})
    assert b"10 kept" in arena.run(codes={0}).stderr


@pytest.mark.parametrize("year", TIMES)
def test_a_clock_that_was_set_back_or_forth_loses_nothing(arena: Arena, year: str) -> None:
    """What an earlier run left is of another time, which says nothing of what it holds."""
    arena.fill_and_run(30)
    straight = arena.outputs()
    arena.add("zz.png", seed=99)
    arena.add("000.png", seed=100)
    kill = at_outputs(arena.output, 31, sent(signal.SIGKILL))
    arena.run(codes={0}, during=kill, is_killed=True)
    for path in (*arena.output.rglob("*"), *(arena.output / STATE).glob("*")):
        os.utime(path, (TIMES[year], TIMES[year]))
    arena.run(codes={0})
    now = arena.outputs()
    assert {name for name in straight if straight[name] != now[name]} == {"000.png"}
    assert b"31 kept" in arena.run(codes={0}).stderr


def test_a_working_folder_that_is_gone(arena: Arena) -> None:
    arena.fill(3)
    gone = arena.root.parent / "gone"
    gone.mkdir()
    arena.run(codes={0}, cwd=gone, begin=("sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh"))


def test_a_config_file_of_somebody_in_the_working_folder(arena: Arena) -> None:
    """It may choose options, and nothing that a command line could not."""
    arena.fill(3)
    place = arena.root.parent / "working"
    place.mkdir()
    for text, codes in {
        "[run]\nlog-file = 5": {2},
        "[[run]]": {2},
        "\0\xff": {2},
        f"[run]\nlog-file = '{arena.source}/x.log'": {2},
        "[run]\nmodel = '/etc/passwd'": {0},  # the command line names one, and comes before it
        "[run]\nprovider = 'cuda'": {4},
        "[run]\nsource = '/'": {2},
    }.items():
        (place / "colorbatch.toml").write_text(text)
        arena.run(codes=codes, cwd=place)


def test_the_summary_and_the_manifest_agree(arena: Arena) -> None:
    arena.fill(10)
    arena.add("broken.png").write_bytes(b"broken")
    ended = arena.run("--json", codes={1})
    summary = json.loads(ended.stdout)
    statuses = list(ended.statuses.values())
    assert [summary[name] for name in ("done", "skipped", "failed")] == [
        statuses.count(name) for name in ("done", "skipped", "failed")
    ]
    assert (arena.output / MANIFEST).read_bytes().isascii()
