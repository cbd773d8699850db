"""Whole runs with sources and outputs in a store."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from batches_in_stores import HOSTILE, NAMES, OF_OUTPUTS, OF_SOURCES, here, picture, rows, there
from helpers import LocalJob, hinted_model
from PIL import Image
from stores import S3
from upath import UPath

from colorbatch.errors import StoreUnavailableError, UsageError
from colorbatch.job import BatchJob, ColorOptions
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.merge import join_shards
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.run import batch
from colorbatch.run.forecast import forecast
from colorbatch.shard import Shard

TITLE_BESIDE = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Headline="Mill"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def test_a_run_from_bucket_to_bucket_makes_the_bytes_of_a_local_one(s3: S3, job: BatchJob, local: LocalJob) -> None:
    before = s3.bucket.files("in/")
    summary = batch.run_batch(job)
    assert (summary.done, summary.kept, summary.failed) == (len(NAMES), 0, 0)
    assert there(s3) == here(local.output)
    assert s3.bucket.files("in/") == before
    row = rows(s3)["sub/b.png"]
    data = there(s3)["sub/b.png"]
    assert row["input_etag"] == hashlib.md5(before["sub/b.png"], usedforsecurity=False).hexdigest()
    assert row["output_etag"] == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert row["output_sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("is_source", [True, False])
def test_one_side_may_be_a_folder(s3: S3, job: BatchJob, local: LocalJob, tmp_path: Path, *, is_source: bool) -> None:
    mixed = replace(job, source=local.source) if is_source else replace(job, output=tmp_path / "out2")
    for kept in (0, len(NAMES)):
        summary = batch.run_batch(mixed)
        assert (summary.done, summary.kept, summary.failed) == (len(NAMES), kept, 0)
    assert (there(s3) if is_source else here(tmp_path / "out2")) == here(local.output)
    assert audit_batch(mixed.output, mixed.source).is_sound


def test_memory_on_both_sides(local: LocalJob, sources: dict[str, bytes], tmp_path: Path) -> None:
    root = UPath(f"memory://{tmp_path.name}")
    for name, data in sources.items():
        (root / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "in" / name).write_bytes(data)
    job = BatchJob(root / "in", root / "out", local.model, "cpu")
    assert batch.run_batch(job).coloured == len(NAMES)
    outputs = {
        path.path.removeprefix(f"{root.path}/out/"): path.read_bytes()
        for path in (root / "out").rglob("*")
        if path.is_file() and path.name != MANIFEST_NAME
    }
    assert outputs == here(local.output)
    assert batch.run_batch(job).kept == len(NAMES)  # by size and hash: there are no ETags
    assert audit_batch(job.output, job.source).is_sound


def test_a_second_run_reads_no_picture(s3: S3, job: BatchJob) -> None:
    batch.run_batch(job)
    manifest = s3.bucket.files("out/")[MANIFEST_NAME]
    assert s3.proxy.count(OF_SOURCES) == 2 * len(NAMES)  # the first bytes, and all
    s3.proxy.requests.clear()
    summary = batch.run_batch(job)
    assert (summary.done, summary.kept) == (len(NAMES), len(NAMES))
    assert s3.proxy.count(OF_SOURCES) == 0
    assert s3.proxy.count(OF_OUTPUTS) == 0
    assert s3.proxy.count(r"^PUT .*\.(jpg|png|tif)") == 0
    assert s3.bucket.files("out/")[MANIFEST_NAME] == manifest


def test_only_what_changed_is_done_again(s3: S3, job: BatchJob) -> None:
    batch.run_batch(job)
    good = there(s3)
    s3.bucket.put("in/a.jpg", picture(9, ".jpg"))  # another source
    s3.bucket.put("in/new.png", picture(10, ".png"))
    s3.bucket.delete("out/sub/b.png")  # a lost output
    s3.bucket.put("out/sub/e.png", b"altered")
    s3.proxy.requests.clear()
    summary = batch.run_batch(job)
    assert (summary.done, summary.kept, summary.failed) == (6, 2, 0)
    now = there(s3)
    assert {name for name in good if now[name] == good[name]} == set(good) - {"a.jpg"}
    assert "altered" in rows(s3)["sub/e.png"]["warnings"][0]
    assert s3.proxy.count(r"^GET /archive/in/(d\.gif|sub/deeper/c\.tif)") == 0


def test_a_copied_source_is_coloured_under_its_own_name_for_that_and_copied_again(s3: S3, tmp_path: Path) -> None:
    model = tmp_path / "hinted.onnx"
    model.write_bytes(hinted_model().SerializeToString())
    ramp, buffer = Image.linear_gradient("L"), io.BytesIO()
    Image.merge("RGB", [ramp, ramp.rotate(90), ramp.rotate(180)]).save(buffer, "GIF")
    s3.bucket.put("in/scan.gif", buffer.getvalue())
    job = BatchJob(s3.at("in"), s3.at("out"), str(model), "cpu", already_color="copy")
    line = {"schema": 1, "input": "scan.gif", "hints": [{"x": 0.5, "y": 0.5, "color": "#00a000"}]}
    for said in (b"", json.dumps(line).encode(), b""):
        s3.bucket.put(f"out/{RETOUCH_NAME}", said)
        assert batch.run_batch(job).done == 1
        name = "scan.gif.png" if said else "scan.gif"
        assert set(there(s3)) - {RETOUCH_NAME} == {name}
        assert Image.open(io.BytesIO(there(s3)[name])).format == ("PNG" if said else "GIF")
    assert audit_batch(job.output, job.source).is_sound


def test_a_source_that_was_written_again_as_it_was_is_kept_by_its_hash(s3: S3, job: BatchJob) -> None:
    batch.run_batch(job)
    lines = s3.bucket.files("out/")[MANIFEST_NAME].splitlines()
    copied = [json.dumps(json.loads(line) | {"input_etag": "1", "output_etag": "2"}) for line in lines]
    s3.bucket.put(f"out/{MANIFEST_NAME}", "\n".join(copied).encode())  # as of another bucket
    assert batch.run_batch(job).kept == len(NAMES)
    s3.proxy.requests.clear()
    assert batch.run_batch(job).kept == len(NAMES)
    assert s3.proxy.count(OF_SOURCES) == 0


def test_other_settings_do_all_again(s3: S3, job: BatchJob) -> None:
    batch.run_batch(job)
    assert batch.run_batch(replace(job, options=ColorOptions(strength=0.5))).coloured == len(NAMES)
    assert audit_batch(job.output, job.source).is_sound
    assert s3.bucket.uploads() == []


def test_a_file_of_the_users_is_never_overwritten(s3: S3, job: BatchJob) -> None:
    s3.bucket.put("out/sub/b.png", b"mine")
    s3.bucket.put("out/a.jpg", s3.bucket.files("in/")["a.jpg"])
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (3, 2)
    assert there(s3)["sub/b.png"] == b"mine"
    assert "did not make" in rows(s3)["sub/b.png"]["reason"]


def test_hostile_keys_lead_nowhere(s3: S3, job: BatchJob, tmp_path: Path) -> None:
    for number, key in enumerate(HOSTILE):
        s3.bucket.put_as_it_is(f"in/{key}", picture(number, ".png"))
    s3.bucket.put_as_it_is("in/sub/..", b"no picture")
    s3.bucket.put("in/.hidden/a.png", b"x")
    s3.bucket.put("in/.hidden.png", b"x")
    outside = tmp_path / "deep" / "deeper"
    summary = batch.run_batch(replace(job, output=outside / "out"))
    assert (summary.done, summary.failed) == (len(NAMES) + 3, 6)
    written = {path for path in (tmp_path / "deep").rglob("*") if path.is_file()}
    assert all(path.is_relative_to(outside / "out") for path in written)
    found = [json.loads(line) for line in (outside / "out" / MANIFEST_NAME).read_bytes().splitlines()]
    assert len(found) == len(NAMES) + len(HOSTILE) + 3
    assert {row["reason"] for row in found if row["status"] == "failed"} == {
        "its key has an empty part, which no folder can have",
        "its key has '.' or '..' as a part",
        "its key looks like that of an object version",
    }
    assert batch.run_batch(job).failed == 6
    assert set(s3.bucket.files()) - {f"out/{name}" for name in there(s3)} - {f"out/{MANIFEST_NAME}"} == {
        key for key in s3.bucket.files() if key.startswith("in/")
    }
    assert audit_batch(job.output, job.source).is_sound


@pytest.mark.parametrize(
    ("source", "output"),
    [("in", "in"), ("in", "in/out"), ("in/sub", "in"), ("", "out"), ("in/a.jpg", "in"), ("in", "in/a.jpg")],
)
def test_source_and_output_that_overlap_are_refused(s3: S3, job: BatchJob, source: str, output: str) -> None:
    before = s3.bucket.files()
    with pytest.raises(UsageError):
        batch.run_batch(replace(job, source=s3.at(source), output=s3.at(output)))
    assert s3.bucket.files() == before


def test_a_source_that_is_one_object(s3: S3, job: BatchJob, local: LocalJob, tmp_path: Path) -> None:
    one = replace(job, source=s3.at("in/sub/b.png"))
    for _ in range(2):
        assert batch.run_batch(one).done == 1
    batch.run_batch(replace(local, source=local.source / "sub" / "b.png", output=tmp_path / "one"))
    assert there(s3) == here(tmp_path / "one")
    assert audit_batch(one.output, one.source).is_sound


def test_a_source_that_is_not_there(s3: S3, job: BatchJob) -> None:
    with pytest.raises(UsageError, match="does not exist or is empty"):
        batch.run_batch(replace(job, source=s3.at("im")))
    for changed in ({"source": UPath("s3://no-such-bucket/in")}, {"output": UPath("s3://no-such-bucket/out")}):
        with pytest.raises(StoreUnavailableError, match="bucket does not exist"):
            batch.run_batch(replace(job, **changed))  # type: ignore[arg-type]
    assert there(s3) == {}


def test_shards_are_merged(s3: S3, job: BatchJob, local: LocalJob) -> None:
    for index in (1, 2):
        batch.run_batch(replace(job, shard=Shard(index, 2)))
    assert not audit_batch(job.output).is_sound
    joined = join_shards(job.output)
    assert joined.is_whole
    assert joined.done == len(NAMES)
    assert there(s3) == here(local.output)
    assert audit_batch(job.output, job.source).is_sound
    s3.proxy.requests.clear()
    assert batch.run_batch(job).kept == len(NAMES)
    assert s3.proxy.count(OF_SOURCES) == 0


def test_audit_finds_what_is_wrong(s3: S3, job: BatchJob) -> None:
    batch.run_batch(job)
    found = audit_batch(job.output, job.source)
    assert found.is_sound
    assert found.luma_compared == len(NAMES)
    s3.bucket.put("out/stranger.txt", b"x")
    s3.bucket.put("out/sub/b.png", b"altered")
    s3.bucket.delete("out/a.jpg")
    s3.bucket.put("in/new.png", picture(1, ".png"))
    assert {finding.path for finding in audit_batch(job.output, job.source).findings} == {
        *("stranger.txt", "sub/b.png", "a.jpg", "new.png"),
    }


def test_a_forecast_writes_nothing(s3: S3, job: BatchJob) -> None:
    found = forecast(job)
    assert found.counts == {"colour": len(NAMES)}
    assert found.bytes_free is None
    assert s3.proxy.count("^(PUT|POST|DELETE)") == 0
    batch.run_batch(job)
    s3.bucket.put("in/a.jpg", picture(9, ".jpg"))
    s3.bucket.delete("out/sub/b.png")
    s3.bucket.put("out/sub/e.png", b"altered")
    s3.proxy.requests.clear()
    assert forecast(job).counts == {"kept": 2, "again": 3}
    assert s3.proxy.count("^(PUT|POST|DELETE)") == 0


def test_sidecars_are_read_once_and_from_the_listing_that_there_is(
    s3: S3, job: BatchJob, local: LocalJob, tmp_path: Path
) -> None:
    caption = TITLE_BESIDE.encode()
    for name in ("a.jpg.xmp", "sub/b.xmp"):
        s3.bucket.put(f"in/{name}", caption)
        (local.source / name).write_bytes(caption)
    again = replace(local, output=tmp_path / "again")
    batch.run_batch(again)
    batch.run_batch(job)
    listings = s3.proxy.count(r"^GET /archive/?\?.*list-type")
    assert there(s3) == here(again.output)
    assert rows(s3)["sub/b.png"]["sidecars"] == ["sub/b.xmp"]
    s3.proxy.requests.clear()
    assert batch.run_batch(job).kept == len(NAMES)
    assert s3.proxy.count(OF_SOURCES) == 0
    assert s3.proxy.count(r"^GET /archive/?\?.*list-type") <= listings
    s3.bucket.put("in/a.jpg.xmp", caption.replace(b"Mill", b"Tower"))
    assert batch.run_batch(job).kept == len(NAMES) - 1
    single = replace(job, source=job.source / "a.jpg", output=tmp_path / "single")
    batch.run_batch(single)
    assert (tmp_path / "single" / "a.jpg").read_bytes() == there(s3)["a.jpg"]
