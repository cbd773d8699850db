"""What a run would do, how long it would take and how much it would write. Nothing is written."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from colorbatch.errors import PictureError
from colorbatch.inference.colorizer import Colorizer
from colorbatch.inference.model_file import read_model_file
from colorbatch.job import BatchJob
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.records.manifest import rows_of
from colorbatch.run.batch import plan_of, without_key
from colorbatch.run.colorize import Encoded, Recipe, colorize_source, refuse_unfit
from colorbatch.run.engines.local import budgets_of, open_session, waiting_threads, workers_of
from colorbatch.run.engines.provider_choice import choose_provider
from colorbatch.run.look import Seen, look_at
from colorbatch.run.output import refuse_unsupported_times
from colorbatch.run.parts import Part, parts_of
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.resume import Keep, Remake, appearance_of, decide, earlier_outputs, with_names_in_use_refused
from colorbatch.run.work import Run
from colorbatch.stages import StageTimer
from colorbatch.store import open_source, open_store

_MAX_TRIALS = 12
"""Maximum number of pictures coloured in memory for the estimate."""
_TRIAL_SECONDS = 10.0
"""Time after which no further trial is started."""

Prospect = Literal["colour", "again", "copied", "kept", "skipped", "failed"]
"""``again``: an output of another model, other settings, or another state of the source exists; ``copied``: the source
is in colour, which only a look finds, or left as it is."""
_TO_COLOR = ("colour", "again")
_Prospective = tuple[PlannedPicture, Prospect]


@dataclass(frozen=True)
class Forecast:
    """What a run would do."""

    pictures: Sequence[_Prospective]
    is_looked_at: bool
    """Whether the sources to colour were looked at, so that those in colour and broken ones are known."""
    bytes_to_read: int
    """Total size of the sources to colour or to copy."""
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


def forecast(job: BatchJob, *, look: bool = False, progress: ProgressReporter | None = None) -> Forecast:
    """Plan a run, and colour a few of its pictures in memory to estimate how long it would take.

    Whether an earlier output would be kept is determined from the manifest and from sizes and times of files, without
    reading them. Who is to sign is checked as for a run, but for the authority of time stamps.

    Args:
        job: the run.
        look: open every source to colour, to find those that are in colour or cannot be read.
        progress: receives updates while sources are looked at.

    Raises:
        ColorbatchError: as :func:`colorbatch.run.batch.run_batch`.

    """
    if job.signing is not None:  # without its authority: a dry run asks for no time stamp
        job = replace(job, signing=replace(job.signing, tsa=None))
    _, job = without_key(job)
    source, output = open_source(job), open_store(job.output)
    refuse_unsupported_times(job, output)
    earlier = rows_of(output, job.shard)
    known = earlier_outputs(earlier.values())
    plan = with_names_in_use_refused(plan_of(job, source, output, known), earlier)
    model = read_model_file(job.model)
    provider, _ = choose_provider(job, sum(each.verdict == "colour" for each in plan), model)
    job = replace(job, provider=provider)
    colorizer = Colorizer(open_session(job, model), job.options, timeout=job.timeout)
    run = Run(Recipe(job, colorizer.session.model, colorizer.options), source, output, earlier)
    parts = parts_of(run.recipe, plan)
    recipes = {each.input: part.recipe for part in parts for each in part.plan}
    pictures = [_with_prospect(each, replace(run, recipe=recipes[each.input])) for each in plan]
    if look:
        pictures = _looked_at(pictures, run, progress or SilentProgress())
    to_color = [each for each, prospect in pictures if prospect in (*_TO_COLOR, "copied")]
    to_read = sum(each.bytes for each in to_color)
    trials = list(_trials(to_color, run, parts, colorizer))
    trial_bytes = sum(each.bytes_read for each in trials)
    seconds = sum(each.seconds for each in trials) / workers_of(job)
    return Forecast(
        pictures=pictures,
        is_looked_at=look,
        bytes_to_read=to_read,
        tried=len(trials),
        seconds=seconds * to_read / trial_bytes if trial_bytes else None,
        bytes_to_write=round(sum(each.bytes_written for each in trials) * to_read / trial_bytes)
        if trial_bytes
        else None,
        bytes_free=output.bytes_free(),
        counts=Counter(prospect for _, prospect in pictures),
    )


def _with_prospect(planned: PlannedPicture, run: Run) -> _Prospective:
    if planned.verdict != "colour":
        return planned, planned.verdict
    evidence = appearance_of(planned, run.source, run.output)
    match decide(planned, run.earlier.get(planned.input), run.recipe, evidence):
        case Keep(row) if row.status == "skipped":
            return replace(planned, reason=row.reason), "skipped"
        case Keep():
            return planned, "kept"
        case Remake(reason):
            unfit = _unfit(planned, run.recipe)
            if unfit:
                return replace(planned, reason=unfit), "failed"
            return planned, "colour" if reason == "new" else "again"


def _unfit(planned: PlannedPicture, recipe: Recipe) -> str:
    """Return why the model does not support what a person said about the pages of a source; empty if it does."""
    for line in () if planned.retouch is None else planned.retouch.lines:
        if line.leave_grey:
            continue
        try:
            refuse_unfit(line, recipe.options, recipe.model.contract)
        except PictureError as error:
            return error.in_full
    return ""


def _looked_at(pictures: Sequence[_Prospective], run: Run, progress: ProgressReporter) -> list[_Prospective]:
    """Return the pictures with what a look at those to colour finds."""
    workers = workers_of(run.recipe.job)
    threads = workers + waiting_threads(workers, is_remote=run.source.is_remote)
    memory, _ = budgets_of(run)
    to_see = [planned for planned, prospect in pictures if prospect in _TO_COLOR]

    def look(planned: PlannedPicture) -> Seen:
        with progress.working_on(planned.input):
            return look_at(planned, run.source, run.recipe.job, memory)

    seen: dict[str, Seen] = {}
    progress.begin(len(to_see), "Looking", sum(each.bytes for each in to_see))
    pool = ThreadPoolExecutor(threads, thread_name_prefix="look")
    try:
        for planned, found in zip(to_see, pool.map(look, to_see), strict=True):
            seen[planned.input] = found
            progress.advance(weight=planned.bytes)
    finally:
        progress.end()
        pool.shutdown(cancel_futures=True)
    return [_with_look(each, seen.get(each[0].input)) for each in pictures]


def _with_look(picture: _Prospective, seen: Seen | None) -> _Prospective:
    """Return a picture with what a look has found; ``None``: it was not looked at."""
    planned, prospect = picture
    if seen is None:
        return planned, prospect
    planned = replace(planned, reason=seen.reason)
    match seen.action:
        case "colour":
            return planned, prospect
        case "copy":
            return replace(planned, output_name=planned.input), "copied"
        case "leave":
            return planned, "copied"
        case "skip":
            return planned, "skipped"
        case "fail":
            return planned, "failed"


def _trials(
    pictures: Sequence[PlannedPicture], run: Run, parts: Sequence[Part], colorizer: Colorizer
) -> Iterator[_Trial]:
    """Colour some of the pictures, evenly spread, and yield a trial for each.

    Args:
        pictures: those to colour or to copy.
        run: the run.
        parts: of the run.
        colorizer: that of the first part; those of others are opened if necessary.

    """
    started = time.perf_counter()
    chosen = {each.input: each for each in pictures[:: max(1, len(pictures) // _MAX_TRIALS)][:_MAX_TRIALS]}
    for part in parts:
        some = [chosen[each.input] for each in part.plan if each.input in chosen]
        if some and part is not parts[0]:
            opening = time.perf_counter()
            colorizer = Colorizer(open_session(part.recipe.job), part.recipe.options, timeout=part.recipe.job.timeout)
            started += time.perf_counter() - opening
        for planned in some:
            began = time.perf_counter()
            try:
                content = run.source.read(planned.key, planned.bytes)
                result = colorize_source(content, planned, part.recipe, colorizer, StageTimer())
            except (PictureError, OSError, MemoryError):  # the run will report what is wrong with it
                continue
            written = len(result.content) if isinstance(result, Encoded) else 0
            yield _Trial(time.perf_counter() - began, len(content), written)
            if time.perf_counter() - started > _TRIAL_SECONDS:
                return
