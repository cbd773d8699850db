import json
import os
import signal
import threading
import webbrowser
from pathlib import Path

import numpy as np
import pytest
from helpers import CommandLine
from PIL import Image

from colorbatch.job import BatchJob, BatchSummary
from colorbatch.progress import ProgressReporter
from colorbatch.run import batch


@pytest.fixture
def folders(tmp_path: Path, model_path: Path, command_line: CommandLine) -> tuple[Path, Path]:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3).save(source / name)
    assert command_line("run", "-q", "--model", model_path, source, output) == 0
    return source, output


def test_it_says_where_the_page_is(
    command_line: CommandLine, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = folders
    assert command_line("report", output, "--source", source) == 0
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert f"Report: {output / 'colorbatch-report' / 'index.html'} (2 of 2 sources shown, 0.0 MB)" in stderr
    assert command_line("report", "-q", "--json", output) == 0
    stdout, stderr = capsys.readouterr()
    assert stderr == ""
    found = json.loads(stdout)
    assert (found["sources"], found["shown"], found["made"]) == (2, 2, 2)
    assert Path(found["index"]).is_file()


@pytest.mark.parametrize("can_open", [True, False])
def test_open_opens_the_page_in_a_browser(
    command_line: CommandLine,
    folders: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    can_open: bool,
) -> None:
    urls: list[str] = []

    def opened(url: str) -> bool:
        urls.append(url)
        return can_open

    monkeypatch.setattr(webbrowser, "open", opened)
    assert command_line("report", "-q", "--open", folders[1]) == 0
    assert urls == [(folders[1] / "colorbatch-report" / "index.html").as_uri()]
    assert ("No browser could be started" in capsys.readouterr().err) != can_open


def test_what_cannot_be_reported_is_exit_2_and_says_what_to_do(
    command_line: CommandLine, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = folders
    assert command_line("report", source) == 2
    assert "Give an output folder of colorbatch run" in capsys.readouterr().err
    (output / "colorbatch-report").mkdir()
    (output / "colorbatch-report" / "mine.txt").touch()
    assert command_line("report", output) == 2
    assert "was not made by colorbatch report" in capsys.readouterr().err


def test_run_writes_the_report_at_its_end(
    command_line: CommandLine, folders: tuple[Path, Path], model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = folders
    (source / "broken.png").write_bytes(b"x")
    assert command_line("run", "--json", "--report", "--model", model_path, source, output) == 1
    stdout, stderr = capsys.readouterr()
    assert json.loads(stdout)["failed"] == 1
    assert "Report: " in stderr
    page = (output / "colorbatch-report" / "index.html").read_text()
    assert "broken.png" in page
    assert "The picture before is the source in grey" in page


def test_a_run_that_is_stopped_writes_no_report(
    command_line: CommandLine, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_job: BatchJob, progress: ProgressReporter, _stop: threading.Event) -> BatchSummary:
        progress.begin(1, "Colouring")
        os.kill(os.getpid(), signal.SIGTERM)
        return BatchSummary(stopped=True, not_reached=1)

    monkeypatch.setattr(batch, "run_batch", stopped)
    assert command_line("run", "-q", "--report", *folders) == 143
    assert not (folders[1] / "colorbatch-report").exists()


def test_run_refuses_a_taken_place_before_the_first_picture(
    command_line: CommandLine, tmp_path: Path, folders: tuple[Path, Path], model_path: Path
) -> None:
    output = tmp_path / "new"
    (output / "colorbatch-report").mkdir(parents=True)
    (output / "colorbatch-report" / "mine.txt").touch()
    assert command_line("run", "-q", "--report", "--model", model_path, folders[0], output) == 2
    assert [path.name for path in output.iterdir()] == ["colorbatch-report"]


def test_only_does_the_sources_of_a_list(
    command_line: CommandLine,
    tmp_path: Path,
    folders: tuple[Path, Path],
    model_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, output = folders
    chosen = tmp_path / "redo.txt"
    chosen.write_text("# Redo: 1 of 2\nb.png\n")
    before = (output / "a.png").read_bytes(), (output / "b.png").read_bytes()
    command = ("run", "--model", model_path, "--only", chosen, "--strength", 0.5, source, output)
    assert command_line(*command, "--dry-run") == 0
    assert capsys.readouterr().out == "skipped\ta.png\tnot in the list given with --only\nagain\tb.png\tb.png\n"
    assert command_line(*command) == 0
    assert "1 coloured, 0 kept, 0 skipped, 0 failed" in capsys.readouterr().err
    assert (output / "a.png").read_bytes() == before[0]
    assert (output / "b.png").read_bytes() != before[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png\nc.png\nd/e.png\n", "not in {in}: c.png, d/e.png"),
        ('"a', "line 1 of the list"),
        (None, "cannot read the list"),
    ],
)
def test_a_list_that_makes_no_sense_is_exit_2(
    command_line: CommandLine,
    tmp_path: Path,
    folders: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    message: str,
) -> None:
    chosen = tmp_path / "redo.txt"
    if text is not None:
        chosen.write_text(text)
    assert command_line("run", "--only", chosen, folders[0], tmp_path / "new") == 2
    assert message.replace("{in}", str(folders[0])) in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
