"""What a signal does to `colorbatch run`."""

import json
import os
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import endless_model
from PIL import Image

from colorbatch.cli import terminal
from colorbatch.cli.terminal import HoldingProgress, Interrupted, Interruption, interruptible
from colorbatch.progress import SilentProgress


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_stops_a_run_that_can_go_on(
    tmp_path: Path, model_path: Path, number: signal.Signals, code: int
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    Image.fromarray(np.tile(np.arange(250, dtype=np.uint8), (400, 4))).save(source / "000.png")
    data = (source / "000.png").read_bytes()
    for index in range(1, 400):
        (source / f"{index:03}.png").write_bytes(data)
    command = [sys.executable, "-m", "colorbatch", "run", "--jobs", "1", "--model", str(model_path)]
    with subprocess.Popen([*command, str(source), str(output)], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (output / "002.png").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert stderr.count("Stopping: pictures in progress are finished") == 1
    assert "Run the same command again to resume" in stderr
    assert "Traceback" not in stderr
    rows = [json.loads(line) for line in (output / "colorbatch-manifest.jsonl").read_bytes().splitlines()]
    assert len(rows) == 400
    done = {row["output"] for row in rows if row["status"] == "done"}
    assert done == {path.name for path in output.glob("*.png")}
    assert not list(output.glob(".colorbatch*"))


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_breaks_off_an_endless_model_within_5_seconds(
    tmp_path: Path, source: Path, number: signal.Signals, code: int
) -> None:
    model = tmp_path / "endless.onnx"
    model.write_bytes(endless_model().SerializeToString())
    log = tmp_path / "run.log"
    command = [sys.executable, "-m", "colorbatch", "run", "--log-file", str(log), "--model", str(model)]
    with subprocess.Popen([*command, str(source), str(tmp_path / "out")], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "out" / ".colorbatch" / "journal.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.5)
        sent = time.monotonic()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
        assert time.monotonic() - sent < 5
    assert process.returncode == code
    assert "2 left" in stderr
    assert "Traceback" not in stderr
    assert "2 left" in log.read_text()


def test_a_signal_before_there_is_work_ends_at_once_and_one_after_is_held() -> None:
    interruption = Interruption()
    with pytest.raises(Interrupted) as stopped:
        interruption.handle(signal.SIGTERM, None)
    assert stopped.value.exit_code == 143
    working = Interruption()
    HoldingProgress(SilentProgress(), working).begin(1, "Colouring")
    before = signal.getsignal(signal.SIGINT)
    working.handle(signal.SIGINT, None)
    signal.signal(signal.SIGINT, before)
    assert working.event.is_set()
    assert working.exit_code == 130


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_what_is_finished_after_a_signal_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = queue.SimpleQueue[str]()
    monkeypatch.setattr(terminal, "say", said.put)
    with interruptible("Stopping") as interruption:
        interruption.is_at_work = True
        signal.raise_signal(signal.SIGINT)
        assert said.get(timeout=5) == "Stopping"
    with interruptible("Stopping") as interruption:
        interruption.is_at_work = True
    assert said.empty()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_signal_while_many_files_are_planned_is_obeyed_at_once(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(30_000):
        os.close(os.open(f"{source}/{number}.png", os.O_CREAT))
    with subprocess.Popen([sys.executable, "-m", "colorbatch", "run", str(source), str(tmp_path / "out")]) as process:
        time.sleep(0.8)
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert time.monotonic() - sent < 5
    assert process.returncode in (143, -signal.SIGTERM)  # the latter before Python had got to our handler


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_signal_is_obeyed_that_a_package_takes_for_a_failed_import() -> None:
    """As NumPy's and ONNX Runtime's own code does when it is interrupted while it is imported."""

    def imported() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    with pytest.raises(Interrupted) as stopped, interruptible():
        imported()
    assert stopped.value.exit_code == 143
