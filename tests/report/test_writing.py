import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from helpers import CommandLine, LocalJob
from reports import HOSTILE, pictures_of

from colorbatch.errors import OutputInUseError, OutputUnwritableError, UsageError
from colorbatch.operations.audit import audit_batch
from colorbatch.progress import SilentProgress
from colorbatch.records.manifest import MANIFEST_NAME, Manifest
from colorbatch.records.row import Row
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.report import refuse_foreign_folder, write_report
from colorbatch.report.folder import held_folder
from colorbatch.report.overview import busy_seconds, overview_of
from colorbatch.run import batch
from colorbatch.run.plan import plan_batch
from colorbatch.store import open_store

FOLDER = "colorbatch-report"


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_report_changes_nothing_outside_of_its_folder(job: LocalJob) -> None:
    source, output = tree(job.source), tree(job.output)
    written = write_report(job.output, job.source)
    assert tree(job.source) == source
    after = tree(job.output)
    assert {name: data for name, data in after.items() if not name.startswith(f"{FOLDER}/")} == output
    assert (written.sources, written.shown) == (11, 9)
    parts = [data for name, data in after.items() if name.startswith(f"{FOLDER}/") and not name.endswith(".json")]
    assert written.bytes == sum(map(len, parts))


def test_audit_knows_the_files_of_a_report_and_finds_others_among_them(job: LocalJob) -> None:
    write_report(job.output, job.source)
    assert audit_batch(job.output, job.source).is_sound
    strangers = [f"{FOLDER}/notes.txt", f"{FOLDER}/previews/a.webp"]
    for name in strangers:
        (job.output / name).write_bytes(b"x")
    assert [each.path for each in audit_batch(job.output).findings] == strangers
    write_report(job.output)
    assert all((job.output / name).read_bytes() == b"x" for name in strangers)


def test_a_later_run_leaves_a_report_alone_and_takes_none_for_sources(job: LocalJob, tmp_path: Path) -> None:
    write_report(job.output)
    before = tree(job.output / FOLDER)
    assert batch.run_batch(job).kept == 9
    assert tree(job.output / FOLDER) == before
    planned = {each.input: each.reason for each in plan_batch(open_store(job.output), open_store(tmp_path / "again"))}
    assert planned[FOLDER] == "a report of colorbatch"
    assert not any(name.startswith(f"{FOLDER}/") for name in planned)


def test_a_folder_of_that_name_that_is_no_report_holds_sources_like_any_other(job: LocalJob, tmp_path: Path) -> None:
    (job.source / FOLDER).mkdir()
    (job.source / "a.png").rename(job.source / FOLDER / "index.png")
    again = replace(job, output=tmp_path / "again")
    batch.run_batch(again)
    assert (again.output / FOLDER / "index.png").exists()
    before = tree(again.output)
    with pytest.raises(UsageError, match="was not made by colorbatch report"):
        write_report(again.output)
    assert tree(again.output) == before


@pytest.mark.parametrize("kind", ["file", "folder", "link", "previews", "part of the previews"])
def test_what_a_report_did_not_make_is_never_overwritten(job: LocalJob, tmp_path: Path, kind: str) -> None:
    place = job.output / FOLDER
    other = tmp_path / "other"
    other.mkdir()
    match kind:
        case "file":
            place.write_text("mine")
        case "folder":
            place.mkdir()
            (place / "index.html").write_text("mine")
        case "link":
            place.symlink_to(other, target_is_directory=True)
        case "previews":
            write_report(job.output)
            (place / "previews").rename(tmp_path / "moved")
            (place / "previews").symlink_to(other, target_is_directory=True)
        case "part of the previews":
            write_report(job.output)
            part = next((place / "previews").iterdir())
            part.rename(tmp_path / "moved")
            part.symlink_to(other, target_is_directory=True)
    before = tree(tmp_path)
    with pytest.raises(UsageError):
        refuse_foreign_folder(job.output)
    with pytest.raises(UsageError):
        write_report(job.output)
    assert tree(tmp_path) == before


def test_an_empty_folder_and_one_of_a_killed_report_are_taken(job: LocalJob) -> None:
    (job.output / FOLDER).mkdir()
    write_report(job.output)
    marker = job.output / FOLDER / f"{FOLDER}.json"
    first = marker.read_bytes()
    (job.output / FOLDER / ".colorbatch-0123456789abcdef.tmp").write_bytes(b"half")
    write_report(job.output)
    assert marker.read_bytes() == first  # marks are kept under what it says
    assert not list((job.output / FOLDER).glob(".*"))
    marker.write_bytes(b"")
    write_report(job.output)
    assert len(marker.read_bytes()) == len(first)


def test_a_second_report_is_refused_while_the_first_is_written(job: LocalJob) -> None:
    with held_folder(job.output), pytest.raises(OutputInUseError, match="another report"):
        write_report(job.output)
    write_report(job.output)


def test_a_running_job_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (source / name).touch()
    with Manifest(open_store(output)) as running:
        running.append(Row("a.png", status="failed", reason="broken"))
        page = write_report(output, source).index.read_text()
        assert "A run is in progress in this folder" in page
        assert "2 sources have no row" in page
        running.append(Row("b.png", status="failed", reason="broken"))
        running.append(Row("c.png", status="failed", reason="broken"))
        running.finish()
    page = write_report(output, source).index.read_text()
    assert "run is in progress" not in page
    assert "no row" not in page


def test_a_run_that_takes_over_a_killed_one_leaves_a_report_in_writing_alone(tmp_path: Path) -> None:
    half = tmp_path / FOLDER / ".colorbatch-0123456789abcdef.tmp"
    half.parent.mkdir()
    half.touch()
    (tmp_path / half.name).touch()
    (tmp_path / ".colorbatch").mkdir()
    (tmp_path / ".colorbatch" / "journal.jsonl").touch()
    with Manifest(open_store(tmp_path)) as manifest:
        manifest.finish()
    assert half.exists()
    assert not (tmp_path / half.name).exists()


def test_bad_folders_are_refused(job: LocalJob, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no colorbatch-manifest"):
        write_report(tmp_path / "empty")
    with pytest.raises(UsageError, match="does not exist"):
        write_report(job.output, tmp_path / "none")
    with pytest.raises(UsageError, match="is inside the output"):
        write_report(job.output, job.output / "album 1")
    assert not (job.output / FOLDER).exists()


def test_a_full_disk_is_said(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputUnwritableError, match="No space left"):
        write_report(job.output)
    assert not (job.output / FOLDER / "index.html").exists()


def test_a_report_that_is_stopped_makes_no_further_previews(job: LocalJob) -> None:
    class Stopping(SilentProgress):
        def advance(self, steps: int = 1, *, weight: float | None = None, megapixels: float = 0.0) -> None:  # noqa: ARG002
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(job.output, jobs=1, progress=Stopping())
    assert len(list((job.output / FOLDER).rglob("*-after.webp"))) < 9
    assert not any(thread.name.startswith("preview") for thread in threading.enumerate())
    made = len(json.loads((job.output / FOLDER / "previews.json").read_bytes()))
    assert made > 0
    assert write_report(job.output, jobs=1).made < 9


def test_links_to_source_and_output_lead_there_from_the_page(job: LocalJob) -> None:
    index = write_report(job.output, job.source).index
    for picture in pictures_of(index).values():
        for key, folder in (("output_at", job.output), ("source_at", job.source)):
            if key in picture:
                path = Path(os.fsdecode(unquote_to_bytes(picture[key])))
                assert (index.parent / path).resolve().is_relative_to(folder)
                assert (index.parent / path).is_file()


def test_the_page_forbids_all_but_its_own_files_and_escapes_names(job: LocalJob) -> None:
    page = write_report(job.output).index.read_text()
    policy = page.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    directives = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert {each for value in directives.values() for each in value.split()} == {"'none'", "'self'"}
    assert HOSTILE not in page
    assert "http:" not in page.replace("http-equiv", "")
    assert "https:" not in page


def test_a_report_of_one_source_file(job: LocalJob, tmp_path: Path) -> None:
    single = replace(job, source=job.source / "a.png", output=tmp_path / "single")
    batch.run_batch(single)
    index = write_report(single.output, single.source).index
    assert pictures_of(index)["a.png"]["before"] == "source"
    assert pictures_of(index)["a.png"]["source_at"] == "../../in/a.png"


def rows_of_a_batch() -> Iterator[Row]:
    for number, (second, seconds) in enumerate(((10, 4.0), (11, 4.0), (50, 2.0), (60, None))):
        yield Row(
            f"{number}.jpg",
            f"{number}.jpg",
            "done",
            output_sha256="a",
            width=2000,
            height=1000,
            seconds=seconds,
            finished_at=f"2026-01-01T00:00:{second:02}+00:00" if second < 60 else "nonsense",
        )


def test_pictures_a_second_leave_out_breaks_and_count_what_was_done_at_the_same_time_once() -> None:
    # from 6 to 11, and from 48 to 50
    assert busy_seconds(rows_of_a_batch()) == pytest.approx(7)
    found = overview_of(
        [*rows_of_a_batch(), Row("x.jpg", status="failed"), Row("y", reason="odd"), Row("z", reason="odd")]
    )
    assert found.counts == {"done": 4, "failed": 1, "skipped": 2}
    assert found.megapixels == pytest.approx(8)
    assert found.pictures_per_second == pytest.approx(4 / 7)
    assert found.skipped == [("odd", 2)]
    assert overview_of([]).pictures_per_second == 0


def test_a_report_needs_no_model(job: LocalJob, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(job.model).unlink()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert command_line("report", "-q", job.output) == 0


@pytest.mark.parametrize("name", ["journal.jsonl", "journal-1-of-2.jsonl", "shard-1-of-2.jsonl"])
def test_a_page_of_what_is_not_finished_says_so(job: LocalJob, name: str) -> None:
    assert "or was interrupted" not in write_report(job.output).index.read_text()
    (job.output / STATE_FOLDER).mkdir()
    (job.output / STATE_FOLDER / name).touch()
    assert "or was interrupted" in write_report(job.output).index.read_text()


def test_a_manifest_of_odd_rows_makes_a_page(tmp_path: Path) -> None:
    row = Row("a.png", "a.png", "done", output_sha256="0" * 64, finished_at="9" * 400)
    (tmp_path / MANIFEST_NAME).write_bytes(row.to_json())
    pictures = pictures_of(write_report(tmp_path).index)
    assert pictures["a.png"]["notes"] == ["the output cannot be read: No such file or directory"]


def test_a_lock_that_a_killed_report_left_is_no_stranger(job: LocalJob) -> None:
    folder = job.output / FOLDER
    folder.mkdir()
    (folder / "colorbatch-report.json.lock").touch()
    assert audit_batch(job.output, job.source).is_sound
    write_report(job.output, job.source)
    assert not (folder / "colorbatch-report.json.lock").exists()
    assert audit_batch(job.output, job.source).is_sound
