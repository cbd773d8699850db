"""A job with its report, and a browser to look at it with."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import LocalJob, small_model
from playwright.sync_api import Browser, Page, sync_playwright
from reports import finished_job, opened

from colorbatch.report import write_report

_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    """Return a finished job over pictures with ordinary and odd names, a broken one and a text."""
    return finished_job(tmp_path, model_path)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_FLAGS])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> LocalJob:
    """Return a finished job whose report is written; no test may change its folders."""
    folder = tmp_path_factory.mktemp("reported")
    model = folder / "small.onnx"
    model.write_bytes(small_model().SerializeToString())
    job = finished_job(folder, model)
    write_report(job.output, job.source)
    return job


@pytest.fixture
def page(browser: Browser, reported: LocalJob) -> Iterator[Page]:
    """Return the report, opened from the file system in a fresh profile."""
    with opened(browser, reported.output / "colorbatch-report" / "index.html") as page:
        yield page
