"""Colour a whole tree: one row for each source; a failing picture never stops the others."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TypeVar

from colorbatch.errors import ModelRefusedError
from colorbatch.formats.signer import Signer
from colorbatch.job import BatchJob, BatchSummary
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.records.manifest import Manifest, rows_of
from colorbatch.records.retouch import newest_retouches, retouches_of
from colorbatch.records.row import NOT_REACHED, Row
from colorbatch.run.colorize import row_of
from colorbatch.run.engines import open_engine
from colorbatch.run.engines.engine import Engine, Task
from colorbatch.run.output import failed, refuse_unsupported_times
from colorbatch.run.parts import Part, parts_of, reason_of_refusal
from colorbatch.run.plan import NOT_SELECTED, NOT_SUPPORTED, EarlierOutput, PlannedPicture, plan_batch, retouched
from colorbatch.run.resume import (
    Keep,
    appearance_of,
    decide,
    earlier_outputs,
    rows_of_other_sources,
    with_earlier_output,
    with_names_in_use_refused,
)
from colorbatch.run.treatment import LEFT_AS_IT_IS
from colorbatch.run.work import Kept, Outcome, Run, is_written
from colorbatch.stages import StageTimer
from colorbatch.store import open_source, open_store
from colorbatch.store.store import Store
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
    signer, job = without_key(job)
    source, output = open_source(job), open_store(job.output)
    refuse_unsupported_times(job, output)
    # opening a source is expensive only in a remote store
    earlier = earlier_outputs(rows_of(output, job.shard).values()) if source.is_remote else {}
    found = plan_of(job, source, output, earlier)
    pictures, is_remote = pictures_in(_selected(found)), source.is_remote or output.is_remote
    engines = OneEngine(job, pictures, is_remote=is_remote)
    with closing(engines), Manifest(output, job.shard, possible_outputs(found)) as record:
        found = with_names_in_use_refused(with_newest_retouches(job, found, output), record.previous)
        plan = _selected(found)
        batch = Batch(job, source, output, engines, record, progress, stop, signer)
        parts = batch.parts(plan)
        batch.begin()
        try:
            batch.make(parts)
        finally:
            remaining = [not_reached(each, batch.run) for each in plan if each.input not in record]
            others = batch.rows_without_source(found)
            record.finish([*others, *batch.rows_not_selected(found), *remaining])
    if others and not pictures:
        logger.warning(
            "%s has no pictures any more, but %d were made of it: is its disk mounted?", source.shown, len(others)
        )
    summary = batch.summary
    for row in remaining:
        count(summary, row, kept=True)
    batch.complete(summary)
    summary.not_reached = sum(row.reason == NOT_REACHED for row in remaining)
    summary.stopped = stop.is_set() and bool(remaining)
    summary.seconds = time.perf_counter() - started
    return summary


class OneEngine:
    """The engine of the model in use, the only one that is open: models take memory."""

    def __init__(self, job: BatchJob, pictures: int, *, is_remote: bool) -> None:
        """Open the engine of the job, as :func:`colorbatch.run.engines.open_engine` does."""
        self._is_remote = is_remote
        self._opened = [open_engine(job, pictures, is_remote=is_remote)]
        self.recipe = self._opened[0].recipe
        """The recipe of the job."""
        self._job = self.recipe.job
        self.provider, self.provider_reason = "", self._opened[0].provider_reason
        """The execution provider of the job's own model, once its engine is closed, and why it was chosen."""
        self.stages = StageTimer()
        """Time spent in each stage, by all engines that are closed."""

    def of(self, part: Part) -> Engine:
        """Return the engine of a part; one of another model is closed first."""
        if not self._opened or part.recipe.job != self._job:
            self.close()
            job, model = part.recipe.job, part.recipe.model
            self._opened.append(open_engine(job, pictures_in(part.plan), is_remote=self._is_remote, model=model))
            self._job = job
        return self._opened[0]

    def close(self) -> None:
        """Close the engine that is open."""
        while self._opened:
            engine = self._opened.pop()
            self.provider = self.provider or engine.provider
            for stage, cost in engine.stages.costs.items():
                self.stages.add(stage, cost)
            engine.close()


@dataclass
class Batch:
    """A run that holds its output folder, with an open engine."""

    job: BatchJob
    source: Store
    output: Store
    engines: OneEngine
    record: Manifest
    progress: ProgressReporter
    stop: threading.Event
    signer: Signer | None = None
    is_lenient: bool = False
    """Whether sources for which the retouch record names a model that is refused fail alone."""
    summary: BatchSummary = field(default_factory=BatchSummary)
    """What the outcomes so far come to."""
    made: set[str] = field(default_factory=set)
    """Inputs of the sources that were not kept."""

    @property
    def run(self) -> Run:
        """The recipe of most sources, the stores and the records."""
        return Run(
            self.engines.recipe, self.source, self.output, self.record.previous, self.record.outputs, self.signer
        )

    def begin(self) -> None:
        """Prepare the output folder; call it once, before anything is made."""
        self.output.remember_folder()
        self.output.prefetch_listing()

    def parts(self, plan: Sequence[PlannedPicture]) -> Sequence[Part]:
        """Return the sources of a plan by their models. Nothing is written, so that what is refused changes nothing.

        Raises:
            ModelRefusedError, UsageError: as :func:`colorbatch.run.parts.parts_of`.

        """
        return parts_of(self.engines.recipe, plan, is_lenient=self.is_lenient)

    def make(self, parts: Sequence[Part]) -> None:
        """Make the outputs of some sources, and append their rows to the record.

        Raises:
            EnvironmentFailure: no further output can be made.
            ModelRefusedError: ONNX Runtime refuses the model of a part.

        """
        runs = [replace(self.run, recipe=part.recipe) for part in parts]
        weights = {
            each.input: _weight_of(each, run) for part, run in zip(parts, runs, strict=True) for each in part.plan
        }
        self.progress.begin(len(weights), "Colouring", sum(weights.values()))
        try:
            for part, run in zip(parts, runs, strict=True):
                if part is not parts[0] and self.stop.is_set():
                    break
                if not part.plan:
                    continue
                self._make_part(Task(part.plan, run, self.record.announce, self.stop, self.progress), part, weights)
        finally:
            self.progress.end()
            self.output.cleanup()

    def _make_part(self, task: Task, part: Part, weights: Mapping[str, float]) -> None:
        for outcome in self._outcomes_of(task, part):
            row, kept = outcome.row, isinstance(outcome, Kept)
            self.record.append(row, is_durable=is_written(outcome))
            _report(row, self.progress, kept=kept)
            count(self.summary, row, kept=kept)
            if not kept:
                self.made.add(row.input)
            if row.status == "failed" and self.job.fail_fast:
                self.stop.set()
            self.progress.advance(weight=weights[row.input], megapixels=0.0 if kept else _megapixels_of(row))

    def _outcomes_of(self, task: Task, part: Part) -> Iterable[Outcome]:
        try:
            engine = self.engines.of(part)
        except ModelRefusedError as error:
            if not self.is_lenient or part.recipe is self.engines.recipe:
                raise
            return [failed(each, task.run, reason_of_refusal(error)) for each in task.plan]
        return engine.outcomes(task)

    def rows_not_selected(self, found: Sequence[PlannedPicture]) -> list[Row]:
        """Return the rows of the sources that are excluded from this run: those of earlier runs, or new ones."""
        return [_not_selected(each, self.run) for each in found if each.reason == NOT_SELECTED]

    def rows_without_source(self, found: Sequence[PlannedPicture]) -> list[Row]:
        """Return the rows of sources that are no longer there; a shard leaves them to the others."""
        if self.job.shard is not None:
            return []
        outputs = {each.input: each.output_name for each in found}
        return rows_of_other_sources(outputs, self.record.previous, self.output)

    def complete(self, summary: BatchSummary) -> None:
        """Close the engine, and complete a summary with what only it knows."""
        engines = self.engines
        engines.close()
        summary.provider, summary.provider_reason = engines.provider, engines.provider_reason
        summary.model = engines.recipe.model.contract.name
        summary.stages = engines.stages.costs


def without_key(job: BatchJob) -> tuple[Signer | None, BatchJob]:
    """Return who signs the outputs, and the job for child processes, which need no key.

    Raises:
        UsageError, EnvironmentFailure: as :class:`colorbatch.formats.signer.Signer`.

    """
    return None if job.signing is None else Signer(job.signing), replace(job, signing=None)


def plan_of(
    job: BatchJob, source: Store, output: Store, earlier: Mapping[str, EarlierOutput] | None = None
) -> list[PlannedPicture]:
    """Return the plan of a job, with what the retouch record says.

    Raises:
        UsageError, StoreUnavailableError: as :func:`colorbatch.run.plan.plan_batch`.

    """
    return plan_batch(
        source,
        output,
        job.include,
        job.exclude,
        job.only,
        job.shard,
        earlier,
        None if job.ignore_retouch else retouches_of(output, job.retouch),
        strict_match=job.strict_match,
        reads_sidecars=job.sidecars != "ignore",
    )


def with_newest_retouches(job: BatchJob, plan: list[PlannedPicture], output: Store) -> list[PlannedPicture]:
    """Return a plan with the job's own retouch record as it is now; only a holder of the folder changes that."""
    if job.retouch is not None or job.ignore_retouch:
        return plan
    return retouched(plan, newest_retouches(output))


def possible_outputs(found: Sequence[PlannedPicture]) -> set[str]:
    """Return all names that a plan may write."""
    return {name for each in found for name in each.possible_outputs}


def _selected(found: Sequence[PlannedPicture]) -> Sequence[PlannedPicture]:
    return [each for each in found if each.reason != NOT_SELECTED]


def pictures_in(plan: Sequence[PlannedPicture]) -> int:
    """Return how many sources of a plan are to be coloured."""
    return sum(each.verdict == "colour" for each in plan)


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
    decision = decide(
        planned, run.earlier.get(planned.input), run.recipe, appearance_of(planned, run.source, run.output)
    )
    return 0.0 if isinstance(decision, Keep) else planned.bytes + _NETWORK_COST_IN_BYTES


def _not_selected(planned: PlannedPicture, run: Run) -> Row:
    """Return the row of a source excluded from this run: that of an earlier run if there is one, as it is."""
    return run.earlier.get(planned.input) or row_of(planned, "skipped", planned.reason)


def not_reached(planned: PlannedPicture, run: Run) -> Row:
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
    return row.is_copy or row.reason == LEFT_AS_IT_IS


def _megapixels_of(row: Row) -> float:
    """Return the megapixels that were coloured for a row of this run."""
    is_colored = row.status == "done" and not _is_copy(row)
    return (row.width or 0) * (row.height or 0) / 1e6 if is_colored else 0.0
