"""Outputs whose names are one on file systems that do not tell upper and lower case apart."""

import shutil

import pytest
from batches import rows, tree
from helpers import LocalJob

from colorbatch.run import batch
from colorbatch.run.output_names import namesakes
from colorbatch.store.local import LocalStore


def test_names_that_differ_in_case_or_in_the_composition_of_letters_are_namesakes() -> None:
    names = ["sub/A.jpg", "SUB/a.jpg", "a.jpg", "M\u00fcller.png", "Mu\u0308ller.png", "m\u00dcller.png", "b.png", ""]
    found = namesakes(names)
    assert found["sub/A.jpg"] == ["SUB/a.jpg"]
    assert set(found["M\u00fcller.png"]) == {"Mu\u0308ller.png", "m\u00dcller.png"}
    assert set(found) == {"sub/A.jpg", "SUB/a.jpg", "M\u00fcller.png", "Mu\u0308ller.png", "m\u00dcller.png"}


@pytest.fixture
def folding(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> LocalJob:
    """A job with two sources of one name but for its case, and an output folder that does not tell them apart."""
    shutil.copy(job.source / "sub" / "b.png", job.source / "sub" / "B.PNG")
    at, read = LocalStore.__dict__["_at"], LocalStore.read

    def folded(store: LocalStore, name: str) -> str:
        return name.lower() if store.path == job.output else name

    monkeypatch.setattr(LocalStore, "_at", lambda store, name: at(store, folded(store, name)))
    monkeypatch.setattr(LocalStore, "read", lambda store, name, size=None: read(store, folded(store, name), size))
    return job


def test_two_sources_with_one_output_are_said_to_be_that(folding: LocalJob) -> None:
    for _ in range(2):  # and again by the run after it
        summary = batch.run_batch(folding)
        assert summary.failed == 1
        found = rows(folding.output)
        (reason,) = [str(row["reason"]) for row in found.values() if row["status"] == "failed"]
        assert "same name there as that of another source, sub/" in reason
        assert "did not make" not in reason
        assert sum(name.lower() == "sub/b.png" for name in tree(folding.output)) == 1


def test_a_file_of_the_users_is_still_said_to_be_one(folding: LocalJob) -> None:
    (folding.output / "sub").mkdir(parents=True)
    (folding.output / "sub" / "b.png").write_bytes(b"mine")
    assert batch.run_batch(folding).failed == 2
    reasons = [str(row["reason"]) for row in rows(folding.output).values() if row["status"] == "failed"]
    assert all("did not make" in reason for reason in reasons)
    assert (folding.output / "sub" / "b.png").read_bytes() == b"mine"
