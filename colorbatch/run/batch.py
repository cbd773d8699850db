"""Colour a whole tree: one row for each source; a failing picture never stops the others."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TypeVar

from colorbatch.formats.signer import Signer
from colorbatch.job import BatchJob, BatchSummary
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.records.manifest import Manifest, rows_of
from colorbatch.records.retouch import retouches_of
from colorbatch.records.row import NOT_REACHED, Row
from colorbatch.run.colorize import row_of
from colorbatch.run.engines import open_engine
from colorbatch.run.engines.engine import Engine, Task
from colorbatch.run.output import Kept, Run, is_written, refuse_unsupported_times
from colorbatch.run.parts import Part, parts_of
from colorbatch.run.plan import NOT_SELECTED, NOT_SUPPORTED, PlannedPicture, plan_batch
from colorbatch.run.resume import (
    Appearance,
    Keep,
    decide,
    earlier_outputs,
    rows_of_other_sources,
    with_earlier_output,
)
from colorbatch.run.treatment import LEFT_AS_IT_IS
from colorbatch.stages import StageTimer
from colorbatch.store import open_source, open_store
from colorbatch.text import printable

logger = logging.getLogger(__name__)

_Name = TypeVar("_Name", bound=str)

_NETWORK_COST_IN_BYTES = 1_000_000
"""Cost of the network, which sees all pictures at one size, in JPEG bytes that take as long to decode and encode."""


def run_batch(
    job: BatchJob, progress: ProgressReporter | None = None, stop: threading.Event | None = None
) -> BatchSummary:
    """Colour every picture of ``job.source`` into ``job.output`` and write the manifest.

    A picture that fails becomes a ``failed`` row; the run continues. Outputs of an earlier run are kept if source,
    model and settings are unchanged. When ``stop`` is set, pictures in progress have a few seconds to finish, and the
    rest is left for the next run.

    Raises:
        UsageError: source or output cannot be used; nothing was written.
        ModelRefusedError: the model does not fulfil the contract; nothing was written.
        EnvironmentFailure: ONNX Runtime or the provider is missing, or the output cannot be written, or a store does
            not respond.
        OutputInUseError: another run is using the output folder.

    """
    progress, stop = progress or SilentProgress(), stop or threading.Event()
    started = time.perf_counter()
    signer, job = _signer_of(job), replace(job, signing=None)  # the job goes to child processes, the key does not
    source, output = open_source(job), open_store(job.output)
    refuse_unsupported_times(job, output)
    # opening a source is expensive only in a remote store
    earlier = earlier_outputs(rows_of(output, job.shard).values()) if source.is_remote else {}
    found = plan_batch(
        source,
        output,
        job.include,
        job.exclude,
        job.only,
        job.shard,
        earlier,
        None if job.ignore_retouch else retouches_of(output, job.retouch),
        strict_match=job.strict_match,
    )
    plan = [each for each in found if each.reason != NOT_SELECTED]
    pictures, is_remote = _pictures_in(plan), source.is_remote or output.is_remote
    engine = open_engine(job, pictures, is_remote=is_remote)
    summary = BatchSummary(provider_reason=engine.provider_reason, model=engine.recipe.model.contract.name)
    stages = StageTimer()
    possible_outputs = {name for each in found for name in each.possible_outputs}

    with closing(engine), ExitStack() as opened, Manifest(output, job.shard, possible_outputs) as record:
        parts = parts_of(engine.recipe, plan)
        runs = [Run(part.recipe, source, output, record.previous, record.outputs, signer) for part in parts]
        output.remember_folder()
        output.prefetch_listing()
        weights = {
            each.input: _weight_of(each, run) for part, run in zip(parts, runs, strict=True) for each in part.plan
        }
        progress.begin(len(plan), "Colouring", sum(weights.values()))
        try:
            for part, run in zip(parts, runs, strict=True):
                if part is not parts[0] and stop.is_set():
                    break
                used = engine if part is parts[0] else opened.enter_context(_engine_of(part, is_remote=is_remote))
                for outcome in used.outcomes(Task(part.plan, run, record.announce, stop, progress)):
                    row, kept = outcome.row, isinstance(outcome, Kept)
                    record.append(row, is_durable=is_written(outcome))
                    _report(row, progress, kept=kept)
                    count(summary, row, kept=kept)
                    if row.status == "failed" and job.fail_fast:
                        stop.set()
                    progress.advance(weight=weights[row.input], megapixels=0.0 if kept else _megapixels_of(row))
                for stage, cost in used.stages.costs.items():
                    stages.add(stage, cost)
        finally:
            progress.end()
            output.cleanup()
            remaining = [_not_reached(each, runs[0]) for each in plan if each.input not in record]
            excluded = [_not_selected(each, runs[0]) for each in found if each.reason == NOT_SELECTED]
            outputs = {each.input: each.output_name for each in found}
            others = rows_of_other_sources(outputs, record.previous, output) if job.shard is None else []
            record.finish([*others, *excluded, *remaining])
    if others and not pictures:
        logger.warning(
            "%s has no pictures any more, but %d were made of it: is its disk mounted?", source.shown, len(others)
        )
    for row in remaining:
        count(summary, row, kept=True)
    summary.provider = engine.provider
    summary.stages = stages.costs
    summary.not_reached = sum(row.reason == NOT_REACHED for row in remaining)
    summary.stopped = stop.is_set() and bool(remaining)
    summary.seconds = time.perf_counter() - started
    return summary


def _signer_of(job: BatchJob) -> Signer | None:
    return None if job.signing is None else Signer(job.signing)


def _pictures_in(plan: Sequence[PlannedPicture]) -> int:
    return sum(each.verdict == "colour" for each in plan)


def _engine_of(part: Part, *, is_remote: bool) -> AbstractContextManager[Engine]:
    return closing(open_engine(part.recipe.job, _pictures_in(part.plan), is_remote=is_remote))


def _report(row: Row, progress: ProgressReporter, *, kept: bool) -> None:
    """Log what became of a source, and show it if it failed."""
    logger.info("%s: %s %s", printable(row.input), row.status, "(kept)" if kept else printable(row.reason))
    for warning in () if kept else row.warnings:
        logger.warning("%s: %s", printable(row.input), printable(warning))
    if row.status == "failed":
        progress.message(f"Failed: {row.input}: {row.reason}")


def _weight_of(planned: PlannedPicture, run: Run) -> float:
    """Return the expected cost of a source relative to others: 0 if it is already decided, or its output is kept.

    The number of pixels is unknown until a source is decoded; its size in bytes is still better than a plain count.
    """
    if planned.verdict != "colour":
        return 0.0
    decision = decide(planned, run.earlier.get(planned.input), run.recipe, Appearance(planned, run.output))
    return 0.0 if isinstance(decision, Keep) else planned.bytes + _NETWORK_COST_IN_BYTES


def _not_selected(planned: PlannedPicture, run: Run) -> Row:
    """Return the row of a source excluded from this run: that of an earlier run if there is one, as it is."""
    return run.earlier.get(planned.input) or row_of(planned, "skipped", planned.reason)


def _not_reached(planned: PlannedPicture, run: Run) -> Row:
    """Return the row of a source that this run did not reach: that of an earlier run if it was done."""
    earlier = run.earlier.get(planned.input)
    if earlier is not None and earlier.status == "done":
        return earlier
    return with_earlier_output(row_of(planned, "skipped", NOT_REACHED), earlier, run.output)


def count(summary: BatchSummary, row: Row, *, kept: bool) -> None:
    """Count a row of a run in its summary; ``kept``: nothing was made for it now."""
    match row.status:
        case "done":
            summary.done += 1
            summary.kept += kept
            summary.copied += _is_copy(row) and not kept
            summary.doubtful += row.might_be_color and not kept
            summary.megapixels += 0.0 if kept else _megapixels_of(row)
            if row.luma and not kept:
                _add(summary.luma, row.luma)
        case "skipped":
            summary.skipped += 1
            _add(summary.skip_reasons, row.reason)
            if row.reason == NOT_SUPPORTED:
                _add(summary.unsupported, PurePosixPath(row.input).suffix.lower())
        case "failed":
            summary.failed += 1
            summary.failures.append((row.input, row.reason))


def _add(counts: dict[_Name, int], name: _Name) -> None:
    counts[name] = counts.get(name, 0) + 1


def _is_copy(row: Row) -> bool:
    return row.output_sha256 == row.input_sha256 or row.reason == LEFT_AS_IT_IS


def _megapixels_of(row: Row) -> float:
    """Return the megapixels that were coloured for a row of this run."""
    is_colored = row.status == "done" and not _is_copy(row)
    return (row.width or 0) * (row.height or 0) / 1e6 if is_colored else 0.0
