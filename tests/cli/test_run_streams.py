"""`colorbatch run` with streams that are closed or full, and its log file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import CommandLine


@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
def test_stdout_closed_early_is_no_traceback(tmp_path: Path) -> None:
    command = f"({sys.executable} -m colorbatch inspect unet; echo exit $? >&2) | true"
    found = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.stderr.endswith("exit 0\n")
    assert "Traceback" not in found.stderr
    assert "Exception ignored" not in found.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
def test_closed_streams_stop_nothing(tmp_path: Path, source: Path) -> None:
    command = f"{sys.executable} -m colorbatch run {source} {tmp_path / 'out'} >&- 2>&-; echo exit $?"
    found = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert found.stdout == "exit 0\n"
    assert found.stderr == ""
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_stdout_is_exit_4_and_a_full_stderr_stops_nothing(tmp_path: Path, source: Path) -> None:
    command = [sys.executable, "-m", "colorbatch"]
    with Path("/dev/full").open("w") as full:
        found = subprocess.run([*command, "inspect", "unet"], stdout=full, stderr=-1, text=True, check=False)
        assert found.returncode == 4
        assert found.stderr == "Error: cannot write the result to stdout: [Errno 28] No space left on device\n"
        ran = subprocess.run([*command, "run", source, tmp_path / "out"], stderr=full, check=False)
    assert ran.returncode == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def test_the_log_file_has_everything_and_stderr_nothing(
    command_line: CommandLine, source: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "c\n.png").write_bytes(b"")
    log = tmp_path / "run.log"
    for _ in range(2):
        command_line("run", "-q", "--log-file", log, "--model", model_path, source, tmp_path / "out")
    lines = log.read_text().splitlines()
    assert sum("INFO: a.png: done" in line for line in lines) == 2
    assert sum("c\\n.png: failed the file is empty" in line for line in lines) == 2
    assert sum("2 coloured" in line or "2 kept" in line for line in lines) == 2
    assert sum("encode: " in line and "CPU time" in line for line in lines) == 1, (
        "where the time went, of the first run"
    )
    assert "INFO" not in capsys.readouterr().err


def test_a_log_file_that_cannot_be_is_refused_before_the_run(
    command_line: CommandLine, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line("run", "--log-file", source / "run.log", source, tmp_path / "out") == 2
    assert "is inside the source" in capsys.readouterr().err
    for log in (tmp_path / "out" / "run.log", tmp_path / "picture.jpg", source / ".." / "in" / "a.png"):
        if log.name == "picture.jpg":
            log.write_bytes(b"\xff\xd8\xff")
        assert command_line("run", "--log-file", log, source, tmp_path / "out") == 2
    assert (tmp_path / "picture.jpg").read_bytes() == b"\xff\xd8\xff"
    capsys.readouterr()
    assert command_line("run", "--log-file", tmp_path / "no" / "run.log", source, tmp_path / "out") == 4
    assert "cannot write the log file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in source.iterdir()) == ["a.png", "b.png"]
