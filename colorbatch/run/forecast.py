"""What a run would do, how long it would take and how much it would write: nothing is written for it."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from colorbatch.errors import PictureError
from colorbatch.inference.colorizer import Colorizer
from colorbatch.job import BatchJob
from colorbatch.records.manifest import rows_of
from colorbatch.run.colorize import Encoded, Recipe, colorize_source
from colorbatch.run.engines.local import open_session, workers_of
from colorbatch.run.engines.provider_choice import choose_provider
from colorbatch.run.output import Run
from colorbatch.run.plan import PlannedPicture, plan_batch
from colorbatch.run.resume import Appearance, Keep, Remake, decide, earlier_outputs
from colorbatch.stages import StageTimer
from colorbatch.store import open_store

_TRIED = 12
"""Pictures at most that are coloured in memory for the estimate."""
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


@dataclass(frozen=True)
class _Trial:
    """One picture that was coloured in memory."""

    seconds: float
    bytes_read: int
    bytes_written: int


def forecast(job: BatchJob) -> Forecast:
    """Plan a run, and colour a few of its pictures in memory to tell how long it would take.

    Whether an earlier output would be kept is told from the manifest and from sizes and times of files, without reading
    them.

    Raises:
        ColorbatchError: as :func:`colorbatch.run.batch.run_batch`.

    """
    source, output = open_store(job.source), open_store(job.output)
    earlier = rows_of(output, job.shard)
    known = earlier_outputs(earlier.values())
    plan = plan_batch(source, output, job.include, job.exclude, job.only, job.shard, known)
    provider, _ = choose_provider(job, sum(each.verdict == "colour" for each in plan))
    colorizer = Colorizer(open_session(replace(job, provider=provider)), job.options, timeout=job.timeout)
    run = Run(Recipe(job, colorizer.session.model, colorizer.options), source, output, earlier)
    pictures = [_with_prospect(each, run) for each in plan]
    to_color = [each for each, prospect in pictures if prospect in ("colour", "again")]
    to_read = sum(each.bytes for each in to_color)
    tried = list(_tried(to_color, run, colorizer))
    tried_bytes = sum(each.bytes_read for each in tried)
    seconds = sum(each.seconds for each in tried) / workers_of(job)
    return Forecast(
        pictures=pictures,
        bytes_to_read=to_read,
        tried=len(tried),
        seconds=seconds * to_read / tried_bytes if tried_bytes else None,
        bytes_to_write=round(sum(each.bytes_written for each in tried) * to_read / tried_bytes)
        if tried_bytes
        else None,
        bytes_free=output.bytes_free(),
        counts=Counter(prospect for _, prospect in pictures),
    )


def _with_prospect(planned: PlannedPicture, run: Run) -> tuple[PlannedPicture, Prospect]:
    if planned.verdict != "colour":
        return planned, planned.verdict
    match decide(planned, run.earlier.get(planned.input), run.recipe, Appearance(planned, run.output)):
        case Keep(row) if row.status == "skipped":
            return replace(planned, reason=row.reason), "skipped"
        case Keep():
            return planned, "kept"
        case Remake(reason):
            return planned, "colour" if reason == "new" else "again"


def _tried(pictures: Sequence[PlannedPicture], run: Run, colorizer: Colorizer) -> Iterator[_Trial]:
    """Colour some of the pictures, evenly spread."""
    started = time.perf_counter()
    for planned in pictures[:: max(1, len(pictures) // _TRIED)][:_TRIED]:
        began = time.perf_counter()
        try:
            content = run.source.read(planned.key, planned.bytes)
            result = colorize_source(content, planned, run.recipe, colorizer, StageTimer())
        except (PictureError, OSError, MemoryError):  # the run will say what is wrong with it
            continue
        written = len(result.content) if isinstance(result, Encoded) else 0
        yield _Trial(time.perf_counter() - began, len(content), written)
        if time.perf_counter() - started > _SECONDS_TRIED:
            return
