"""Fixtures that many tests share."""

import logging
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side; libraries read it when they are imported

import hypothesis
import numpy as np
import pytest
from helpers import CommandLine, MakePictures, small_model
from numpy.typing import NDArray
from PIL import Image

from colorbatch.cli.main import main
from colorbatch.inference.colorizer import Colorizer, open_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from stores import S3, Bucket

hypothesis.settings.register_profile("any time", hypothesis.settings.default, deadline=None)  # machines may be busy
hypothesis.settings.load_profile("any time")


@pytest.fixture(autouse=True)
def _same_logging() -> Iterator[None]:
    """Undo what a command did to the logging of this process: ``caplog`` would find nothing any more."""
    logger = logging.getLogger("colorbatch")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    for handler in logger.handlers:
        handler.close()
    logger.handlers[:], level, logger.propagate = before
    logger.setLevel(level)


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Leave out what only a power cut could show: waiting until the disk has a file or a folder.

    Other processes do wait: the gauntlet traces their calls.
    """
    fsync = os.fsync

    def checked(file: int) -> None:
        mode = os.fstat(file).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            fsync(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", checked)
        yield


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Debian's chromium."""
    from browsers import launched

    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def s3_bucket() -> "Iterator[Bucket]":
    """A bucket of a real S3 server on loopback."""
    from stores import s3_server

    with s3_server() as bucket:
        yield bucket


@pytest.fixture
def s3(s3_bucket: "Bucket", monkeypatch: pytest.MonkeyPatch) -> "Iterator[S3]":
    """That bucket, emptied, and reached through a proxy that can cut connections."""
    from stores import emptied

    with emptied(s3_bucket, monkeypatch) as empty:
        yield empty


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    path.write_bytes(small_model().SerializeToString())
    return path


@pytest.fixture
def small_default(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the only built-in model be a small one, which is opened in a moment."""
    path = tmp_path_factory.mktemp("built in") / "default.onnx"
    path.write_bytes(small_model().SerializeToString())
    for module in ("operations.doctor", "inference.model_names"):
        monkeypatch.setattr(f"colorbatch.{module}.built_in_models", lambda: {"default": path})


@pytest.fixture
def colorizer(model_path: Path) -> Colorizer:
    return open_model(model_path, provider="cpu", threads=1)


@pytest.fixture
def ramp() -> NDArray[np.uint8]:
    """All 256 levels of grey, ``[16, 48]``."""
    return np.resize(np.arange(256, dtype=np.uint8), (16, 48))


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return a function that runs ``colorbatch`` with arguments in this process and returns the exit code."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["colorbatch", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code

    return run


@pytest.fixture
def make_pictures(tmp_path: Path) -> MakePictures:
    """Return a function that writes small colour pictures, one saturated colour over a grey slope each."""

    def make(folder: str, *names: str, mode: str = "RGB") -> Path:
        root = tmp_path / folder
        for number, name in enumerate(names):
            slope = np.tile(np.linspace(0.2, 1.0, 72), (66, 1))
            color = np.random.default_rng(number).integers(30, 256, 3)
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((slope[..., None] * color).astype(np.uint8)).convert(mode).save(path)
        return root

    return make
