"""Give pictures to the workers of a cluster, and take their rows: whatever dies, no picture is lost."""

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, suppress
from functools import partial
from types import ModuleType

from colorbatch.errors import OutputUnwritableError, reason_of
from colorbatch.progress import ProgressReporter
from colorbatch.records.manifest import announced_in, remove_left_behind
from colorbatch.records.state_folder import announcements
from colorbatch.run.engines.engine import SECONDS_BETWEEN_LOOKS, SECONDS_TO_FINISH, ShutdownSchedule
from colorbatch.run.engines.pool import DEAD, Pending, Pool, WorkerHandle
from colorbatch.run.engines.worker import Finished, Stopped, StopStep, Task, TaskResult, Unwritable
from colorbatch.run.output import Outcome, Run, failed
from colorbatch.run.plan import PlannedPicture
from colorbatch.stages import StageTimer

logger = logging.getLogger(__name__)

MAX_SHARED_DEATHS = 2
"""Of workers that had a picture in work, after which one gets it alone: perhaps it was another one that kills."""
MAX_DEATHS_ALONE = 2
"""After which a picture is given up."""


class Dispatch:
    """Gives pictures to workers, and takes their rows."""

    def __init__(
        self,
        ray: ModuleType,
        pool: Pool,
        plan: Sequence[PlannedPicture],
        run: Run,
        announce: Callable[[str, str], None],
        progress: ProgressReporter,
        stages: StageTimer,
    ) -> None:
        self._ray = ray
        self._pool = pool
        self._run = run
        self._announce = announce
        self._progress = progress
        self._stages = stages
        self._possible_outputs = {name for each in plan for name in each.possible_outputs}
        self._upcoming = deque(map(Pending, plan))
        self._alone: deque[Pending] = deque()
        """Those that are given to a worker that does nothing else."""
        self._token = secrets.token_hex(8)
        self._announced: dict[str, set[str]] = {}
        """What workers of this run that died may have written."""
        self._claimed: set[str | None] = set()
        """Outputs that rows tell of."""
        self._lost: list[WorkerHandle] = []
        """Workers that died, or were left while they were at work."""
        self._is_stopping = False

    def outcomes(self, stop: threading.Event) -> Iterator[Outcome]:
        """Yield what became of each picture.

        Raises:
            OutputUnwritableError: no further output can be written; raised after the pictures in work are finished.
            EnvironmentFailure: a worker does not see source or output, or none is left and none comes.

        """
        self._begin()
        steps: tuple[StopStep, ...] = ("beginning", "computing", "writing")
        shutdown = ShutdownSchedule(*(partial(self._pool.stop, step) for step in steps))
        longest = (len(steps) - 1) * SECONDS_TO_FINISH + self._run.output.seconds_to_write
        unwritable = ""
        try:
            while True:
                self._is_stopping = stop.is_set() or bool(unwritable)
                if self._is_stopping:
                    self._upcoming.clear()
                    self._alone.clear()
                    if shutdown.advance() > longest:
                        break
                elif self._is_left:
                    self._pool.fill()
                    self._hand_out()
                if not self._is_left and not any(hand.in_work for hand in self._pool.hands):
                    break
                for result in self._finished():
                    if isinstance(result, Unwritable):
                        unwritable = unwritable or result.reason
                    elif isinstance(result, Finished):
                        self._claimed.add(result.outcome.row.output)
                        yield result.outcome
        finally:
            self._forget()
        if unwritable:
            raise OutputUnwritableError(unwritable)

    @property
    def _is_left(self) -> bool:
        """Whether there are pictures that no worker has."""
        return bool(self._upcoming or self._alone)

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

    def _forget(self) -> None:
        """Wait no more for what is in work."""
        self._lost += [hand for hand in self._pool.hands if hand.in_work]
        for hand in self._pool.hands:
            for _, context in hand.in_work.values():
                context.close()
            hand.in_work.clear()

    def clean_up(self) -> None:
        """Leave nothing of workers that are gone but what a row tells of; call it when none writes any more."""
        if not self._lost:
            return
        for hand in self._lost:
            self._take_over(hand)
        output = self._run.output
        remove_left_behind(output, self._possible_outputs)
        for name in self._announced.keys() - self._claimed:
            found = output.sha256(name)
            if found in self._announced[name] and found not in self._run.written.get(name, ()):
                with suppress(OSError):
                    output.delete(name)

    def _hand_out(self) -> None:
        """Give every worker as much as it can take."""
        self._pool.take_on()
        hands = [hand for hand in self._pool.hands if hand.started is None and not hand.is_alone]
        if self._alone and hands:  # one of them is given no more until it has nothing left
            reserved = min(hands, key=lambda hand: len(hand.in_work))
            hands.remove(reserved)
            if not reserved.in_work:
                reserved.is_alone = True
                self._give(reserved, self._alone.popleft())
        while self._upcoming and hands:
            hand = min(hands, key=lambda hand: len(hand.in_work))
            if len(hand.in_work) >= self._pool.room:
                break
            self._give(hand, self._upcoming.popleft())

    def _give(self, hand: WorkerHandle, picture: Pending) -> None:
        planned = picture.planned
        names = (planned.output_name, planned.input)
        written: dict[str, AbstractSet[str]] = {
            name: {*self._run.written.get(name, ()), *self._announced.get(name, ())} for name in names
        }
        task = Task(planned, self._run.earlier.get(planned.input), written)
        context = ExitStack()
        context.enter_context(self._progress.working_on(planned.input))
        hand.in_work[self._pool.submit(hand, task)] = (picture, context)

    def _finished(self) -> Iterator[TaskResult]:
        """Yield what came of the pictures that were finished since the last look; wait a moment if none was."""
        of_promise = {promise: hand for hand in self._pool.hands for promise in hand.in_work}
        if not of_promise:
            return
        promises = list(of_promise)
        ready, _ = self._ray.wait(promises, num_returns=1, timeout=SECONDS_BETWEEN_LOOKS)
        if ready:
            ready, _ = self._ray.wait(promises, num_returns=len(promises), timeout=0)
        for promise in ready:
            hand = of_promise[promise]
            if promise not in hand.in_work:  # its worker was found dead by another one
                continue
            result = self._pool.outcome(hand, promise)
            if result is DEAD:
                yield from self._on_worker_death(hand)
                continue
            if isinstance(result, Stopped) and not self._is_stopping:
                logger.warning("worker %d is given up: the file in which it records its outputs is gone", hand.number)
                self._pool.kill(hand)
                yield from self._on_worker_death(hand)
                continue
            _, context = hand.in_work.pop(promise)
            context.close()
            hand.is_alone = False
            if isinstance(result, Finished):
                for stage, cost in result.stages.items():
                    self._stages.add(stage, cost)
            yield result

    def _on_worker_death(self, hand: WorkerHandle) -> Iterator[TaskResult]:
        """Take back what a worker had in work that died; yield rows of what is not tried again."""
        self._lost.append(hand)
        self._pool.hands.remove(hand)
        self._take_over(hand)
        for picture, context in hand.in_work.values():
            context.close()
            picture.deaths += 1
            picture.deaths_alone += hand.is_alone
            if picture.deaths_alone >= MAX_DEATHS_ALONE:
                reason = f"the workers that coloured it died {picture.deaths} times; it may need too much memory"
                yield Finished(failed(picture.planned, self._run, reason))
            elif picture.deaths >= MAX_SHARED_DEATHS:
                self._alone.append(picture)
            else:
                self._upcoming.appendleft(picture)
        hand.in_work.clear()

    def _take_over(self, hand: WorkerHandle) -> None:
        """Know what a worker that is gone may have written, and take its notes away: without them it writes no more.

        It may be out of reach only, and still at work. In a store, workers note nothing.
        """
        notes = announcements(self._run.output, self._token, hand.number)
        if notes is None:
            return
        try:
            lines = notes.read().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._run.output.unavailable(error) from error
        for name, sha256 in announced_in(lines):
            self._announce(name, sha256)
            self._announced.setdefault(name, set()).add(sha256)
        with suppress(OSError):
            notes.delete()
