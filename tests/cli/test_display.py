"""What a terminal shows, read from a pseudo-terminal, and what a log shows."""

import io
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from helpers import CommandLine
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

from colorbatch.cli import display
from colorbatch.cli.display import Bar, Lines, cut
from colorbatch.cli.terminal import about, duration

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return pictures so large that they are in work when the bar is drawn."""
    return pictures(tmp_path / "in", 300, 1000)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return pictures(tmp_path / "in", 100, 300)


def pictures(folder: Path, most: int, largest: int) -> Path:
    folder.mkdir()
    names = [*(f"scan_{number}.png" for number in range(8)), "\u65e5\u672c.png", "\x1b[31mevil\n.png"]
    for name in names:
        side = largest if "evil" in name else most
        noise = np.random.default_rng(0).integers(0, 256, (side, side + 200), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name, compress_level=0)
    (folder / "broken.png").write_bytes(b"broken")
    return folder


class OnATerminal(Protocol):
    def __call__(self, columns: int, *arguments: object, **environment: str) -> tuple[int, str]: ...


@pytest.fixture
def on_a_terminal(command_line: CommandLine) -> OnATerminal:
    """Return what runs ``colorbatch`` with a terminal for its stderr, and gives the exit code and what it got."""
    pty = pytest.importorskip("pty")

    def run(columns: int, *arguments: object, **environment: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        with (
            ThreadPoolExecutor(1) as pool,
            os.fdopen(theirs, "w", encoding="utf-8", buffering=1) as terminal,
            pytest.MonkeyPatch.context() as patch,
        ):
            for name in ("NO_COLOR", "FORCE_COLOR", "LINES"):
                patch.delenv(name, raising=False)
            for name, value in {"TERM": "xterm-256color", "COLUMNS": str(columns), **environment}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stderr", terminal)
            shown = pool.submit(everything_from, ours)
            code = command_line(*arguments)
        os.close(ours)
        return code, shown.result().decode()

    return run


def everything_from(terminal: int) -> bytes:
    shown = b""
    with suppress(OSError):  # how Linux says that nobody has the other end open
        while some := os.read(terminal, 65536):
            shown += some
    return shown


def lines_of(shown: str) -> list[str]:
    return re.split(r"\r?\n|\r", ESCAPES.sub("", shown))


def test_a_terminal_shows_a_bar_the_names_in_work_failures_and_a_table(
    on_a_terminal: OnATerminal, tmp_path: Path, source: Path, model_path: Path
) -> None:
    code, shown = on_a_terminal(100, "run", "--jobs", 1, "--model", model_path, source, tmp_path / "out")
    assert code == 1
    lines = lines_of(shown)
    bars = [line for line in lines if line.startswith("Colouring")]
    assert any(
        re.search(r"[1-9]\d*/11 pictures, 0:00:\d\d left, \d+\.\d MP/s, \d+\.\d pictures/s", bar) for bar in bars
    )
    assert any(line.startswith("Now: scan_") for line in lines)
    assert any("\\x1b[31mevil\\n.png" in line for line in lines if line.startswith("Now: "))
    assert any(line.startswith("Failed: broken.png: not a known picture format") for line in lines)
    table = lines[lines.index("Coloured  10") :]
    assert table[1:5] == ["Kept       0", "Copied     0", "Skipped    0", "Failed     1"]
    assert re.fullmatch(r"Time      \d+\.\d s, \d+\.\d pictures/s, \d+\.\d MP/s", table[5])
    assert table[6] == "Model     small on cpu"
    assert table[7:] == [
        "10 photographs: every grey value unchanged (10 within 1 level)",
        f"Manifest: {tmp_path}/out/colorbatch-manifest.jsonl",
        f"See them before and after: colorbatch report {tmp_path}/out --source {source} --open",
        "",
    ]
    assert "\x1b[31m" not in shown.replace("\\x1b[31m", "")  # the name of a file steers nothing
    assert shown.rindex("\x1b[?25h") > shown.rfind("\x1b[?25l")  # the cursor is there again


def test_the_command_that_a_terminal_names_next_can_be_typed(
    on_a_terminal: OnATerminal, command_line: CommandLine, tmp_path: Path, small: Path, model_path: Path
) -> None:
    source, output = small.rename(tmp_path / "Ann's photos"), tmp_path / "in colour"
    code, shown = on_a_terminal(80, "run", "--model", model_path, source, output)
    assert code == 1
    (named,) = [line for line in lines_of(shown) if "colorbatch report" in line]
    program, *arguments = shlex.split(named.partition(": ")[2])
    assert (program, arguments.pop()) == ("colorbatch", "--open")
    assert command_line(*arguments) == 0
    _, shown = on_a_terminal(80, "run", "--report", "--model", model_path, source, output)
    assert "colorbatch report" not in shown


@pytest.mark.parametrize("columns", [20, 70])
def test_no_line_of_the_bar_is_wider_than_the_terminal(
    on_a_terminal: OnATerminal, tmp_path: Path, source: Path, model_path: Path, columns: int
) -> None:
    code, shown = on_a_terminal(columns, "run", "--model", model_path, source, tmp_path / "out")
    assert code == 1
    drawn = [line for line in lines_of(shown) if line.startswith(("Colouring", "Now: "))]
    assert drawn
    assert max(map(cell_len, drawn)) < columns
    assert any(line.endswith("...") for line in drawn) or columns > 60


def test_without_colour_there_is_none_and_a_dumb_terminal_gets_lines(
    on_a_terminal: OnATerminal, tmp_path: Path, small: Path, model_path: Path
) -> None:
    _, shown = on_a_terminal(80, "run", "--model", model_path, small, tmp_path / "1", NO_COLOR="1")
    assert "Colouring" in shown
    codes = {code for found in COLOURS.findall(shown) for code in found[2:-1].split(";")}
    assert codes <= {"", "0", "1", "2"}  # bold and dim are no colours
    for number, term in enumerate(("dumb", "unknown"), start=2):
        _, shown = on_a_terminal(80, "run", "--model", model_path, small, tmp_path / str(number), TERM=term)
        assert "\x1b" not in shown
        assert "10 coloured, 0 kept, 0 skipped, 1 failed" in shown
        assert "Failed: broken.png" in shown


def test_what_is_logged_stands_on_lines_of_its_own_above_the_bar(
    on_a_terminal: OnATerminal, tmp_path: Path, small: Path, model_path: Path
) -> None:
    _, shown = on_a_terminal(100, "run", "-v", "--jobs", 1, "--model", model_path, small, tmp_path / "out")
    logged = [line for line in lines_of(shown) if "INFO" in line]
    assert len(logged) > 11
    assert all(line.startswith("INFO: ") for line in logged)


def test_quiet_shows_nothing_on_a_terminal_when_all_went_well(
    on_a_terminal: OnATerminal, tmp_path: Path, small: Path, model_path: Path
) -> None:
    (small / "broken.png").unlink()
    assert on_a_terminal(80, "run", "-q", "--model", model_path, small, tmp_path / "out") == (0, "")


def test_a_terminal_that_goes_away_stops_nothing(tmp_path: Path, small: Path, model_path: Path) -> None:
    """As a lost connection does to a run under nohup: what is written to its terminal fails from then on."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "colorbatch", "run", "--jobs", "1", "--model", str(model_path)]
    with subprocess.Popen(
        [*command, str(small), str(tmp_path / "out")], stdin=subprocess.DEVNULL, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        assert os.read(ours, 1)
        os.close(ours)
        assert process.wait(60) == 1
    assert len(list((tmp_path / "out").glob("*.png"))) == 10


def test_a_log_gets_a_line_now_and_then_even_while_nothing_is_finished(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", 0.05)
    lines = Lines("pictures")
    lines.begin(4, "Colouring", weight=40)
    time.sleep(0.3)
    assert "Colouring: 0/4 pictures\n" in capsys.readouterr().err
    lines.advance(weight=10, megapixels=1000)
    time.sleep(0.3)
    shown = capsys.readouterr().err
    assert re.search(r"Colouring: 1/4 pictures, 0:00:0\d left, \d+\.\d MP/s, \d+\.\d pictures/s\n", shown)
    lines.end()
    lines.end()
    time.sleep(0.2)
    capsys.readouterr()
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_screen_that_lacks_letters_keeps_to_its_width() -> None:
    drawn = io.BytesIO()
    file = io.TextIOWrapper(drawn, "ascii", "backslashreplace")
    bar = Bar(Console(file=file, force_terminal=True, width=40), "pictures")
    with bar.working_on("\u65e5" * 30):
        bar.begin(3, "Colouring")
    lines = lines_of(drawn.getvalue().decode("ascii"))
    bar.end()
    assert re.fullmatch("Colouring -* 0/3 pictures", lines[0])
    assert lines[1] == "Now: " + "\\u65e5" * 5 + "\\..."
    assert all(len(line) < 40 for line in lines)


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("\u65e5\u672c\u65e5\u672c", 7, "\u65e5\u672c..."),
        ("\u65e5\u672c\u65e5\u672c", 6, "\u65e5 ..."),
        ("abc", 2, ".."),
        ("abc", 0, ""),
    ],
)
def test_cut_counts_columns_not_letters(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (59.9, "59.9 s"), (59.96, "0:01:00"), (3723.4, "1:02:03"), (90061, "1 day, 1:01:01")],
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "about 1 s"),
        (4.4, "about 4 s"),
        (89.4, "about 89 s"),
        (100, "about 2 min"),
        (3600, "about 60 min"),
        (5400, "about 2 h"),
        (36_000, "about 10 h"),
        (200_000, "about 2 days"),
    ],
)
def test_estimates_are_no_more_exact_than_they_can_be(seconds: float, text: str) -> None:
    assert about(seconds) == text
