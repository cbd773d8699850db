"""What a run would do, how long it would take and how much it would write: nothing is written for it."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from colorbatch.colorizer import Colorizer
from colorbatch.colouring import Run, colour
from colorbatch.discovery import PlannedPicture, plan_batch, read_source
from colorbatch.engines.local import open_session, workers_of
from colorbatch.engines.provider_choice import choose_provider
from colorbatch.errors import PictureError
from colorbatch.job import BatchJob
from colorbatch.making import is_settled, known_sources
from colorbatch.manifest import Row, rows_of
from colorbatch.space import bytes_free
from colorbatch.stages import StageTimer
from colorbatch.store.state import FileState
from colorbatch.store.store import open_store

_TRIED = 12
"""Pictures at most that are coloured in memory for the estimate."""
_CLOCKS_APART = 2.0
"""Seconds by which the clock of a file system may be ahead."""
_SECONDS_TRIED = 10.0
"""After which no further one is tried."""

Prospect = Literal["colour", "again", "kept", "skipped", "failed"]
"""``again``: an output of another model, other settings, or another state of the source stands there."""


@dataclass(frozen=True)
class Forecast:
    """What a run would do."""

    pictures: Sequence[tuple[PlannedPicture, Prospect]]
    bytes_to_read: int
    """Of the sources to colour."""
    tried: int
    """How many of them the estimate rests on."""
    seconds: float | None
    """That the run would take about; ``None``: none could be tried."""
    bytes_to_write: int | None
    bytes_free: int | None
    """Where the outputs would be; ``None``: that cannot be told."""
    counts: Counter[Prospect]


def forecast(job: BatchJob) -> Forecast:
    """Plan a run, and colour a few of its pictures in memory to tell how long it would take.

    Whether an earlier output would be kept is told from the manifest and from sizes and times of files, without reading
    them.

    Raises:
        ColorbatchError: as :func:`colorbatch.batch.run_batch`.

    """
    previous = rows_of(job.output, job.shard)
    plan = plan_batch(
        job.source, job.output, job.include, job.exclude, job.only, job.shard, known_sources(previous.values())
    )
    provider, _ = choose_provider(job, sum(each.verdict == "colour" for each in plan))
    colorizer = Colorizer(open_session(replace(job, provider=provider)), job.options, timeout=job.timeout)
    run = Run(job, colorizer.session.model, colorizer.options, open_store(job.output), previous)
    pictures = [_with_prospect(each, run) for each in plan]
    to_colour = [each for each, prospect in pictures if prospect in ("colour", "again")]
    to_read = sum(each.bytes for each in to_colour)
    tried = list(_tried(to_colour, run, colorizer))
    tried_bytes = sum(row.input_bytes or 0 for row, _ in tried)
    seconds = sum(row.seconds or 0 for row, _ in tried) / workers_of(job)
    return Forecast(
        pictures=pictures,
        bytes_to_read=to_read,
        tried=len(tried),
        seconds=seconds * to_read / tried_bytes if tried_bytes else None,
        bytes_to_write=round(sum(size for _, size in tried) * to_read / tried_bytes) if tried_bytes else None,
        bytes_free=bytes_free(job.output) if isinstance(job.output, Path) else None,
        counts=Counter(prospect for _, prospect in pictures),
    )


def _with_prospect(planned: PlannedPicture, run: Run) -> tuple[PlannedPicture, Prospect]:
    prospect = _prospect(planned, run)
    if prospect == "skipped" and not planned.reason:
        return replace(planned, reason=run.previous[planned.input].reason), prospect
    return planned, prospect


def _prospect(planned: PlannedPicture, run: Run) -> Prospect:
    if planned.verdict != "colour":
        return planned.verdict
    previous = run.previous.get(planned.input)
    if previous is None or previous.input_sha256 is None:
        return "colour"
    if not is_settled(previous, planned, run) or previous.input_bytes != planned.bytes:
        return "again"
    if planned.etag is not None and previous.input_etag not in (None, planned.etag):
        return "again"
    if previous.status == "skipped" or previous.output is None:
        return "skipped"
    return "again" if _is_missing_or_newer(run.folder.state(previous.output), previous) else "kept"


def _is_missing_or_newer(output: FileState | None, row: Row) -> bool:
    """Return whether an output is gone, or was written to after its row."""
    if output is not None and output.etag is not None and row.output_etag is not None:
        return output.etag != row.output_etag
    try:
        finished = datetime.fromisoformat(str(row.finished_at)).timestamp()
    except ValueError:
        return True
    return output is None or output.modified is None or output.modified > finished + _CLOCKS_APART


def _tried(pictures: Sequence[PlannedPicture], run: Run, colorizer: Colorizer) -> Iterator[tuple[Row, int]]:
    """Colour some of the pictures, evenly spread; yield the row of each, and the bytes that it would take."""
    started = time.perf_counter()
    for planned in pictures[:: max(1, len(pictures) // _TRIED)][:_TRIED]:
        began = time.perf_counter()
        try:
            row, encoded = colour(read_source(planned), planned, run, colorizer, StageTimer())
        except (PictureError, OSError, MemoryError):  # the run will say what is wrong with it
            continue
        yield replace(row, seconds=time.perf_counter() - began), len(encoded)
        if time.perf_counter() - started > _SECONDS_TRIED:
            return
