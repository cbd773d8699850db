import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import SAMPLES, LocalJob
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


def test_what_is_there_already_is_told_apart_from_another_file(job: LocalJob, tmp_path: Path) -> None:
    again = tmp_path / "again"
    restore_batch(job.output, again)
    (again / "sub" / "b.jpg").write_bytes(b"mine")
    found = dict(restore_batch(job.output, again).left_out)
    assert found["a.jpg"] == f"{again / 'a.jpg'} already exists, equal to what is restored"
    assert found["sub/b.jpg"] == f"{again / 'sub' / 'b.jpg'} already exists, and differs from what is restored"


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


@pytest.mark.parametrize("destination", ["in", "in/sub", "copy"])
def test_the_folder_of_the_sources_is_refused_wherever_it_is(job: LocalJob, tmp_path: Path, destination: str) -> None:
    shutil.copytree(job.source, tmp_path / "copy")
    before = files_below(tmp_path / destination)
    with pytest.raises(UsageError, match=r"holds the sources: .* is one of them"):
        restore_batch(job.output, tmp_path / destination)
    assert files_below(tmp_path / destination) == before


def test_one_source_that_was_not_coloured_is_enough(job: LocalJob, tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "still_life" / "coffee.png", job.source / "in_colour.png")
    batch.run_batch(job)
    (tmp_path / "again").mkdir()
    (job.source / "in_colour.png").rename(tmp_path / "again" / "in_colour.png")
    with pytest.raises(UsageError, match=r"in_colour\.png is one of them"):
        restore_batch(job.output, tmp_path / "again")


def test_a_restoration_continues_even_where_it_gives_the_bytes_of_the_source(job: LocalJob, tmp_path: Path) -> None:
    restore_batch(job.output, tmp_path / "again")
    second = LocalJob(tmp_path / "again", tmp_path / "second", job.model, "cpu")
    batch.run_batch(second)
    restore_batch(second.output, tmp_path / "third")
    assert files_below(tmp_path / "third") == files_below(tmp_path / "again")
    (tmp_path / "third" / "a.jpg").unlink()
    assert restore_batch(second.output, tmp_path / "third").restored == 1


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("destination", ["out", "out/grey", "."])
def test_folders_that_overlap_are_refused(job: LocalJob, tmp_path: Path, destination: str) -> None:
    with pytest.raises(UsageError):
        restore_batch(job.output, tmp_path / destination)
