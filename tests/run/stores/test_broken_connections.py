"""Runs over buckets whose connections are cut, that are stopped or killed, and what they leave alone."""

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

import pytest
from batches_in_stores import CUTS, NAMES, OF_SOURCES, here, picture, rows, there
from helpers import LocalJob, mostly_slow
from stores import ENVIRONMENT, S3, Cut, Where

from colorbatch.job import BatchJob, ColorOptions
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.merge import join_shards
from colorbatch.progress import SilentProgress
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.run import batch
from colorbatch.shard import Shard


@pytest.mark.parametrize(("request_line", "where", "share"), mostly_slow(CUTS, quick=3))
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


def test_requests_overlap_with_work(s3: S3, job: BatchJob) -> None:
    for number in range(12):
        s3.bucket.put(f"in/{number:02}.png", picture(number, ".png"))
    batch.run_batch(job)  # which looks into all sources
    s3.proxy.delay = 0.05
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
