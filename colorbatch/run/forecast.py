"""What a run would do, how long it would take and how much it would write. Nothing is written."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from colorbatch.errors import PictureError
from colorbatch.inference.colorizer import Colorizer
from colorbatch.job import BatchJob
from colorbatch.records.manifest import rows_of
from colorbatch.records.retouch import retouches_of
from colorbatch.run.colorize import Encoded, Recipe, colorize_source
from colorbatch.run.engines.local import open_session, workers_of
from colorbatch.run.engines.provider_choice import choose_provider
from colorbatch.run.output import Run, refuse_unsupported_times
from colorbatch.run.parts import parts_of
from colorbatch.run.plan import PlannedPicture, plan_batch
from colorbatch.run.resume import Appearance, Keep, Remake, decide, earlier_outputs
from colorbatch.stages import StageTimer
from colorbatch.store import open_source, open_store

_MAX_TRIALS = 12
"""Maximum number of pictures coloured in memory for the estimate."""
_TRIAL_SECONDS = 10.0
"""Time after which no further trial is started."""

Prospect = Literal["colour", "again", "kept", "skipped", "failed"]
"""``again``: an output of another model, other settings, or another state of the source exists."""


@dataclass(frozen=True)
class Forecast:
    """What a run would do."""

    pictures: Sequence[tuple[PlannedPicture, Prospect]]
    bytes_to_read: int
    """Total size of the sources to colour."""
    tried: int
    """Number of pictures that the estimate is based on."""
    seconds: float | None
    """Estimated duration of the run; ``None``: no trial succeeded."""
    bytes_to_write: int | None
    """Estimated total size of the outputs; ``None``: no trial succeeded."""
    bytes_free: int | None
    """Free space at the output; ``None``: unknown."""
    counts: Counter[Prospect]


@dataclass(frozen=True)
class _Trial:
    """One picture that was coloured in memory."""

    seconds: float
    bytes_read: int
    bytes_written: int


def forecast(job: BatchJob) -> Forecast:
    """Plan a run, and colour a few of its pictures in memory to estimate how long it would take.

    Whether an earlier output would be kept is determined from the manifest and from sizes and times of files, without
    reading them.

    Raises:
        ColorbatchError: as :func:`colorbatch.run.batch.run_batch`.

    """
    source, output = open_source(job), open_store(job.output)
    refuse_unsupported_times(job, output)
    earlier = rows_of(output, job.shard)
    known = earlier_outputs(earlier.values())
    plan = plan_batch(
        source,
        output,
        job.include,
        job.exclude,
        job.only,
        job.shard,
        known,
        None if job.ignore_retouch else retouches_of(output, job.retouch),
        strict_match=job.strict_match,
    )
    provider, _ = choose_provider(job, sum(each.verdict == "colour" for each in plan))
    colorizer = Colorizer(open_session(replace(job, provider=provider)), job.options, timeout=job.timeout)
    run = Run(Recipe(job, colorizer.session.model, colorizer.options), source, output, earlier)
    recipes = {each.input: part.recipe for part in parts_of(run.recipe, plan) for each in part.plan}
    pictures = [_with_prospect(each, replace(run, recipe=recipes[each.input])) for each in plan]
    to_color = [each for each, prospect in pictures if prospect in ("colour", "again")]
    to_read = sum(each.bytes for each in to_color)
    trials = list(_trials(to_color, run, colorizer))
    trial_bytes = sum(each.bytes_read for each in trials)
    seconds = sum(each.seconds for each in trials) / workers_of(job)
    return Forecast(
        pictures=pictures,
        bytes_to_read=to_read,
        tried=len(trials),
        seconds=seconds * to_read / trial_bytes if trial_bytes else None,
        bytes_to_write=round(sum(each.bytes_written for each in trials) * to_read / trial_bytes)
        if trial_bytes
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


def _trials(pictures: Sequence[PlannedPicture], run: Run, colorizer: Colorizer) -> Iterator[_Trial]:
    """Colour some of the pictures, evenly spread, and yield a trial for each."""
    started = time.perf_counter()
    for planned in pictures[:: max(1, len(pictures) // _MAX_TRIALS)][:_MAX_TRIALS]:
        began = time.perf_counter()
        try:
            content = run.source.read(planned.key, planned.bytes)
            result = colorize_source(content, planned, run.recipe, colorizer, StageTimer())
        except (PictureError, OSError, MemoryError):  # the run will report what is wrong with it
            continue
        written = len(result.content) if isinstance(result, Encoded) else 0
        yield _Trial(time.perf_counter() - began, len(content), written)
        if time.perf_counter() - started > _TRIAL_SECONDS:
            return
