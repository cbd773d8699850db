"""Submit pictures to the workers of a cluster and collect the outcomes: whatever dies, no picture is lost."""

import logging
import secrets
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, suppress
from functools import partial

from colorbatch.errors import OutputUnwritableError, reason_of
from colorbatch.progress import ProgressReporter
from colorbatch.records.manifest import announced_in, remove_left_behind
from colorbatch.records.state_folder import announcements
from colorbatch.run.engines.engine import SECONDS_TO_FINISH, ShutdownSchedule
from colorbatch.run.engines.pool import Pool, WorkerHandle, WorkerLost
from colorbatch.run.engines.worker import Finished, StopStep, Task, Unwritable
from colorbatch.run.output import failed
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.work import Announce, Outcome, Run
from colorbatch.stages import StageTimer

logger = logging.getLogger(__name__)

MAX_SHARED_DEATHS = 2
"""Number of workers that may die while they have a picture; then it gets one alone: others may be at fault."""
MAX_DEATHS_ALONE = 2
"""Number of workers that may die while they have only this picture; then it fails."""


class Dispatch:
    """The pictures of a run: those that wait, those that workers have, and the deaths of their workers."""

    def __init__(
        self,
        pool: Pool,
        plan: Sequence[PlannedPicture],
        run: Run,
        announce: Announce,
        progress: ProgressReporter,
        stages: StageTimer,
    ) -> None:
        self._pool = pool
        self._run = run
        self._announce = announce
        self._progress = progress
        self._stages = stages
        self._possible_outputs = {name for each in plan for name in each.possible_outputs}
        self._waiting = deque(plan)
        self._waiting_alone: deque[PlannedPicture] = deque()
        """Pictures that get a worker alone."""
        self._in_progress: dict[str, ExitStack] = {}
        """Inputs that workers have, each with what ends its display as in progress."""
        self._deaths: Counter[str] = Counter()
        """Number of workers that died with an input."""
        self._deaths_alone: Counter[str] = Counter()
        """Number of those that had only this input."""
        self._token = secrets.token_hex(8)
        self._announced: dict[str, set[str]] = {}
        """Names and sha256 of what lost workers may have written in this run."""
        self._recorded: set[str | None] = set()
        """Outputs that have a row."""
        self._lost: list[int] = []
        """Numbers of workers that died, or that still had pictures at the end."""

    def outcomes(self, stop: threading.Event) -> Iterator[Outcome]:
        """Yield the outcome of each picture.

        Raises:
            OutputUnwritableError: no further output can be written; raised after the pictures in progress are finished.
            EnvironmentFailure: a worker does not see source or output, or none is left and none comes.

        """
        self._begin()
        steps: tuple[StopStep, ...] = ("beginning", "computing", "writing")
        shutdown = ShutdownSchedule(*(partial(self._pool.stop, step) for step in steps))
        longest = (len(steps) - 1) * SECONDS_TO_FINISH + self._run.output.seconds_to_write
        unwritable = ""
        try:
            while True:
                is_stopping = stop.is_set() or bool(unwritable)
                if is_stopping:
                    self._waiting.clear()
                    self._waiting_alone.clear()
                    if shutdown.advance() > longest:
                        break
                elif self._waiting or self._waiting_alone:
                    self._pool.fill()
                    self._submit_waiting()
                if not (self._waiting or self._waiting_alone or self._in_progress):
                    break
                for event in self._pool.results(is_stopping=is_stopping):
                    if isinstance(event, WorkerLost):
                        yield from self._retry(event)
                        continue
                    self._in_progress.pop(event.task.planned.input).close()
                    if isinstance(event.result, Unwritable):
                        unwritable = unwritable or event.result.reason
                    elif isinstance(event.result, Finished):
                        for stage, cost in event.result.stages.items():
                            self._stages.add(stage, cost)
                        row = event.result.outcome.row
                        self._recorded |= {row.output, row.sidecar_output}
                        yield event.result.outcome
        finally:
            self._abandon_pending()
        if unwritable:
            raise OutputUnwritableError(unwritable)

    def clean_up(self) -> None:
        """Delete outputs of lost workers that have no row. Call this when no worker writes any more."""
        if not self._lost:
            return
        for number in self._lost:
            self._collect_announcements(number)
        output = self._run.output
        remove_left_behind(output, self._possible_outputs)
        for name in self._announced.keys() - self._recorded:
            sha256 = output.sha256(name)
            if sha256 in self._announced[name] and sha256 not in self._run.written.get(name, ()):
                with suppress(OSError):
                    output.delete(name)

    def _begin(self) -> None:
        """Have the workers look for the folders.

        Raises:
            OutputUnwritableError: the output folder cannot be written.

        """
        mark = announcements(self._run.output, self._token, 0)
        if mark is not None:
            try:
                mark.create()
            except OSError as error:
                raise OutputUnwritableError(f"cannot write to {self._run.output.shown}: {reason_of(error)}") from error
        self._pool.begin(self._token)

    def _submit_waiting(self) -> None:
        """Submit as many pictures as the workers can take."""
        if self._waiting_alone and (worker := self._pool.idle_worker()):
            self._submit(worker, self._waiting_alone.popleft())
        while self._waiting and (worker := self._pool.worker_with_room()):
            self._submit(worker, self._waiting.popleft())

    def _submit(self, worker: WorkerHandle, planned: PlannedPicture) -> None:
        names = {planned.output_name, planned.input, *planned.possible_outputs}
        written: dict[str, AbstractSet[str]] = {
            name: {*self._run.written.get(name, ()), *self._announced.get(name, ())} for name in names
        }
        self._in_progress[planned.input] = display = ExitStack()
        display.enter_context(self._progress.working_on(planned.input))
        self._pool.submit(worker, Task(planned, self._run.earlier.get(planned.input), written))

    def _retry(self, lost: WorkerLost) -> Iterator[Outcome]:
        """Put the pictures of a lost worker back, and yield the outcomes of those that are given up."""
        self._lost.append(lost.number)
        self._collect_announcements(lost.number)
        for task in lost.tasks:
            planned, name = task.planned, task.planned.input
            self._in_progress.pop(name).close()
            self._deaths[name] += 1
            self._deaths_alone[name] += lost.was_alone
            if self._deaths_alone[name] >= MAX_DEATHS_ALONE:
                reason = f"the workers that coloured it died {self._deaths[name]} times; it may need too much memory"
                outcome = failed(planned, self._run, reason)
                self._recorded |= {outcome.row.output, outcome.row.sidecar_output}
                yield outcome
            elif self._deaths[name] >= MAX_SHARED_DEATHS:
                self._waiting_alone.append(planned)
            else:
                self._waiting.appendleft(planned)

    def _abandon_pending(self) -> None:
        """Stop waiting for the pictures in progress."""
        self._lost += self._pool.abandon_tasks()
        for display in self._in_progress.values():
            display.close()
        self._in_progress.clear()

    def _collect_announcements(self, number: int) -> None:
        """Read what a lost worker may have written, and delete its announcements: without them it writes no more.

        The worker may still run, out of reach. In an object store, workers announce nothing.
        """
        notes = announcements(self._run.output, self._token, number)
        if notes is None:
            return
        try:
            lines = notes.read().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._run.output.unavailable(error) from error
        for each in announced_in(lines):
            self._announce(*each)
            self._announced.setdefault(each.output, set()).add(each.sha256)
        with suppress(OSError):
            notes.delete()
