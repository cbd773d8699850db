"""A job with its report."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import LocalJob, small_model
from playwright.sync_api import Browser, Page
from reports import finished_job, opened

from colorbatch.report import write_report


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    """Return a finished job over pictures with ordinary and odd names, a broken one and a text."""
    return finished_job(tmp_path, model_path)


@pytest.fixture(scope="session")
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
