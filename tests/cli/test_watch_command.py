"""``colorbatch run --watch``: how it ends, and what it says."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from batches import rows
from helpers import CommandLine
from PIL import Image

from colorbatch.cli import report as report_command
from colorbatch.cli.watching import _Follower
from colorbatch.errors import UsageError
from colorbatch.job import BatchJob, BatchSummary

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.linear_gradient("L").resize((40, 30)).save(folder / "a.png")
    (folder / "broken.png").write_bytes(b"broken")
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    return folder


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_signal_ends_it_with_a_summary(
    source: Path,
    tmp_path: Path,
    model_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    output = tmp_path / "out"
    options = ("--watch", "--watch-settle", "0.2", "--json", "--report", "--model", model_path)
    command = [sys.executable, "-m", "colorbatch", "run", *map(str, options), str(source), str(output)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(60, process.kill)  # it would go on for ever after a failure
        timer.start()
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line.rstrip("\n"))
            if said[-1] == "1 coloured, 1 failed":
                while not (output / "colorbatch-report" / "index.html").exists() and process.poll() is None:
                    time.sleep(0.05)
                Image.linear_gradient("L").resize((50, 30)).save(source / "b.png")
            elif said[-1] == "1 coloured":
                process.send_signal(number)
        stdout, _ = process.communicate(timeout=30)
        timer.cancel()
    assert rows(output)["b.png"]["status"] == "done"
    assert process.returncode == code
    summary = json.loads(stdout)
    assert (summary["done"], summary["failed"], summary["kept"], summary["not_reached"]) == (2, 1, 0, 0)
    assert said[0] == f"Watching {source}; Ctrl-C ends it"
    assert not (output / ".colorbatch").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--watch-settle", "1"], "--watch-settle needs --watch"),
        (["--watch-poll", "1"], "--watch-poll needs --watch"),
        (["--watch", "--dry-run"], "--watch and --dry-run exclude each other"),
        (["--watch", "--salvage"], "--watch cannot be used with --salvage"),
        (["--watch", "--shard", "1/2"], "--watch cannot be used with --shard"),
    ],
)
def test_what_does_not_go_together_is_refused(
    command_line: CommandLine,
    source: Path,
    tmp_path: Path,
    model_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    assert command_line("run", *options, "--model", model_path, source, tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Ctrl-C ends it" not in told, "nothing is watched"
    assert not (tmp_path / "out").exists()


def test_one_file_cannot_be_watched(
    command_line: CommandLine, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line("run", "--watch", source / "a.png", tmp_path / "a.png") == 2
    assert "--watch cannot be used where the output is a file" in capsys.readouterr().err


def test_the_report_is_written_at_most_once_a_minute_and_its_failure_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written: list[object] = []

    def write(*_: object, **__: object) -> None:
        written.append(1)
        raise UsageError("there is no room")

    monkeypatch.setattr(report_command, "write", write)
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    follower = _Follower(BatchJob(tmp_path, tmp_path / "out"), report=True, quiet=True)
    follower.after_look(None)
    assert written == []  # nothing has changed
    follower.after_look(BatchSummary(done=1))
    follower.after_look(BatchSummary(done=1))
    assert written == [1]
    assert "the report was not written: there is no room" in caplog.text
    moment[0] += 61
    follower.after_look(None)
    assert written == [1, 1]
