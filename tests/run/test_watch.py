"""A watched folder: what arrives is coloured, and its manifest is that of a plain run."""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batches import make_tree, rows, tree
from helpers import LocalJob

from colorbatch.errors import InferenceStoppedError, OutputInUseError, StoreUnavailableError, UsageError
from colorbatch.job import BatchSummary
from colorbatch.operations.audit import audit_batch
from colorbatch.records.manifest import MANIFEST_NAME, Manifest
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.run import arrivals, batch
from colorbatch.run.watch import WatchedFolder, Watching, watch_batch
from colorbatch.shard import Shard
from colorbatch.store import open_store
from colorbatch.store.local import LocalStore
from colorbatch.store.store import Entry, Store

LONGEST = 20.0
OF_A_MOMENT = ("seconds", "finished_at", "input_modified")


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    make_tree(tmp_path / "in", "a.jpg", "sub/b.png")
    for name in ("a.jpg", "sub/b.png"):
        os.utime(tmp_path / "in" / name, (1e9, 1e9))  # they have been there for long
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu")


class Watch:
    """A watch in another thread."""

    def __init__(self, job: LocalJob, watching: Watching) -> None:
        self.job = job
        self.stop = threading.Event()
        self.rounds: list[BatchSummary] = []
        self.looks = 0
        self.summary: BatchSummary | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(watching,))
        self._thread.start()

    def _run(self, watching: Watching) -> None:
        try:
            self.summary = watch_batch(self.job, watching, stop=self.stop, after_look=self._after_look)
        except BaseException as error:  # noqa: BLE001 (the test looks at it)
            self.error = error

    def _after_look(self, summary: BatchSummary | None) -> None:
        self.looks += 1
        if summary is not None:
            self.rounds.append(summary)

    def until(self, is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + LONGEST
        while not is_so():
            assert time.monotonic() < end
            assert self.error is None, self.error
            time.sleep(0.02)

    def status(self, name: str) -> object:
        return rows(self.job.output).get(name, {}).get("status")

    def look_twice(self) -> None:
        looks = self.looks
        self.until(lambda: self.looks >= looks + 2)

    def end(self) -> None:
        self.stop.set()
        self._thread.join(LONGEST)
        assert not self._thread.is_alive()


@contextmanager
def watched(job: LocalJob, settle: float = 0.1, poll: float | None = 0.05) -> Iterator[Watch]:
    watch = Watch(job, Watching(settle, poll))
    try:
        watch.until(lambda: bool(watch.rounds))
        yield watch
    finally:
        watch.end()
    assert watch.error is None


def is_as_a_plain_run_would_make_it(job: LocalJob) -> None:
    """Assert that a plain run changes nothing, and that another output folder would get the same."""
    before = tree(job.output), rows(job.output)
    summary = batch.run_batch(job)
    assert (summary.coloured, summary.stopped) == (0, False)
    assert (tree(job.output), _lasting(rows(job.output))) == (before[0], _lasting(before[1]))
    said = job.output / RETOUCH_NAME
    fresh = replace(job, output=job.output.with_name("fresh"), retouch=said if said.exists() else None)
    batch.run_batch(fresh)
    own = {name: row for name, row in rows(job.output).items() if (job.source / name).exists()}
    assert _lasting(own) == _lasting(rows(fresh.output))
    assert tree(job.output).items() >= tree(fresh.output).items()


def _lasting(found: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    return {name: {key: row[key] for key in row if key not in OF_A_MOMENT} for name, row in found.items()}


@pytest.mark.parametrize("poll", [None, 0.05])
def test_what_arrives_is_coloured_and_the_manifest_is_whole_after_each_round(job: LocalJob, poll: float | None) -> None:
    with watched(job, poll=poll) as watch:
        watch.until(lambda: watch.status("sub/b.png") == "done")
        make_tree(job.source, "new/c.jpg")
        (job.source / "note.txt").write_text("x")
        watch.until(lambda: watch.status("new/c.jpg") == "done" and watch.status("note.txt") == "skipped")
        if poll is not None:
            watch.look_twice()
        with pytest.raises(OutputInUseError, match=", a watch, which goes on until it is stopped, since "):
            Manifest(open_store(job.output))
        assert ["in use by process" in each.problem for each in audit_batch(job.output).findings] == [True]
        assert sum(each.coloured for each in watch.rounds) == 3
    assert watch.summary is not None
    assert (watch.summary.done, watch.summary.kept, watch.summary.skipped, watch.summary.failed) == (3, 0, 1, 0)
    assert not (job.output / ".colorbatch").exists()
    assert audit_batch(job.output, job.source).is_sound
    is_as_a_plain_run_would_make_it(job)


def test_outputs_of_earlier_runs_are_kept_and_read_once(job: LocalJob) -> None:
    batch.run_batch(job)
    with watched(job) as watch:
        watch.look_twice()
        assert [(each.kept, each.coloured) for each in watch.rounds] == [(2, 0)]
    assert watch.summary is not None
    assert (watch.summary.kept, watch.summary.coloured, watch.summary.megapixels) == (2, 0, 0.0)


def test_a_half_written_picture_is_not_coloured_until_it_is_whole(job: LocalJob, tmp_path: Path) -> None:
    """A copy that stalls for longer than the time to settle fails, and is made when it goes on."""
    make_tree(tmp_path / "other", "c.jpg", "c.png")
    contents = {name: (tmp_path / "other" / name).read_bytes() for name in ("c.jpg", "c.png")}
    with watched(job, settle=0.3) as watch:
        for name, content in contents.items():
            with (job.source / name).open("wb", buffering=0) as file:
                for byte in range(0, len(content) // 2, 50):
                    file.write(content[byte : byte + 50])
                    time.sleep(0.02)
                    assert watch.status(name) in (None, "skipped"), "it was read too early"
        watch.until(lambda: all(watch.status(name) == "failed" for name in contents))
        watch.look_twice()
        assert sum(each.failed for each in watch.rounds) == 2  # once each, though there were more looks
        for name, content in contents.items():
            (job.source / name).write_bytes(content)
        watch.until(lambda: all(watch.status(name) == "done" for name in contents))
    is_as_a_plain_run_would_make_it(job)


def test_renamed_deleted_and_replaced_files_are_as_for_a_plain_run(job: LocalJob, tmp_path: Path) -> None:
    make_tree(tmp_path / "other", "v.png", "w.png")
    make_tree(job.source, "gone.png", "broken.png")
    (job.source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with watched(job) as watch:
        watch.until(lambda: watch.status("gone.png") == "done" and watch.status("broken.png") == "failed")
        (job.source / "gone.png").unlink()
        (job.source / "broken.png").unlink()
        (job.source / "a.jpg").rename(job.source / "sub" / "a2.jpg")
        shutil.copy(tmp_path / "other" / "w.png", job.source / "sub" / "b.png")
        watch.until(
            lambda: (
                watch.status("sub/a2.jpg") == "done"
                and "broken.png" not in rows(job.output)
                and rows(job.output)["sub/b.png"]["height"] == 21
            )
        )
    assert watch.status("gone.png") == "done"  # its output is there
    is_as_a_plain_run_would_make_it(job)


@pytest.mark.parametrize("how", ["emptied", "a link to no file", "deleted while the folder is listed"])
def test_a_picture_that_cannot_be_read_for_a_moment_and_is_then_gone_leaves_its_output_on_record(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    picture = job.source / "a.jpg"
    walk = LocalStore.walk

    def walk_and_delete(self: LocalStore, avoid: Store) -> Iterator[Entry]:
        entries = list(walk(self, avoid))
        if self.path == job.source:
            picture.unlink(missing_ok=True)
        yield from entries

    with watched(job, settle=60) as watch:
        if how == "emptied":
            picture.write_bytes(b"")
        elif how == "a link to no file":
            picture.unlink()
            picture.symlink_to("nothing.jpg")
        else:
            monkeypatch.setattr(LocalStore, "walk", walk_and_delete)
        (job.source / "sub" / "b.png").unlink()  # the manifest is written again when a file goes
        watch.look_twice()
        assert rows(job.output)["a.jpg"]["output"] == "a.jpg"
        picture.unlink(missing_ok=True)
        watch.look_twice()
    assert rows(job.output)["a.jpg"]["output"] == "a.jpg"
    assert audit_batch(job.output).findings == []


def test_a_file_that_takes_the_name_of_an_output_gives_that_output_another(job: LocalJob, tmp_path: Path) -> None:
    make_tree(tmp_path / "other", "n.gif", "n.png")
    shutil.copy(tmp_path / "other" / "n.gif", job.source / "n.gif")
    with watched(job) as watch:
        watch.until(lambda: watch.status("n.gif") == "done")
        shutil.copy(tmp_path / "other" / "n.png", job.source / "n.gif.png")
        watch.until(lambda: watch.status("n.gif.png") == "done")
        watch.until(lambda: rows(job.output)["n.gif"]["output"] == "n.gif.png.png")
    is_as_a_plain_run_would_make_it(job)


def test_a_changed_sidecar_and_a_changed_retouch_record_make_their_pictures_again(
    job: LocalJob, caplog: pytest.LogCaptureFixture
) -> None:
    caption = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:a="http://a.example/" a:b="c"/></rdf:RDF></x:xmpmeta>'
    )
    with watched(job) as watch:
        watch.until(lambda: watch.status("a.jpg") == "done")
        (job.source / "a.xmp").write_text(caption)
        watch.until(lambda: rows(job.output)["a.jpg"]["sidecars"] == ["a.xmp"])
        line = {"schema": 1, "input": "sub/b.png", "strength": 0.5}
        (job.output / RETOUCH_NAME).write_text(json.dumps(line) + "\n")
        watch.until(lambda: rows(job.output)["sub/b.png"]["retouch_sha256"] is not None)
        (job.output / RETOUCH_NAME).write_text("{\n")
        watch.until(lambda: "what was said before stays" in caplog.text)
        watch.look_twice()
        assert sum(each.coloured for each in watch.rounds) == 4
        (job.output / RETOUCH_NAME).write_text(json.dumps(line) + "\n")
    is_as_a_plain_run_would_make_it(job)


def test_a_killed_watch_is_taken_up_by_the_next(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal has the rows since the last manifest."""

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Manifest, "checkpoint", stopped)
        with pytest.raises(KeyboardInterrupt):
            watch_batch(job, Watching(0.1, 0.05), stop=threading.Event())
    assert not (job.output / MANIFEST_NAME).exists()
    with watched(job) as watch:
        assert watch.rounds[0].kept == 2
    is_as_a_plain_run_would_make_it(job)


def test_a_warning_about_the_plan_is_given_once(job: LocalJob, caplog: pytest.LogCaptureFixture) -> None:
    with watched(replace(job, exclude=("*.none",))) as watch:
        watch.look_twice()
        watch.look_twice()
    said = [each for each in caplog.records if "no file matches" in each.getMessage()]
    assert len(said) == 1


def test_a_folder_that_goes_away_ends_the_watch(job: LocalJob) -> None:
    watch = Watch(job, Watching(0.1, 0.05))
    watch.until(lambda: bool(watch.rounds))
    job.source.rename(job.source.with_name("elsewhere"))
    watch._thread.join(LONGEST)  # noqa: SLF001
    assert isinstance(watch.error, StoreUnavailableError)
    assert {row["status"] for row in rows(job.output).values()} == {"done"}


@pytest.mark.parametrize(
    "changes",
    [
        {"shard": Shard(1, 2)},
        {"only": frozenset({"a.jpg"})},
        {"salvage": True},
        {"engine": "ray"},
        {"files": frozenset({"a.jpg"})},
        {"source": "memory://in"},
        {"output": "memory://out"},
    ],
)
def test_what_does_not_go_with_watching_is_refused(job: LocalJob, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--watch cannot be used with"):
        watch_batch(replace(job, **changes), Watching())
    assert not job.output.exists()


def test_only_a_folder_is_watched(job: LocalJob) -> None:
    for source in (job.source / "a.jpg", job.source / "none"):
        with pytest.raises(UsageError, match="is not a folder"):
            watch_batch(replace(job, source=source), Watching())


class TestWatchedFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> WatchedFolder:
        (tmp_path / "in").mkdir()
        return WatchedFolder(tmp_path / "in", LocalStore(tmp_path / "out"), settle=5.0)

    def test_at_first_the_time_of_a_file_says_whether_it_is_settled(self, folder: WatchedFolder) -> None:
        for name, age in (("old", 60.0), ("new", 1.0), ("future", -60.0)):
            (folder.path / name).write_text(name)
            os.utime(folder.path / name, (time.time() - age,) * 2)
        folder.look()
        assert folder.settled_in("old") == 0.0
        assert 3.0 < folder.settled_in("new") < 4.1
        assert 4.0 < folder.settled_in("future") <= 5.0

    def test_later_every_file_waits_since_a_moved_one_has_an_old_time(self, folder: WatchedFolder) -> None:
        folder.look()
        (folder.path / "a").write_text("a")
        os.utime(folder.path / "a", (0, 0))
        folder.look()
        assert 4.0 < folder.settled_in("a") <= 5.0

    @pytest.mark.parametrize(
        "change",
        [
            lambda path: path.write_bytes(b"other bytes"),
            lambda path: path.unlink(),
            lambda path: os.utime(path, (1, 1)),
            lambda path: shutil.copy2(path, path.with_name("x")) and path.with_name("x").replace(path),
        ],
    )
    def test_a_file_that_has_changed_since_the_look_is_not_read(
        self, folder: WatchedFolder, change: Callable[[Path], object]
    ) -> None:
        (folder.path / "a").write_bytes(b"abc")
        folder.look()
        assert folder.read("a") == b"abc"
        change(folder.path / "a")
        with pytest.raises(InferenceStoppedError):
            folder.read("a")


class TestArrivals:
    def test_an_event_ends_the_wait(self, tmp_path: Path) -> None:
        pytest.importorskip("watchfiles")
        waiting = arrivals.Arrivals(tmp_path, None, threading.Event())
        threading.Timer(0.1, (tmp_path / "a").write_text, ("a",)).start()
        began = time.monotonic()
        waiting.wait(0.0)
        assert time.monotonic() - began < 10
        waiting.close()

    @pytest.mark.parametrize("poll", [None, 30.0])
    def test_a_stop_ends_the_wait(self, tmp_path: Path, poll: float | None) -> None:
        stop = threading.Event()
        waiting = arrivals.Arrivals(tmp_path, poll, stop)
        threading.Timer(0.1, stop.set).start()
        began = time.monotonic()
        waiting.wait(0.0)
        assert time.monotonic() - began < 5
        waiting.close()

    def test_without_the_package_it_looks_at_intervals(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
        monkeypatch.setattr(arrivals, "SECONDS_BETWEEN_LOOKS", 0.1)
        caplog.set_level(logging.INFO)
        waiting = arrivals.Arrivals(tmp_path, None, threading.Event())
        assert "with the extra watch" in caplog.text
        began = time.monotonic()
        waiting.wait(0.0)
        assert 0.09 < time.monotonic() - began < 5

    def test_where_the_system_refuses_to_tell_it_looks_at_intervals(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        watchfiles = pytest.importorskip("watchfiles")

        def refused(*_: object, **__: object) -> Iterator[object]:
            raise OSError("OS file watch limit reached")
            yield

        monkeypatch.setattr(watchfiles, "watch", refused)
        waiting = arrivals.Arrivals(tmp_path, None, threading.Event())
        assert "watch limit reached" in caplog.text
        waiting.wait(0.0, most=0.01)
