"""Two sources never get one output, however they are named and whatever they hold."""

import random
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from batches import rows
from helpers import LocalJob
from PIL import Image

from colorbatch.operations.audit import audit_batch
from colorbatch.run import batch
from colorbatch.run.forecast import forecast
from colorbatch.run.plan import plan_batch
from colorbatch.shard import Shard
from colorbatch.store import open_store

NAMES = (
    *("a.gif", "A.GIF", "a.GIF", "a.gif.png", "a.gif.png.png", "a.gif.PNG", "a.png", "a.gif.jpg", "a.gif.xmp"),
    *("a.xmp", "a.gif.png.xmp", "a.gif.png.png.xmp", "a.gif.xmp.xmp", "A.GIF.XMP", "a.gif.xmp.png", "a.gif.xmp.gif"),
)
STARTS = (b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM", b"<x:xmpmeta/>")


def made(folder: Path, chance: random.Random) -> None:
    """Write some of the names, with contents that need not be what their names say."""
    folder.mkdir()
    for name in chance.sample(NAMES, chance.randint(2, 9)):
        (folder / name).write_bytes(chance.choice(STARTS) + bytes(32))


@pytest.mark.parametrize("seed", range(4))
def test_no_two_sources_may_write_one_file(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311 (the same names every time)
    for number in range(40):
        made(source := tmp_path / str(number), chance)
        arguments = open_store(source), open_store(tmp_path / "out")
        plan = plan_batch(*arguments, reads_sidecars=True)
        names = {each.input: set(each.possible_outputs) for each in plan}
        for one, other in combinations(names, 2):
            assert names[one].isdisjoint(names[other]), (one, other, sorted(names))
        shards = [plan_batch(*arguments, shard=Shard(index, 2), reads_sidecars=True) for index in (1, 2)]
        assert {each.input: each.output_name for shard in shards for each in shard} == {
            each.input: each.output_name for each in plan
        }


def test_a_copy_of_another_source_keeps_its_name(tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.linear_gradient("L").resize((40, 30)).save(tmp_path / "in/a.gif")
    colour = Image.merge("RGB", [Image.linear_gradient("L").rotate(90 * turn) for turn in range(3)])
    colour.save(tmp_path / "in/a.gif.png", "JPEG")
    for name in ("a.gif.xmp", "a.gif.png.xmp"):
        (tmp_path / "in" / name).write_bytes(b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>")
    job = LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu", already_color="copy", sidecars="copy")
    assert batch.run_batch(job).failed == 0
    found = {name: (row["output"], row["sidecar_output"]) for name, row in rows(job.output).items() if row["output"]}
    assert found == {
        "a.gif": ("a.gif.png.png", "a.gif.png.png.xmp"),
        "a.gif.png": ("a.gif.png", "a.gif.png.xmp"),
    }
    assert (job.output / "a.gif.png").read_bytes() == (job.source / "a.gif.png").read_bytes()
    assert audit_batch(job.output, job.source).is_sound
    assert batch.run_batch(job).kept == 2


@pytest.mark.parametrize("how", ["excluded", "not a picture any more"])
def test_what_is_not_coloured_now_does_not_lose_its_earlier_output_to_another(
    how: str, tmp_path: Path, model_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name, kind in (("a.gif", "GIF"), ("a.gif.png", "PNG")):
        Image.linear_gradient("L").resize((40, len(name) * 5)).save(tmp_path / "in" / name, kind)
    job = LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu")
    assert batch.run_batch(job).done == 2
    before = {path.name: path.read_bytes() for path in job.output.glob("*.png")}
    assert before.keys() == {"a.gif.png", "a.gif.png.png"}
    if how == "excluded":
        job = replace(job, exclude=("a.gif.png",))
    else:
        (job.source / "a.gif.png").write_bytes(b"no picture")
    found = batch.run_batch(job)
    assert (found.coloured, found.failed) == (0, 0 if how == "excluded" else 1)
    assert {path.name: path.read_bytes() for path in job.output.glob("*.png")} == before
    assert audit_batch(job.output).is_sound


@pytest.mark.parametrize("left_out", [{"only": frozenset({"a.gif.png"})}, {"exclude": ("a.gif",)}], ids=str)
def test_what_arrives_later_does_not_take_the_output_of_what_is_left_out(
    left_out: dict[str, Any], tmp_path: Path, model_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    Image.linear_gradient("L").resize((40, 30)).save(tmp_path / "in/a.gif")
    job = LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu")
    assert batch.run_batch(job).done == 1
    made = (job.output / "a.gif.png").read_bytes()
    Image.linear_gradient("L").resize((40, 60)).save(tmp_path / "in/a.gif.png")
    part = replace(job, **left_out)
    assert dict(forecast(part).counts) == {"skipped": 1, "failed": 1}
    ((name, reason),) = batch.run_batch(part).failures
    assert name == "a.gif.png"
    assert reason.startswith("its output has the name of an earlier one, of a.gif, which this run leaves out")
    assert (job.output / "a.gif.png").read_bytes() == made
    assert batch.run_batch(job).done == 2
    assert {name: row["output"] for name, row in rows(job.output).items()} == {
        "a.gif": "a.gif.png.png",
        "a.gif.png": "a.gif.png",
    }
    assert audit_batch(job.output, job.source).is_sound
