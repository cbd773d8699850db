from pathlib import Path

import numpy as np
import pytest
from helpers import LocalJob
from PIL import Image

from colorbatch.errors import UsageError
from colorbatch.operations.restore import restore_batch
from colorbatch.run import batch


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    """Return a finished job over two grey JPEGs and a PNG."""
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.jpg", "c.png"):
        Image.linear_gradient("L").resize((90, 70)).rotate(len(name)).save(source / name)
    done = LocalJob(source, tmp_path / "out", str(model_path), "cpu")
    batch.run_batch(done)
    return done


def test_grey_jpegs_come_back_with_their_levels(job: LocalJob, tmp_path: Path) -> None:
    found = restore_batch(job.output, tmp_path / "again")
    assert found.restored == 2
    assert found.left_out == [("c.png", "it does not hold the coded luma of its source")]
    for name in ("a.jpg", "sub/b.jpg"):
        with Image.open(tmp_path / "again" / name) as restored, Image.open(job.source / name) as original:
            np.testing.assert_array_equal(np.asarray(restored), np.asarray(original))


def test_what_was_altered_or_is_there_already_is_left_out(job: LocalJob, tmp_path: Path) -> None:
    (job.output / "a.jpg").write_bytes((job.output / "a.jpg").read_bytes() + b"x")
    (tmp_path / "again" / "sub").mkdir(parents=True)
    (tmp_path / "again" / "sub" / "b.jpg").write_bytes(b"mine")
    found = restore_batch(job.output, tmp_path / "again")
    assert found.restored == 0
    assert dict(found.left_out)["a.jpg"] == "the output was altered after it was made"
    assert (tmp_path / "again" / "sub" / "b.jpg").read_bytes() == b"mine"


def test_nothing_is_written_through_a_link_that_leads_out(job: LocalJob, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "again" / "sub").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    found = restore_batch(job.output, tmp_path / "again")
    assert "leads out of it" in dict(found.left_out)["sub/b.jpg"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_nothing_is_read_through_a_link_that_leads_out(job: LocalJob, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (job.output / "sub").rename(tmp_path / "elsewhere" / "sub")
    (job.output / "sub").symlink_to(tmp_path / "elsewhere" / "sub")
    left_out = dict(restore_batch(job.output, tmp_path / "again").left_out)
    assert [left_out[name] for name in left_out if name.startswith("sub/")] == [
        "cannot read it: a link leads out of its folder"
    ]


@pytest.mark.parametrize("destination", ["out", "out/grey", "."])
def test_folders_that_overlap_are_refused(job: LocalJob, tmp_path: Path, destination: str) -> None:
    with pytest.raises(UsageError):
        restore_batch(job.output, tmp_path / destination)
