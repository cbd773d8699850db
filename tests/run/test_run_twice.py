"""A second run with the same options keeps everything, whatever the options are, and so does a third."""

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batches import make_tree, rows, tree
from certificates import Chain, make_chain
from helpers import LocalJob, mostly_slow, vivid_model
from PIL import Image

from colorbatch.operations.audit import audit_batch
from colorbatch.operations.merge import join_shards
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.run.batch import run_batch
from colorbatch.run.forecast import forecast
from colorbatch.shard import Shard

CAPTION = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:a="http://a.example/" a:b="c"/></rdf:RDF></x:xmpmeta>'
)
CHOICES: dict[str, Sequence[dict[str, Any]]] = {
    "sidecars": [{"sidecars": "merge"}, {"sidecars": "copy"}, {"sidecars": "ignore"}],
    "signed": [{}, {"signing": True}],
    "times": [{}, {"trust_times": True}, {"preserve_times": True}, {"trust_times": True, "preserve_times": True}],
    "colour": [{}, {"already_color": "copy"}, {"already_color": "recolor"}],
    "retouched": [{}, {"retouched": True}],
    "shards": [{}, {"shards": 2}],
}
ALL = [
    dict(itertools.chain.from_iterable(each.items() for each in chosen))
    for chosen in itertools.product(*CHOICES.values())
]
PAIRS = [(one, ALL[(7 * number + 5) % len(ALL)]) for number, one in enumerate(ALL[::6])]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_chain(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def folder(tmp_path: Path, model_path: Path) -> LocalJob:
    """Return a job over pictures of many kinds, with sidecars."""
    source = tmp_path / "in"
    make_tree(source, "a.jpg", "b.png", "c.tif", "sub/d.gif")
    red = np.zeros((64, 64, 3), np.uint8)
    red[:32, :, 0], red[32:, :, 1], red[:, 32:, 2] = 200, 102, 90
    for name in ("colour.png", "colour.bmp"):
        Image.fromarray(red).save(source / name)
    page = Image.linear_gradient("L")
    page.save(source / "pages.tif", save_all=True, append_images=[page])
    (source / "broken.jpg").write_bytes(b"\xff\xd8")
    (source / "note.txt").write_text("no picture")
    for name in ("a.jpg.xmp", "b.xmp", "colour.bmp.xmp", "sub/d.gif.xmp", "nobody.xmp"):
        (source / name).write_bytes(CAPTION)
    (source / "c.xmp").write_bytes(b"<x")
    for path in source.rglob("*"):
        os.utime(path, (1e9, 1e9))
    return LocalJob(source, tmp_path / "out", str(model_path), "cpu")


def job_with(folder: LocalJob, chosen: dict[str, Any], chain: Chain) -> tuple[LocalJob, int]:
    options = dict(chosen)
    if options.pop("retouched", False):
        folder.output.mkdir(exist_ok=True)
        model = folder.output.with_name("vivid.onnx")
        model.write_bytes(vivid_model().SerializeToString())
        lines = [
            {"schema": 1, "input": "b.png", "model": str(model)},
            {"schema": 1, "input": "sub/d.gif", "leave_grey": True},
            {"schema": 1, "input": "a.jpg", "strength": 0.5},
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder.output / RETOUCH_NAME).write_text(text)
    if options.pop("signing", False):
        options["signing"] = chain.options
    shards = options.pop("shards", 0)
    return replace(folder, **options), shards


def run(job: LocalJob, shards: int) -> tuple[int, int, int]:
    """Run, and return how many are done, kept and failed."""
    parts = [Shard(index, shards) for index in range(1, shards + 1)] if shards else [None]
    found = [run_batch(replace(job, shard=part)) for part in parts]
    if shards:
        join_shards(job.output)
    done, kept, failed = (sum(getattr(each, name) for each in found) for name in ("done", "kept", "failed"))
    return done, kept, failed


def told(job: LocalJob) -> dict[str, list[object]]:
    names = ("status", "warnings", "c2pa", "sidecars", "sidecar_output", "output_sha256", "output_bytes")
    return {name: [row[each] for each in names] for name, row in rows(job.output).items()}


def keeps_everything(job: LocalJob, shards: int, done: int) -> None:
    before = tree(job.output), told(job)
    for _ in range(2):
        assert forecast(job).counts["kept"] == done
        assert run(job, shards) == (done, done, 1)
        assert (tree(job.output), told(job)) == before
    problems = [each.problem for each in audit_batch(job.output, job.source).findings]
    assert [each for each in problems if "broken" not in each and "its source is skipped now" not in each] == []


@pytest.mark.parametrize("chosen", mostly_slow([(each,) for each in ALL]), ids=str)
def test_a_second_run_keeps_everything(folder: LocalJob, chain: Chain, chosen: dict[str, Any]) -> None:
    job, shards = job_with(folder, chosen, chain)
    done, kept, failed = run(job, shards)
    assert (kept, failed) == (0, 1)
    assert done >= 5
    keeps_everything(job, shards, done)


@pytest.mark.parametrize(("first", "then"), mostly_slow(PAIRS, 2), ids=str)
def test_so_does_one_after_a_run_with_other_options(
    folder: LocalJob, chain: Chain, first: dict[str, Any], then: dict[str, Any]
) -> None:
    run(*job_with(folder, first, chain))
    (folder.output / RETOUCH_NAME).unlink(missing_ok=True)
    job, shards = job_with(folder, then, chain)
    done, _, failed = run(job, shards)
    assert failed == 1
    keeps_everything(job, shards, done)
