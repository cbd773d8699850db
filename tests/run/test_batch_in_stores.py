"""Whole runs with sources and outputs in a store."""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import LocalJob
from PIL import Image
from stores import ENVIRONMENT, S3, Cut, Where
from upath import UPath

from colorbatch.errors import StoreUnavailableError, UsageError
from colorbatch.job import BatchJob, ColorOptions
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.merge import join_shards
from colorbatch.progress import SilentProgress
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.run import batch
from colorbatch.run.forecast import forecast
from colorbatch.shard import Shard

NAMES = ("a.jpg", "sub/b.png", "sub/deeper/c.tif", "d.gif", "sub/e.png")
OF_SOURCES = r"^GET /archive/in/"
OF_OUTPUTS = r"^GET /archive/out/.*\.(jpg|png|tif)"


def picture(number: int, ending: str, size: int = 20) -> bytes:
    random = np.random.default_rng(number)
    file = io.BytesIO()
    kind = Image.registered_extensions()[ending]
    Image.fromarray(random.integers(20, 230, (size + number, 30), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


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


def here(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST_NAME
    }


def there(s3: S3) -> dict[str, bytes]:
    """Return the outputs in the bucket, of which no upload is left half done."""
    assert s3.bucket.uploads() == []
    return {name: data for name, data in s3.bucket.files("out/").items() if name != MANIFEST_NAME}


def rows(s3: S3) -> dict[str, dict[str, Any]]:
    found = [json.loads(line) for line in s3.bucket.files("out/")[MANIFEST_NAME].splitlines()]
    assert len({row["input"] for row in found}) == len(found)
    return {row["input"]: row for row in found}


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


HOSTILE = (
    "../outside.png",
    "sub/../../outside.png",
    "/rooted.png",
    "sub//empty.png",
    "sub/./dot.png",
    "a?versionId=1.png",
    "sub\\..\\outside.png",
    "control\x01\x1b[31m.png",
    "C:\\outside.png",
)


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


CUTS: list[tuple[str, Where, float]] = [
    (r"^GET /archive/in/sub/b\.png", "answer headers", 0.5),
    (r"^GET /archive/in/sub/b\.png", "answer body", 0.01),
    (r"^GET /archive/in/sub/b\.png", "answer body", 0.5),
    (r"^GET /archive/in/sub/b\.png", "answer body", 1.0),
    (r"^PUT /archive/out/sub/b\.png", "request headers", 0.5),
    (r"^PUT /archive/out/sub/b\.png", "request body", 0.01),
    (r"^PUT /archive/out/sub/b\.png", "request body", 0.5),
    (r"^PUT /archive/out/sub/b\.png", "request body", 1.0),
    (r"^PUT /archive/out/sub/b\.png", "answer headers", 0.5),
]


@pytest.mark.parametrize(("request_line", "where", "share"), CUTS)
def test_a_connection_that_is_cut_fails_one_picture_which_a_second_run_mends(
    s3: S3, job: BatchJob, local: LocalJob, request_line: str, where: Where, share: float
) -> None:
    whole = here(local.output)
    s3.proxy.cuts.append(Cut(request_line, where, share))
    summary = batch.run_batch(job)
    assert s3.proxy.done > 0
    row = rows(s3)["sub/b.png"]
    if summary.failed:
        assert (summary.done, summary.failed) == (len(NAMES) - 1, 1)
        assert re.search("connection|took too long", row["reason"])
        left = there(s3)
        assert left in (whole, {name: data for name, data in whole.items() if name != "sub/b.png"})
    else:  # it had arrived, only the answer had not
        assert where.startswith("answer")
        assert there(s3) == whole
    s3.proxy.cuts.clear()
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (len(NAMES), 0)
    assert there(s3) == whole


def test_a_connection_that_is_cut_once_is_not_noticed(s3: S3, job: BatchJob, local: LocalJob) -> None:
    for number, (request, where, share) in enumerate(CUTS):
        other = request.replace(r"sub/b\.png", re.escape(NAMES[number % len(NAMES)]))
        s3.proxy.cuts.append(Cut(other, where, share, times=1))
    assert batch.run_batch(job).failed == 0
    assert s3.proxy.done == len(CUTS)
    assert there(s3) == here(local.output)


def test_an_output_of_a_run_whose_rows_were_lost_is_known_again(s3: S3, job: BatchJob, local: LocalJob) -> None:
    batch.run_batch(job)
    s3.bucket.delete(f"out/{MANIFEST_NAME}")
    assert batch.run_batch(job).done == len(NAMES)  # by its bytes
    assert there(s3) == here(local.output)
    s3.bucket.delete(f"out/{MANIFEST_NAME}")
    stronger = replace(job, options=ColorOptions(strength=0.5))
    assert batch.run_batch(stronger).done == len(NAMES)  # by its mark
    assert there(s3) != here(local.output)


def test_the_mark_of_another_source_is_no_leave_to_overwrite(s3: S3, job: BatchJob) -> None:
    batch.run_batch(job)
    s3.bucket.put("out/sub/b.png", there(s3)["sub/e.png"])
    s3.bucket.delete(f"out/{MANIFEST_NAME}")
    before = there(s3)
    assert batch.run_batch(job).failed == 1
    assert there(s3) == before


def test_a_stopped_run_goes_on_to_the_same_tree(s3: S3, job: BatchJob) -> None:
    for number in range(20):
        s3.bucket.put(f"in/{number:02}.png", picture(number, ".png"))
    stop = threading.Event()

    class Stopper(SilentProgress):
        def advance(self, *_: object, **__: object) -> None:
            stop.set()

    summary = batch.run_batch(replace(job, jobs=1), Stopper(), stop)
    assert summary.stopped
    assert summary.done + summary.not_reached == 25
    assert len(rows(s3)) == 25
    assert {name for name, row in rows(s3).items() if row["status"] == "done" and name != "d.gif"} == set(there(s3)) - {
        "d.gif.png"
    }
    rest = batch.run_batch(job)
    assert (rest.done, rest.kept) == (25, summary.done)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_run_goes_on_to_the_same_tree(s3: S3, job: BatchJob, tmp_path: Path) -> None:
    for number in range(20):
        s3.bucket.put(f"in/{number:02}.png", picture(number, ".png"))
    program = """
import sys
from upath import UPath
from colorbatch import BatchJob, run_batch
from colorbatch.store import remote_journal
remote_journal.SECONDS_BETWEEN_BEATS = 0.1
run_batch(BatchJob(UPath(sys.argv[1]), UPath(sys.argv[2]), sys.argv[3], "cpu", jobs=1))
"""
    s3.proxy.stalled = r"^PUT /archive/out/1"
    environment = os.environ | ENVIRONMENT | {"AWS_ENDPOINT_URL": s3.proxy.url}
    command = [sys.executable, "-c", program, str(job.source), str(job.output), job.model]
    with subprocess.Popen(command, env=environment) as process:
        deadline = time.monotonic() + 60
        while not s3.bucket.files("out/.colorbatch/journal.jsonl/0") and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    s3.proxy.stalled = ""
    left = s3.bucket.files("out/")
    assert MANIFEST_NAME not in left
    assert ".colorbatch/journal.jsonl/lease" in left
    for key in ("out/19.png", "out/.colorbatch/journal.jsonl/00000000-0123456789abcdef.jsonl", f"out/{MANIFEST_NAME}"):
        s3.bucket.begin_upload(key)
    summary = batch.run_batch(job)
    assert (summary.done, summary.failed) == (25, 0)
    assert summary.kept > 0
    whole = replace(job, output=tmp_path / "whole")
    batch.run_batch(whole)
    assert there(s3) == here(tmp_path / "whole")
    assert audit_batch(job.output, job.source).is_sound


def test_uploads_of_other_programs_go_on(s3: S3, job: BatchJob) -> None:
    """Ours are those to the names of outputs, of sources that are copied, and of what colorbatch keeps beside them."""
    batch.run_batch(replace(job, shard=Shard(1, 2)))
    written = json.loads(s3.bucket.files("out/.colorbatch/shard-1-of-2.jsonl")[""].splitlines()[0])["output"]
    for name in (written, "backup.tar", "sub/catalogue.pdf"):
        s3.bucket.begin_upload(f"out/{name}")
    join_shards(job.output)
    assert sorted(s3.bucket.uploads()) == ["out/backup.tar", "out/sub/catalogue.pdf"]
    for name in NAMES:
        s3.bucket.begin_upload(f"out/{name}")
    batch.run_batch(job)
    assert sorted(s3.bucket.uploads()) == ["out/backup.tar", "out/sub/catalogue.pdf"]


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


def test_requests_overlap_with_work(s3: S3, job: BatchJob) -> None:
    for number in range(12):
        s3.bucket.put(f"in/{number:02}.png", picture(number, ".png"))
    s3.proxy.delay = 0.05
    batch.run_batch(job)  # which looks into all sources
    s3.proxy.watched, s3.proxy.most_at_once = OF_SOURCES, 0
    assert batch.run_batch(replace(job, jobs=1, options=ColorOptions(strength=0.5))).coloured == 17
    assert 5 <= s3.proxy.most_at_once <= 9


@pytest.mark.slow
def test_what_is_read_ahead_is_bounded(s3: S3, job: BatchJob) -> None:
    for number in range(4):
        s3.bucket.put(f"in/{number:02}.png", picture(number, ".png", size=1000))
    size = len(s3.bucket.files("in/")["03.png"])
    batch.run_batch(job)
    s3.proxy.watched, s3.proxy.delay = r"^GET /archive/in/\d", 0.05
    for room, most in ((1, 1), (2, 2)):
        s3.proxy.most_at_once = 0
        small = replace(job, memory_limit=4 * (room * size + 999), options=ColorOptions(strength=room / 2))
        assert batch.run_batch(small).coloured == 9  # one that needs more goes alone
        assert s3.proxy.most_at_once == most
