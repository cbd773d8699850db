"""Fixtures of the tests beside this file."""

from pathlib import Path

import pytest
from batches_in_stores import NAMES, picture
from helpers import LocalJob
from stores import S3

from colorbatch.job import BatchJob
from colorbatch.run import batch


@pytest.fixture
def sources() -> dict[str, bytes]:
    return {name: picture(number, Path(name).suffix) for number, name in enumerate(NAMES)}


@pytest.fixture
def local(sources: dict[str, bytes], tmp_path: Path, model_path: Path) -> LocalJob:
    """Return a job over the same sources on this machine, done."""
    for name, data in sources.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    job = LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu")
    assert batch.run_batch(job).done == len(NAMES)
    return job


@pytest.fixture
def job(s3: S3, sources: dict[str, bytes], model_path: Path) -> BatchJob:
    for name, data in sources.items():
        s3.bucket.put(f"in/{name}", data)
    return BatchJob(s3.at("in"), s3.at("out"), str(model_path), "cpu")
