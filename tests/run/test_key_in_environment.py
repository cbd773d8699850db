"""The private key in the environment reaches none of the processes that are started."""

import os
import subprocess
import sys
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import make_chain
from helpers import CommandLine, Foe, LocalJob, descendants, wait_until
from PIL import Image
from raw_files import dng

from colorbatch.environment import KEY_VARIABLE
from colorbatch.formats import decode
from colorbatch.formats.jpeg_separation import separated
from colorbatch.job import SignOptions
from colorbatch.run.batch import run_batch

KEY = "PRIVATE KEY"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Return the environments of the processes that are started from now on, and set the key."""
    found: list[dict[str, str]] = []
    original = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        found.append(dict(os.environ if options.get("env") is None else options["env"]))
        return original(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_child_processes_of_a_run_that_signs(job: LocalJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = make_chain(tmp_path / "certificates")
    monkeypatch.setenv(KEY_VARIABLE, (tmp_path / "certificates" / "key.pem").read_text())
    seen = set()

    def look() -> None:
        for each in descendants(os.getpid()):
            seen.add(KEY.encode() in Path(f"/proc/{each}/environ").read_bytes())

    signing = SignOptions(chain.options.certificate)
    assert run_batch(replace(job, engine="processes", jobs=1, signing=signing), Foe(look)).done == 5
    assert seen == {False}
    assert KEY in os.environ[KEY_VARIABLE]  # for the next run


def test_the_process_that_develops_raw_files(started: list[dict[str, str]]) -> None:
    pytest.importorskip("rawpy")
    decode(dng(np.full((64, 64), 1000, np.uint16)))
    assert [KEY_VARIABLE in each for each in started] == [False]


def test_the_process_that_transcodes(started: list[dict[str, str]], tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.jpg")
    separated((tmp_path / "a.jpg").read_bytes())
    assert [KEY_VARIABLE in each for each in started] == [False]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_cluster_that_is_started_here(job: LocalJob) -> None:
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "colorbatch", "run", "--engine", "ray", "--jobs", "1", "--model", str(job.model)]
    environment = os.environ | {KEY_VARIABLE: KEY}
    with subprocess.Popen([*command, "-q", job.source, job.output], env=environment) as process:
        wait_until(lambda: bool(list(job.output.rglob("*.png"))))
        environments = [Path(f"/proc/{each}/environ").read_bytes() for each in descendants(process.pid)]
    assert len(environments) > 2
    assert [each for each in environments if KEY.encode() in each] == []


def test_browsers(
    job: LocalJob, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, started: list[dict[str, str]]
) -> None:
    seen = []

    def open_page(_: str) -> bool:
        seen.append(os.environ.get(KEY_VARIABLE))
        return True

    monkeypatch.setattr(webbrowser, "open", open_page)
    run_batch(job)
    assert command_line("report", str(job.output), "--open") == 0
    assert seen == [None]
    assert os.environ[KEY_VARIABLE] == KEY
    assert [each for each in started if KEY_VARIABLE in each] == []
