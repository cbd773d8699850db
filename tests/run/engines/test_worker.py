"""A worker of a cluster, without the cluster."""

from pathlib import Path

import pytest
from helpers import LocalJob, outputs_below
from PIL import Image

from colorbatch.inference.model_file import read_model_file
from colorbatch.records.state_folder import STATE_FOLDER, announcements
from colorbatch.run.engines.worker import Finished, Stopped, Task, Worker
from colorbatch.run.plan import plan_batch
from colorbatch.store import open_store
from colorbatch.version import __version__


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    for number in range(3):
        path = tmp_path / "in" / "box" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize((20 + number, 30)).save(path)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0no")
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu", engine="ray")


def test_a_worker_whose_notes_were_taken_away_writes_no_more(job: LocalJob) -> None:
    output = open_store(job.output)
    (job.output / STATE_FOLDER).mkdir(parents=True)
    mark, notes = (announcements(output, "0" * 16, number) for number in (0, 1))
    assert mark is not None
    assert notes is not None
    mark.create()
    found = Worker(job, read_model_file(job.model), 1)
    found.begin(__version__, "0" * 16)
    first, second = [each for each in plan_batch(open_store(job.source), output) if each.input.endswith("png")][:2]
    assert isinstance(found.make(Task(first, None, {})), Finished)
    notes.delete()
    assert found.make(Task(second, None, {})) == Stopped()
    assert list(outputs_below(job.output / "box")) == [Path(first.input).name]
