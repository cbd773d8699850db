"""The workers of a Ray cluster: each holds one opened model, and paths travel to it, never pixels.

Plain actors and a loop of our own, rather than Ray Data: a row comes back as soon as its picture is done, a run can be
stopped in the middle of an inference, and a picture that kills its worker can be told from those that were beside it.
"""

import io
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from colorbatch.colorizer import resolved
from colorbatch.cores import usable_cores
from colorbatch.discovery import PlannedPicture
from colorbatch.engines.engine import SECONDS_BETWEEN_LOOKS, SECONDS_TO_FINISH
from colorbatch.engines.local import waiting_threads, workers_of
from colorbatch.engines.worker import Outcome, StopStep, Task, Worker
from colorbatch.errors import ColorbatchError, EnvironmentFailure, OutputUnwritableError, UsageError
from colorbatch.extras import needs_extra
from colorbatch.job import BatchJob
from colorbatch.making import Run, failed
from colorbatch.manifest import Row, announced_in, remove_left_behind
from colorbatch.model_file import ModelFile, read_model_file
from colorbatch.progress import ProgressReporter, printable
from colorbatch.stages import StageTimer
from colorbatch.state import announcements_path
from colorbatch.store.store import open_store
from colorbatch.version import __version__

logger = logging.getLogger(__name__)

QUEUED = 2
"""Pictures that wait at a worker, so that it need not wait for us."""
DEATHS_IN_COMPANY = 2
"""Of workers that had a picture in work, after which one gets it alone: perhaps it was another one that kills."""
DEATHS_ALONE = 2
"""After which a picture is given up."""
DEATHS_AT_START = 5
"""Of workers one after the other, none of which came to work: then none will."""
SECONDS_WITHOUT_WORKERS = 120.0
"""For which a run waits for a worker before it gives up."""
_START_ONE = (
    "Start one with ray start --head, and give its address, or auto on the machine where it runs. "
    "One that asks for a token needs RAY_AUTH_MODE=token in the environment, here too."
)
_SECONDS_BETWEEN_COUNTS = 1.0
"""Of the nodes."""
_SECONDS_TO_CONNECT = 5.0
_SECONDS_TO_END = 5.0
"""For which workers are waited for that are to write nothing any more."""


class ClusterEngine:
    """An :class:`~colorbatch.engines.engine.Engine` of Ray actors."""

    def __init__(self, job: BatchJob) -> None:
        """Connect to a cluster, or start one on this machine, and wait until a worker has opened the model.

        Raises:
            MissingExtraError: Ray is not installed.
            EnvironmentFailure: there is no cluster at that address, it has no room for a worker, or ONNX Runtime or the
                provider is missing there.
            ModelRefusedError: the model does not keep the contract.
            UsageError: the options do not fit the model, or make no sense.

        """
        if job.shard is not None:
            raise UsageError("a shard cannot run on Ray", advice="Ray splits the job by itself: leave --shard out.")
        if job.ray_address is not None and "://" in job.ray_address:
            raise UsageError(
                f"{job.ray_address} is no address of a cluster", advice="Give HOST:PORT of its head, or auto."
            )
        workers_of(job)
        self.model = read_model_file(job.model)
        self.options = resolved(job.options, self.model.contract)
        self.stages = StageTimer()
        self._ray = _import_ray()
        self._open = ExitStack()
        """What is to be undone at the end."""
        try:
            if not self._ray.is_initialized():
                self._open.enter_context(redirect_stdout(_Notes()))
                _connect(self._ray, job.ray_address)
                self._open.callback(self._ray.shutdown)
            everywhere = replace(job, source=job.source.absolute(), output=job.output.absolute())
            self._pool = _Pool(self._ray, everywhere, self.model)
            self._open.callback(self._pool.end)
            self.provider = self._pool.first_provider()
        except BaseException:
            self.close()
            raise

    def rows(  # noqa: D102 (as Engine says)
        self,
        plan: Sequence[PlannedPicture],
        run: Run,
        announce: Callable[[str, str], None],
        stop: threading.Event,
        progress: ProgressReporter,
    ) -> Iterator[tuple[Row, bool]]:
        dispatch = _Dispatch(self._ray, self._pool, plan, run, announce, progress, self.stages)
        try:
            yield from dispatch.rows(stop)
        finally:
            self._pool.end()
            dispatch.clean_up()

    def close(self) -> None:
        """End the workers, and the cluster if it was started here."""
        self._open.close()


class _Notes(io.TextIOBase):
    """Takes what Ray prints, which is not what was asked for on stdout, and logs it."""

    def write(self, text: str) -> int:
        for line in filter(str.strip, text.splitlines()):
            logger.info("Ray: %s", printable(line))
        return len(text)


def _import_ray() -> ModuleType:
    """Return the package ``ray``, which reads its environment when it is imported.

    Raises:
        MissingExtraError: it is not installed.

    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with needs_extra("ray"):
        import ray
    module: ModuleType = ray
    return module


def _connect(ray: ModuleType, address: str | None) -> None:
    """Connect to a cluster.

    Raises:
        EnvironmentFailure: there is none.

    """
    if address is not None:
        _refuse_silent(address)
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # its own handler writes to stderr; what matters is raised
    own = {"num_cpus": usable_cores(), "include_dashboard": False} if address is None else {}
    with _own_signals(), suppress(RuntimeWarning, FutureWarning):
        try:
            ray.init(address or "local", configure_logging=False, log_to_driver=False, **own)
        except Exception as error:  # its exceptions share no base below Exception
            if address is None:
                raise EnvironmentFailure(f"Ray does not start on this machine: {error}") from error
            raise EnvironmentFailure(
                f"there is no Ray cluster at {address}: {str(error).splitlines()[0]}",
                advice=_START_ONE,
            ) from error


def _refuse_silent(address: str) -> None:
    """Raise where nobody listens: Ray itself would try for many minutes.

    Raises:
        EnvironmentFailure: nobody does.

    """
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):  # auto, which Ray looks into by itself
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise EnvironmentFailure(f"there is no Ray cluster at {address}: {error}", advice=_START_ONE) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals as they are: Ray would set its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@dataclass
class _Picture:
    """One that is still to be done."""

    planned: PlannedPicture
    deaths: int = 0
    """Of workers that had it in work."""
    deaths_alone: int = 0
    """Of these, workers that had nothing else."""


@dataclass
class _Hand:
    """A worker as it is seen from here."""

    actor: Any
    number: int
    started: Any
    """The promise that it has opened the model; ``None`` once it is at work."""
    in_work: dict[Any, tuple[_Picture, ExitStack]] = field(default_factory=dict)
    """By the promises of their outcomes."""
    is_alone: bool = False
    """Whether what it has in work is to be the only one."""


class _Pool:
    """The workers: as many as there is room for, and new ones for those that die."""

    def __init__(self, ray: ModuleType, job: BatchJob, model: ModelFile) -> None:
        """Start the workers.

        Raises:
            EnvironmentFailure: there is no room for any.

        """
        self._ray = ray
        self._job = job
        self._model = ray.put(model)
        at_a_time = job.cpus_per_worker + waiting_threads(job, job.cpus_per_worker)
        self.room = at_a_time + QUEUED
        """Pictures that a worker is given at a time."""
        gpus = job.num_gpus_per_worker
        self._needs = {"CPU": job.cpus_per_worker, "GPU": float(job.provider == "cuda") if gpus is None else gpus}
        self._actor_of = ray.remote(
            num_cpus=self._needs["CPU"],
            num_gpus=self._needs["GPU"],
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={"pictures": at_a_time, "control": 1},
        )(Worker)
        self.hands: list[_Hand] = []
        self._refused: list[_Hand] = []
        """Those that cannot work, as on a node that does not see the folders, while others can."""
        self._count = 0
        self._deaths_at_start = 0
        self._idle_since = time.monotonic()
        self._run = ""
        self._provider = ""
        self._wanted = self._places()
        self._looked_at = time.monotonic()
        if not self._wanted:
            there = self._ray.cluster_resources()
            needs = " and ".join(f"{need:g} {name}s" for name, need in self._needs.items() if need)
            raise EnvironmentFailure(
                f"the cluster has no room for a worker: it needs {needs}, and there are "
                f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs in all",
                advice="Add nodes, or give fewer --cpus-per-worker or --num-gpus-per-worker.",
            )
        self.fill()

    def _places(self) -> int:
        """Return how many workers there is room for on all nodes."""
        places = 0
        for node in self._ray.nodes():
            there = node["Resources"] if node["Alive"] else {}
            places += int(min(there.get(name, 0) // need for name, need in self._needs.items() if need))
        return min(places, self._job.jobs or places)

    def fill(self) -> None:
        """Start workers where there is room for more, as where nodes have joined.

        Raises:
            EnvironmentFailure: none is at work, and none comes.

        """
        now = time.monotonic()
        if now - self._looked_at > _SECONDS_BETWEEN_COUNTS:
            self._looked_at, self._wanted = now, self._places()
        while len(self.hands) + len(self._refused) < self._wanted:
            self._count += 1
            actor = self._actor_of.remote(self._job, self._model, self._count)
            started = self._called(actor, "begin" if self._run else "open", __version__, *filter(None, [self._run]))
            self.hands.append(_Hand(actor, self._count, started))
        if any(hand.started is None for hand in self.hands):
            self._idle_since = now
        if now - self._idle_since > SECONDS_WITHOUT_WORKERS:
            raise EnvironmentFailure(
                f"no worker has been at work for {SECONDS_WITHOUT_WORKERS:.0f} s: the cluster has no node for one left",
                advice="Look at the cluster with: ray status. Then run the same command again to go on.",
            )

    def first_provider(self) -> str:
        """Return the execution provider of the first worker that has started.

        Raises:
            ColorbatchError: it did not start.

        """
        while True:
            self.fill()
            self.take_on()
            if self._provider:
                return self._provider

    def begin(self, run: str) -> None:
        """Have workers look for the folders of the run from now on."""
        self._run = run
        for hand in self.hands:
            hand.started = self._called(hand.actor, "begin", __version__, run)

    def take_on(self) -> None:
        """Note which workers have come to work since the last look; wait a moment for them if none is at work.

        Raises:
            ColorbatchError: one cannot work, nor could another.

        """
        waiting = {hand.started: hand for hand in self.hands if hand.started is not None}
        if not self.hands:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        if not waiting:
            return
        is_idle = len(waiting) == len(self.hands)
        ready, _ = self._ray.wait(list(waiting), num_returns=1, timeout=SECONDS_BETWEEN_LOOKS if is_idle else 0)
        for promise in ready:
            hand = waiting[promise]
            try:
                answer = self.outcome(hand, promise)
            except ColorbatchError as error:
                if is_idle:
                    raise
                logger.warning("Done without worker %d: %s", hand.number, error)
                self._refused.append(hand)  # it keeps its place, so that no other one is started there
                self.hands.remove(hand)
                continue
            if answer is _DEAD:
                self._deaths_at_start += 1
                self.hands.remove(hand)
                if self._deaths_at_start >= DEATHS_AT_START:
                    raise EnvironmentFailure(
                        f"{DEATHS_AT_START} workers one after the other died when they started",
                        advice="Their logs are in the folder of the Ray session. Is there memory enough on the nodes?",
                    )
            else:
                self._deaths_at_start = 0
                self._provider = self._provider or answer
                hand.started = None

    def hand_over(self, hand: _Hand, task: Task) -> Any:  # noqa: ANN401 (Ray's)
        """Give a worker a picture; return the promise of its outcome."""
        return hand.actor.make.options(concurrency_group="pictures").remote(task)

    def outcome(self, hand: _Hand, promise: Any) -> Any:  # noqa: ANN401 (Ray's)
        """Return what was promised by a worker, or ``_DEAD``.

        Raises:
            ColorbatchError: as the worker did.

        """
        try:
            return self._ray.get(promise)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ColorbatchError):
                raise error.cause from None
            raise
        except self._ray.exceptions.RayError as error:
            logger.warning("worker %d is gone: %s", hand.number, str(error).splitlines()[0])
            self.kill(hand)
            return _DEAD

    def kill(self, hand: _Hand) -> None:
        """Kill a worker, which may be dead already, or out of reach."""
        with suppress(Exception):
            self._ray.kill(hand.actor)

    def stop(self, step: StopStep) -> None:
        """Have every worker stop something."""
        for hand in self.hands:
            if hand.started is None:
                self._called(hand.actor, "stop", step)

    def end(self) -> None:
        """Kill every worker, once it writes nothing any more."""
        last = [self._called(hand.actor, "stop", "writing") for hand in self.hands if hand.started is None]
        if last:
            self._ray.wait(
                last, num_returns=len(last), timeout=_SECONDS_TO_END + open_store(self._job.output).seconds_to_write
            )
        for hand in (*self.hands, *self._refused):
            self._ray.kill(hand.actor)
        self.hands, self._refused = [], []

    def _called(self, actor: Any, method: str, *arguments: object) -> Any:  # noqa: ANN401 (Ray's)
        return getattr(actor, method).options(concurrency_group="control").remote(*arguments)


_DEAD = object()
"""What comes of a promise whose worker died."""


class _Dispatch:
    """Gives pictures to workers, and takes their rows."""

    def __init__(
        self,
        ray: ModuleType,
        pool: _Pool,
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
        self._upcoming = deque(map(_Picture, plan))
        self._alone: deque[_Picture] = deque()
        """Those that are given to a worker that does nothing else."""
        self._token = secrets.token_hex(8)
        self._announced: dict[str, set[str]] = {}
        """What workers of this run that died may have written."""
        self._claimed: set[str | None] = set()
        """Outputs that rows tell of."""
        self._lost: list[_Hand] = []
        """Workers that died, or were left while they were at work."""
        self._is_stopping = False

    def rows(self, stop: threading.Event) -> Iterator[tuple[Row, bool]]:
        """Yield the row of each picture, and whether its output was there already.

        Raises:
            OutputUnwritableError: no further output can be written; raised after the pictures in work are finished.
            EnvironmentFailure: a worker does not see source or output, or none is left and none comes.

        """
        self._begin()
        patience = _Patience(self._pool, self._run.folder.seconds_to_write)
        unwritable = ""
        try:
            while True:
                self._is_stopping = stop.is_set() or bool(unwritable)
                if self._is_stopping:
                    self._upcoming.clear()
                    self._alone.clear()
                    if patience.wanes():
                        break
                elif self._is_left:
                    self._pool.fill()
                    self._hand_out()
                if not self._is_left and not any(hand.in_work for hand in self._pool.hands):
                    break
                for outcome in self._finished():
                    unwritable = unwritable or outcome.unwritable
                    if outcome.row is not None:
                        self._claimed.add(outcome.row.output)
                        yield outcome.row, outcome.kept
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
        if isinstance(self._run.job.output, Path):
            mark = announcements_path(self._run.job.output, self._token, 0)
            try:
                mark.touch()
            except OSError as error:
                raise OutputUnwritableError(f"cannot write {mark}: {error.strerror or error}") from error
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
        remove_left_behind(self._run.job.output)
        folder = self._run.job.output
        if not isinstance(folder, Path):
            return
        for name in self._announced.keys() - self._claimed:
            found = self._run.folder.sha256(name)
            if found in self._announced[name] and found not in self._run.outputs.get(name, ()):
                with suppress(OSError):
                    (folder / name).unlink()

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

    def _give(self, hand: _Hand, picture: _Picture) -> None:
        planned = picture.planned
        names = (planned.output_name, planned.input)
        outputs: dict[str, AbstractSet[str]] = {
            name: {*self._run.outputs.get(name, ()), *self._announced.get(name, ())} for name in names
        }
        if isinstance(planned.source, Path):  # workers have other working folders
            planned = replace(planned, source=planned.source.absolute())
        task = Task(planned, self._run.previous.get(planned.input), outputs)
        context = ExitStack()
        context.enter_context(self._progress.working_on(planned.input))
        hand.in_work[self._pool.hand_over(hand, task)] = (picture, context)

    def _finished(self) -> Iterator[Outcome]:
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
            outcome = self._pool.outcome(hand, promise)
            if outcome is _DEAD:
                yield from self._mourned(hand)
                continue
            if outcome.row is None and not outcome.unwritable and not self._is_stopping:
                logger.warning("worker %d is given up: what it notes its outputs in is gone", hand.number)
                self._pool.kill(hand)
                yield from self._mourned(hand)
                continue
            _, context = hand.in_work.pop(promise)
            context.close()
            hand.is_alone = False
            for stage, cost in outcome.stages.items():
                self._stages.add(stage, cost)
            yield outcome

    def _mourned(self, hand: _Hand) -> Iterator[Outcome]:
        """Take back what a worker had in work that died; yield rows of what is not tried again."""
        self._lost.append(hand)
        self._pool.hands.remove(hand)
        self._take_over(hand)
        for picture, context in hand.in_work.values():
            context.close()
            picture.deaths += 1
            picture.deaths_alone += hand.is_alone
            if picture.deaths_alone >= DEATHS_ALONE:
                reason = f"the worker that coloured it died {picture.deaths} times; perhaps it needs too much memory"
                yield Outcome(failed(picture.planned, self._run, reason))
            elif picture.deaths >= DEATHS_IN_COMPANY:
                self._alone.append(picture)
            else:
                self._upcoming.appendleft(picture)
        hand.in_work.clear()

    def _take_over(self, hand: _Hand) -> None:
        """Know what a worker that is gone may have written, and take its notes away: without them it writes no more.

        It may be out of reach only, and still at work. In a store, workers note nothing.
        """
        if not isinstance(self._run.job.output, Path):
            return
        notes = announcements_path(self._run.job.output, self._token, hand.number)
        for name, sha256 in announced_in(notes):
            self._announce(name, sha256)
            self._announced.setdefault(name, set()).add(sha256)
        with suppress(OSError):
            notes.unlink()


class _Patience:
    """How long pictures in work are waited for once the run is to stop."""

    def __init__(self, pool: _Pool, seconds_to_write: float) -> None:
        self._pool = pool
        self._seconds_to_write = seconds_to_write
        self._since = 0.0
        self._steps = deque[tuple[float, StopStep]](
            [(0.0, "beginning"), (SECONDS_TO_FINISH, "computing"), (2 * SECONDS_TO_FINISH, "writing")]
        )

    def wanes(self) -> bool:
        """Break off what takes too long; return whether to leave it. Call it again and again."""
        now = time.monotonic()
        self._since = self._since or now
        while self._steps and now - self._since >= self._steps[0][0]:
            self._pool.stop(self._steps.popleft()[1])
        return now - self._since > 2 * SECONDS_TO_FINISH + self._seconds_to_write
