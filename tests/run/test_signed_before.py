"""An output that was signed once, and is made again and again without the key."""

from dataclasses import replace
from pathlib import Path

import pytest
from batches import rows
from certificates import make_chain
from helpers import LocalJob

from colorbatch.records.manifest import Manifest
from colorbatch.retouch.made_with import Choices
from colorbatch.retouch.session import RetouchSession
from colorbatch.run.batch import run_batch

GONE = "the earlier output was signed, and this one is not: sign it again"


@pytest.fixture
def signed_job(job: LocalJob, tmp_path: Path) -> LocalJob:
    signed = replace(job, signing=make_chain(tmp_path / "certificates").options)
    run_batch(signed)
    return signed


def test_each_run_says_that_the_signature_is_gone_until_it_is_there_again(job: LocalJob, signed_job: LocalJob) -> None:
    for strength in (0.5, 0.6):
        run_batch(replace(job, options=replace(job.options, strength=strength)))
        assert [row["warnings"] for row in rows(job.output).values()] == [[GONE]] * 5
    run_batch(replace(signed_job, options=replace(job.options, strength=0.6)))
    assert [row["warnings"] for row in rows(job.output).values()] == [[]] * 5


def test_so_does_the_retouch_page(job: LocalJob, signed_job: LocalJob) -> None:
    session = RetouchSession(job.source, job.output, Choices(model=str(job.model)))
    for strength in (0.5, 0.6):
        assert session.save([replace(session.line("a.jpg", 1), strength=strength)], 1).made
    session.close()
    found = rows(job.output)
    assert (found["a.jpg"]["warnings"], found["a.jpg"]["c2pa"]) == ([GONE], None)
    run_batch(signed_job)
    found = rows(job.output)
    assert [row["warnings"] for row in found.values()] == [[]] * 5
    assert all(row["c2pa"] for row in found.values())


def test_a_signature_whose_row_a_kill_prevented_is_completed_with_the_time_at_which_it_was_coloured(
    job: LocalJob, signed_job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    unsigned = replace(job, output=job.output.with_name("unsigned"), jobs=1)
    run_batch(unsigned)
    before = rows(unsigned.output)
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "append", killed)
        patch.setattr(Manifest, "finish", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            run_batch(replace(unsigned, signing=signed_job.signing))
    run_batch(unsigned)
    after = {name: row for name, row in rows(unsigned.output).items() if row["c2pa"]}
    assert after
    for name, row in after.items():
        assert row["colored_at"] == before[name]["finished_at"]
        assert str(row["finished_at"]) > str(row["colored_at"])
