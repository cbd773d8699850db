"""Write the report of an output folder: previews first, the page that shows them last."""

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from colorbatch.errors import UsageError
from colorbatch.machine import MemoryBudget, physical_memory, usable_cores
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.records.manifest import is_unfinished, is_unmerged, refuse_without_rows, rows_of
from colorbatch.records.row import Row
from colorbatch.report import page, previews
from colorbatch.report.folder import held_folder, remove_all_but
from colorbatch.report.overview import overview_of
from colorbatch.report.previews import Place, Preview
from colorbatch.run.plan import plan_batch
from colorbatch.store import atomic
from colorbatch.store.local import LocalStore
from colorbatch.text import to_utf_8

_KEPT_NAME = "previews.json"
"""What is known of the previews, for the next report; written when this one is stopped too."""


@dataclass(frozen=True)
class Report:
    """What was written."""

    index: Path
    """The page."""
    sources: int
    shown: int
    """Sources of which there is a picture."""
    made: int
    """Of these, now; the others were kept from an earlier report."""
    bytes: int
    """Of the page, its script and style, and all previews."""


def write_report(
    folder: Path,
    source: Path | None = None,
    *,
    jobs: int | None = None,
    memory_limit: int | None = None,
    progress: ProgressReporter | None = None,
) -> Report:
    """Write ``colorbatch-report`` into an output folder, of a finished run or of one that is at work.

    Args:
        folder: of the outputs.
        source: from which they were made; ``None``: the luma of the outputs is shown as the picture before.
        jobs: pictures at the same time; ``None``: one for each core.
        memory_limit: bytes of memory for decoded pictures; ``None``: half of the machine's.
        progress: hears of it.

    Raises:
        UsageError: a folder is not there, has no manifest, or the report's place is taken.
        OutputInUseError: another report is being written there.
        OutputUnwritableError: it cannot be written.

    """
    progress = progress or SilentProgress()
    output = LocalStore(folder)
    refuse_without_rows(output)
    if source is not None and not source.exists():
        raise UsageError(f"the source {source} does not exist")
    planned = None if source is None else {each.input for each in plan_batch(LocalStore(source), output)}
    with held_folder(folder) as (report, batch):
        rows = sorted(rows_of(output).values(), key=lambda row: row.input)
        place = Place(folder, source, report, MemoryBudget(memory_limit or physical_memory() // 2))
        looks = _look_at_all(rows, place, jobs or usable_cores(), progress)
        shown = [look.preview for look in looks]
        subject = page.Subject(
            title=folder.resolve().name,
            batch=batch,
            source=None if source is None else page.source_reference(source, report),
            unfinished=is_unfinished(output) or is_unmerged(output),
            without_row=None if planned is None else len(planned - {row.input for row in rows}),
        )
        files = {name: page.asset(name) for name in page.ASSETS}
        files["index.html"] = page.render(page.with_concerns(rows, shown), overview_of(rows), subject)
        for name, data in files.items():  # the page last: whatever it shows is there
            atomic.write_bytes(report / name, data)
        sizes = dict(part for preview in shown for part in preview.sizes)
        remove_all_but(report, sizes.keys())
    return Report(
        index=report / "index.html",
        sources=len(rows),
        shown=sum(preview.name is not None for preview in shown),
        made=sum(look.is_new for look in looks),
        bytes=sum(sizes.values()) + sum(map(len, files.values())),
    )


@dataclass(frozen=True)
class _Look:
    """What a report found to show of a row."""

    stamp: list[object]
    preview: Preview
    is_new: bool


def _look_at_all(rows: Sequence[Row], place: Place, threads: int, progress: ProgressReporter) -> list[_Look]:
    """Return what there is to show of each row, and note it for the next report."""
    kept = previews.read_kept(place.report / _KEPT_NAME)
    looks: list[_Look] = []
    progress.begin(len(rows), "Making previews")
    try:
        with closing(_looks(rows, place, kept, threads)) as found:
            for look in found:
                looks.append(look)
                progress.advance()
    finally:
        progress.end()
        names = [to_utf_8(row.input) for row in rows]
        stamped = {name: (look.stamp, look.preview) for name, look in zip(names, looks, strict=False)}
        not_reached = {name: kept[name] for name in names if name in kept and name not in stamped}
        atomic.write_bytes(place.report / _KEPT_NAME, previews.to_json(stamped | not_reached))
    return looks


def _looks(
    rows: Sequence[Row], place: Place, kept: Mapping[str, tuple[list[object], Preview]], threads: int
) -> Generator[_Look, None, None]:
    """Yield what there is to show of each row, made in several threads; none is begun any more once it is closed."""

    def look(row: Row) -> _Look:
        stamp = previews.stamp_of(row, place)
        before, preview = kept.get(to_utf_8(row.input), ([], Preview()))
        if before == stamp and previews.files_exist(preview, place.report):
            return _Look(stamp, preview, is_new=False)
        preview = previews.make_preview(row, place)
        return _Look(stamp, preview, is_new=preview.name is not None)

    pool = ThreadPoolExecutor(threads, thread_name_prefix="preview")
    try:
        yield from pool.map(look, rows)
    finally:
        pool.shutdown(cancel_futures=True)
