"""Write the report of an output folder: previews first, the page that shows them last."""

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from colorbatch.errors import UsageError
from colorbatch.location import LocationLike, as_path
from colorbatch.machine import MemoryBudget, physical_memory, usable_cores
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.records.manifest import is_unfinished, is_unmerged, refuse_without_rows, rows_of
from colorbatch.records.row import Row
from colorbatch.report import decisions, page, previews
from colorbatch.report.folder import held_folder, remove_all_but
from colorbatch.report.overview import overview_of
from colorbatch.report.previews import Place, Preview
from colorbatch.run.plan import plan_batch
from colorbatch.store import atomic
from colorbatch.store.local import LocalStore
from colorbatch.text import shell_quoted, to_utf_8


@dataclass(frozen=True)
class Report:
    """A report that was written."""

    index: Path
    """Path of the page."""
    sources: int
    shown: int
    """Number of sources with a preview."""
    made: int
    """Number of previews made now; the others were kept from an earlier report."""
    bytes: int
    """Size of the page, its script and style, and all previews."""


def write_report(
    folder: LocationLike,
    source: LocationLike | None = None,
    *,
    jobs: int | None = None,
    memory_limit: int | None = None,
    progress: ProgressReporter | None = None,
) -> Report:
    """Write ``colorbatch-report`` into an output folder, of a finished run or of one in progress.

    Args:
        folder: folder of the outputs.
        source: folder or file that they were made from; ``None``: the luma of the outputs is shown as the picture
            before.
        jobs: number of previews made at the same time; ``None``: one per core.
        memory_limit: bytes of memory for decoded pictures; ``None``: half of the machine's.
        progress: receives updates.

    Raises:
        UsageError: a folder does not exist, has no manifest, has something else in the place of the report, or a
            retouch record that cannot be read.
        OutputInUseError: another report is being written there.
        OutputUnwritableError: the report cannot be written.

    """
    progress = progress or SilentProgress()
    folder, source = as_path(folder), None if source is None else as_path(source)
    output = LocalStore(folder)
    refuse_without_rows(output)
    if source is not None and not source.exists():
        raise UsageError(f"the source {source} does not exist")
    planned = None if source is None else {each.input for each in plan_batch(LocalStore(source), output)}
    with held_folder(folder) as (report, batch):
        rows = sorted(rows_of(output).values(), key=lambda row: row.input)
        place = Place(folder, source, report, MemoryBudget(memory_limit or physical_memory() // 2))
        stamped = _make_previews(rows, place, jobs or usable_cores(), progress)
        shown = [each.preview for each in stamped]
        subject = page.Subject(
            title=folder.resolve().name,
            batch=batch,
            source=None if source is None else page.source_reference(source, report),
            shell_paths=_shell_paths(folder, source),
            model=decisions.model_of(rows),
            retouch_lines=decisions.retouch_lines(folder),
            unfinished=is_unfinished(output) or is_unmerged(output),
            without_row=None if planned is None else len(planned - {row.input for row in rows}),
        )
        files = {name: page.asset(name) for name in page.ASSETS}
        files["index.html"] = page.render(page.with_concerns(rows, shown), overview_of(rows), subject)
        for name, data in files.items():  # the page last: everything that it refers to exists
            atomic.write_bytes(report / name, data)
        sizes = dict(part for preview in shown for part in preview.sizes)
        remove_all_but(report, sizes.keys())
    return Report(
        index=report / "index.html",
        sources=len(rows),
        shown=sum(preview.name is not None for preview in shown),
        made=sum(each.is_new for each in stamped),
        bytes=sum(sizes.values()) + sum(map(len, files.values())),
    )


def _shell_paths(output: Path, source: Path | None) -> Mapping[str, str]:
    """Return the absolute paths of the folders, quoted for the shell."""
    quoted_output = shell_quoted(str(output.absolute()))
    return {"output": quoted_output} | ({} if source is None else {"source": shell_quoted(str(source.absolute()))})


@dataclass(frozen=True)
class _StampedPreview:
    """The preview of a row, and what it depends on."""

    stamp: list[object]
    """Value of :func:`colorbatch.report.previews.stamp_of`."""
    preview: Preview
    is_new: bool


def _make_previews(
    rows: Sequence[Row], place: Place, threads: int, progress: ProgressReporter
) -> list[_StampedPreview]:
    """Return the preview of each row, and store them for the next report."""
    kept = previews.read_kept(place.report / previews.KEPT_NAME)
    found: list[_StampedPreview] = []
    progress.begin(len(rows), "Making previews")
    try:
        with closing(_stamped_previews(rows, place, kept, threads)) as stamped:
            for each in stamped:
                found.append(each)
                progress.advance()
    finally:
        progress.end()
        names = [to_utf_8(row.input) for row in rows]
        finished = {name: (each.stamp, each.preview) for name, each in zip(names, found, strict=False)}
        not_reached = {name: kept[name] for name in names if name in kept and name not in finished}
        atomic.write_bytes(place.report / previews.KEPT_NAME, previews.to_json(finished | not_reached))
    return found


def _stamped_previews(
    rows: Sequence[Row], place: Place, kept: Mapping[str, tuple[list[object], Preview]], threads: int
) -> Generator[_StampedPreview, None, None]:
    """Yield the preview of each row, kept or made in one of several threads; once closed, start no further one."""

    def keep_or_make(row: Row) -> _StampedPreview:
        stamp = previews.stamp_of(row, place)
        earlier_stamp, preview = kept.get(to_utf_8(row.input), ([], Preview()))
        if earlier_stamp == stamp and previews.files_exist(preview, place.report):
            return _StampedPreview(stamp, preview, is_new=False)
        preview = previews.make_preview(row, place)
        return _StampedPreview(stamp, preview, is_new=preview.name is not None)

    pool = ThreadPoolExecutor(threads, thread_name_prefix="preview")
    try:
        yield from pool.map(keep_or_make, rows)
    finally:
        pool.shutdown(cancel_futures=True)
