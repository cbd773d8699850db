"""Colour a whole tree: one row for each source, and no picture stops the others."""

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from colorbatch.colouring import Run, row_of
from colorbatch.discovery import UNLISTED, Known, PlannedPicture, plan_batch
from colorbatch.engines import open_engine
from colorbatch.job import BatchJob, BatchSummary
from colorbatch.making import NOT_REACHED, is_settled, known_sources, of_other_sources, with_earlier_output
from colorbatch.manifest import Manifest, Row, rows_of
from colorbatch.progress import ProgressReporter, SilentProgress, printable
from colorbatch.store.store import open_store

logger = logging.getLogger(__name__)

_BYTES_LIKE_THE_NETWORK = 1_000_000
"""Of a JPEG that take as long to decode, merge and encode as the network does, which sees all pictures at one size."""


def run_batch(
    job: BatchJob, progress: ProgressReporter | None = None, stop: threading.Event | None = None
) -> BatchSummary:
    """Colour every picture of ``job.source`` into ``job.output`` and write the manifest.

    A picture that fails becomes a ``failed`` row; the run goes on. Outputs of an earlier run stay when source, model
    and settings are unchanged. When ``stop`` is set, pictures in work have a few seconds to be finished, and the rest
    is left for the next run.

    Raises:
        UsageError: source or output cannot be used; nothing was written.
        ModelRefusedError: the model does not keep the contract; nothing was written.
        EnvironmentFailure: ONNX Runtime or the provider is missing, or the output cannot be written, or a store does
            not answer.
        OutputInUseError: another run is at work in the output folder.

    """
    progress = progress or SilentProgress()
    stop = stop or threading.Event()
    started = time.perf_counter()
    found = plan_batch(job.source, job.output, job.include, job.exclude, job.only, job.shard, _known_sources(job))
    plan = [each for each in found if each.reason != UNLISTED]
    engine = open_engine(job, sum(each.verdict == "colour" for each in plan))
    summary = BatchSummary(provider_reason=engine.provider_reason, model=engine.model.contract.name)

    with closing(engine), Manifest(job.output, job.shard) as record:
        run = Run(job, engine.model, engine.options, open_store(job.output), record.previous, record.outputs)
        run.folder.look()
        weights = {each.input: _weight_of(each, run) for each in plan}
        progress.begin(len(plan), "Colouring", sum(weights.values()))
        try:
            for row, kept in engine.rows(plan, run, record.announce, stop, progress):
                record.append(row, is_durable=row.status == "done" and not kept)
                logger.info("%s: %s %s", printable(row.input), row.status, "(kept)" if kept else printable(row.reason))
                for warning in () if kept else row.warnings:
                    logger.warning("%s: %s", printable(row.input), printable(warning))
                _count(summary, row, kept=kept)
                if row.status == "failed":
                    progress.message(f"Failed: {row.input}: {row.reason}")
                    if job.fail_fast:
                        stop.set()
                megapixels = 0.0 if kept else _megapixels_of(row)
                progress.advance(weight=weights[row.input], megapixels=megapixels)
        finally:
            progress.end()
            run.folder.tidy()
            remaining = [_not_reached(each, run) for each in plan if each.input not in record]
            aside = [_left_aside(each, run) for each in found if each.reason == UNLISTED]
            outputs = {each.input: each.output_name for each in found}
            others = of_other_sources(outputs, run.previous, run.folder) if job.shard is None else []
            record.finish([*others, *aside, *remaining])
    for row in remaining:
        _count(summary, row, kept=True)
    summary.provider = engine.provider
    summary.stages = engine.stages.costs
    summary.not_reached = sum(row.reason == NOT_REACHED for row in remaining)
    summary.stopped = stop.is_set() and bool(remaining)
    summary.seconds = time.perf_counter() - started
    return summary


def _known_sources(job: BatchJob) -> Mapping[str, Known]:
    """Return what earlier runs left of sources that cost something to be looked into."""
    return {} if isinstance(job.source, Path) else known_sources(rows_of(job.output, job.shard).values())


def _weight_of(planned: PlannedPicture, run: Run) -> float:
    """Return how long a source is expected to take beside others: 0 for what is settled, or there already.

    Pixels are not known before a source is decoded, but its bytes are: they say more than a count of pictures does.
    """
    previous = run.previous.get(planned.input)
    is_there = previous is not None and previous.input_bytes == planned.bytes and is_settled(previous, planned, run)
    return 0.0 if planned.verdict != "colour" or is_there else planned.bytes + _BYTES_LIKE_THE_NETWORK


def _left_aside(planned: PlannedPicture, run: Run) -> Row:
    """Return the row of a source that this run was not to touch: that of an earlier run, whatever it says."""
    return run.previous.get(planned.input) or row_of(planned, "skipped", planned.reason)


def _not_reached(planned: PlannedPicture, run: Run) -> Row:
    """Return the row of a source that this run did not come to: that of an earlier run if there is one."""
    earlier = run.previous.get(planned.input)
    if earlier is not None and earlier.status == "done":
        return earlier
    return with_earlier_output(row_of(planned, "skipped", NOT_REACHED), run)


def _count(summary: BatchSummary, row: Row, *, kept: bool) -> None:
    match row.status:
        case "done":
            summary.done += 1
            summary.kept += kept
            summary.copied += _is_copy(row) and not kept
            summary.megapixels += 0.0 if kept else _megapixels_of(row)
        case "skipped":
            summary.skipped += 1
        case "failed":
            summary.failed += 1
            summary.failures.append((row.input, row.reason))


def _is_copy(row: Row) -> bool:
    return row.output_sha256 == row.input_sha256


def _megapixels_of(row: Row) -> float:
    """Return how much was coloured for a row of this run."""
    is_coloured = row.status == "done" and not _is_copy(row)
    return (row.width or 0) * (row.height or 0) / 1e6 if is_coloured else 0.0
