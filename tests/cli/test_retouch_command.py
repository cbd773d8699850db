import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from pathlib import Path

import numpy as np
import pytest
from helpers import CommandLine
from PIL import Image

from colorbatch.job import WORKER_NAME
from colorbatch.records.manifest import Manifest
from colorbatch.records.retouch import RETOUCH_NAME, RetouchLine
from colorbatch.report import write_report
from colorbatch.retouch import opening, server
from colorbatch.retouch.opening import Opening
from colorbatch.retouch.server import Address
from colorbatch.store import open_store


@pytest.fixture
def folders(tmp_path: Path, model_path: Path, command_line: CommandLine) -> tuple[Path, Path]:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3).save(source / name)
    assert command_line("run", "-q", "--model", model_path, source, output) == 0
    return source, output


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that a browser was asked to open; what is served ends once one was."""
    urls: list[str] = []

    def served(*_: object) -> None:
        for thread in threading.enumerate():
            if thread.daemon and thread.name.endswith("(_open)"):
                thread.join(20)

    monkeypatch.setattr(webbrowser, "open", lambda url: urls.append(url) or True)  # type: ignore[func-returns-value]
    monkeypatch.setattr(server, "serve", served)
    monkeypatch.setattr(opening, "_SECONDS_TO_WAIT", 60)  # a busy machine finds later what is wrong
    return urls


def test_the_address_is_what_was_asked_for(
    command_line: CommandLine,
    folders: tuple[Path, Path],
    model_path: Path,
    opened: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, output = folders
    assert command_line("retouch", "-q", "--model", model_path, source, output) == 0
    stdout, stderr = capsys.readouterr()
    assert stdout == f"{opened[0]}\n"
    assert opened[0].startswith("http://127.0.0.1:")
    assert stderr == ""
    assert command_line("retouch", output, "--source", source, "--no-open", "--model", model_path) == 0
    stdout, stderr = capsys.readouterr()
    assert stdout.startswith("http://127.0.0.1:")
    assert f"The pictures of {output} are at this address. Ctrl-C ends it." in stderr
    assert len(opened) == 1


def test_the_address_is_printed_even_while_a_model_is_being_opened(
    command_line: CommandLine,
    folders: tuple[Path, Path],
    model_path: Path,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Meanwhile stdout is replaced, in all threads, by what swallows the prints of ONNX Runtime."""
    monkeypatch.setattr(Opening, "wait", lambda _: monkeypatch.setattr(sys, "stdout", io.StringIO()))
    assert command_line("retouch", "-q", "--model", model_path, *folders) == 0
    assert capsys.readouterr().out == f"{opened[0]}\n"


def test_it_ends_though_a_picture_is_still_being_decoded(
    command_line: CommandLine,
    folders: tuple[Path, Path],
    model_path: Path,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits for a decoder, which cannot be stopped: the process ends with its thread."""
    ended = threading.Event()
    monkeypatch.setattr(os, "_exit", sys.exit)
    thread = threading.Thread(target=ended.wait, args=(20,), name=f"{WORKER_NAME}_0")
    thread.start()
    assert command_line("retouch", "-q", "--model", model_path, *folders) == 0
    assert thread.is_alive()
    assert len(opened) == 1
    ended.set()
    thread.join()


def test_a_browser_that_does_not_start_is_told_of(
    command_line: CommandLine,
    folders: tuple[Path, Path],
    model_path: Path,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert command_line("retouch", "--model", model_path, folders[1]) == 0
    assert "No browser could be started" in capsys.readouterr().err
    assert opened == []


def test_what_is_saved_is_in_the_report_afterwards(
    command_line: CommandLine, folders: tuple[Path, Path], model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = folders
    write_report(output, source)
    page = (output / "colorbatch-report/index.html").read_text()

    def save(opening: Opening, _address: Address, _stop: object) -> None:
        opening.session().save([RetouchLine("a.png", 1, strength=0.5)], 1)

    monkeypatch.setattr(server, "serve", save)
    assert command_line("retouch", "-q", "--no-open", "--model", model_path, source, output) == 0
    assert (output / "colorbatch-report/index.html").read_text() != page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{in}", "{out}", "--source", "{in}"], "the source is given twice"),
        (["{in}", "{out}", "more"], "expected OUTPUT, or SOURCE and OUTPUT"),
        (["{in}"], "has no colorbatch-manifest.jsonl"),
        (["{out}"], "not built in: small"),
        (["{in}", "{in}"], "the output"),
    ],
)
def test_what_cannot_be_opened_is_told_of(
    command_line: CommandLine,
    folders: tuple[Path, Path],
    opened: list[str],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    source, output = folders
    given = [each.replace("{in}", str(source)).replace("{out}", str(output)) for each in arguments]
    assert command_line("retouch", *given) == 2
    assert message in capsys.readouterr().err
    assert opened == []


def test_a_folder_in_use_is_exit_5(
    command_line: CommandLine, folders: tuple[Path, Path], opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with Manifest(open_store(folders[1])):
        assert command_line("retouch", *folders) == 5
    assert "another run is in progress" in capsys.readouterr().err
    assert opened == []


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals to one process")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)], ids=lambda number: number.name
)
def test_a_signal_ends_it_and_what_was_saved_is_in_the_manifest(
    number: signal.Signals, folders: tuple[Path, Path], model_path: Path
) -> None:
    source, output = folders
    arguments = ["retouch", "--no-open", "--model", str(model_path), str(source), str(output)]
    command = [sys.executable, "-m", "colorbatch", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        headers = {"Content-Type": "application/json", "Origin": url.rsplit("/", 2)[0]}
        body = json.dumps({"id": 0, "page": 1, "line": {"strength": 0.5}}).encode()
        with urllib.request.urlopen(urllib.request.Request(url + "save", body, headers)) as answer:  # noqa: S310
            assert json.loads(answer.read())["made"]
        started = time.monotonic()
        process.send_signal(number)
        assert process.wait(20) == 0
        assert time.monotonic() - started < 5
        assert process.stderr.read() == (
            f"The pictures of {output} are at this address. Ctrl-C ends it.\n"
            "Stopping: a picture that is being made is finished first.\n"
        )
    assert (output / RETOUCH_NAME).is_file()
    assert not (output / ".colorbatch").exists()
