"""Jobs to retouch, by a model that gives each hint its colour and leaves the rest grey."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fake_retouch import FakeServer, retouching
from helpers import LocalJob, hinted_model
from PIL import Image
from playwright.sync_api import Browser, Page
from retouch_page import settled
from retouching import OpenSession

from colorbatch.retouch.api import Api
from colorbatch.retouch.made_with import Choices
from colorbatch.retouch.session import RetouchSession
from colorbatch.run.batch import run_batch


@pytest.fixture
def new_job(tmp_path: Path) -> LocalJob:
    """Return a job that no run has touched: two grey pictures, and a text."""
    return job_in(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the same job, finished; no test may change it."""
    folder = tmp_path_factory.mktemp("finished")
    run_batch(job_in(folder))
    return folder


@pytest.fixture
def job(finished: Path, tmp_path: Path) -> LocalJob:
    """Return a copy of the finished job."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return LocalJob(tmp_path / "in", tmp_path / "out", model=str(tmp_path / "hinted.onnx"))


def job_in(folder: Path) -> LocalJob:
    source = folder / "in"
    for number, name in enumerate(("a.png", "sub/b.jpg")):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").rotate(90 * number).resize((64, 48)).save(path)
    (source / "notes.txt").write_text("no picture")
    model = folder / "hinted.onnx"
    model.write_bytes(hinted_model().SerializeToString())
    return LocalJob(source, folder / "out", model=str(model))


@pytest.fixture
def open_session() -> Iterator[OpenSession]:
    with ExitStack() as opened:

        def open_one(job: LocalJob, *, has_source: bool = True, **choices: object) -> RetouchSession:
            chosen = Choices(**({"model": job.model} | choices))  # type: ignore[arg-type]
            session = RetouchSession(job.source if has_source else None, job.output, chosen)
            opened.callback(session.close)
            return session

        yield open_one


@pytest.fixture
def session(job: LocalJob, open_session: OpenSession) -> RetouchSession:
    return open_session(job)


@pytest.fixture
def api(session: RetouchSession) -> Api:
    return Api(session)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def page(browser: Browser, server: FakeServer) -> Iterator[Page]:
    """Return the page with its first picture opened and shown."""
    with retouching(browser, server) as page:
        settled(page)
        yield page
