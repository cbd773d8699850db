"""What a dry run says of a signature, and what others are told of who holds the folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batches import tree
from certificates import make_chain
from helpers import LocalJob

from colorbatch.errors import OutputInUseError, UsageError
from colorbatch.run.batch import run_batch
from colorbatch.run.forecast import forecast
from colorbatch.run.watch import Watching, watch_batch


@pytest.mark.parametrize("signs", [run_batch, forecast])
def test_a_dry_run_refuses_what_the_run_would_refuse(job: LocalJob, tmp_path: Path, signs: Any) -> None:  # noqa: ANN401
    expired = make_chain(tmp_path / "certificates", days=-1).options
    with pytest.raises(UsageError, match=r"a certificate in .* is valid from"):
        signs(replace(job, signing=expired))
    assert not job.output.exists()


def test_a_dry_run_asks_nobody_for_a_time_stamp(job: LocalJob, tmp_path: Path) -> None:
    options = replace(make_chain(tmp_path / "certificates").options, tsa="http://127.0.0.1:9/")
    assert forecast(replace(job, signing=options)).counts["colour"] == 5
    assert not job.output.exists()


def test_who_finds_a_folder_that_is_watched_is_told_not_to_wait(job: LocalJob) -> None:
    told = []

    def after_look(_: object) -> None:
        with pytest.raises(OutputInUseError) as error:
            run_batch(job)
        told.append(str(error.value))
        raise InterruptedError

    with pytest.raises(InterruptedError):
        watch_batch(job, Watching(0.0, 0.02), after_look=after_look)
    assert "a watch, which goes on until it is stopped" in told[0]
    assert len(tree(job.output)) == 5
