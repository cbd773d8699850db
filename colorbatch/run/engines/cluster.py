"""The engine of a Ray cluster: each worker holds one open model. Workers receive paths, never pixels.

It uses plain actors and its own loop instead of Ray Data: a row is returned as soon as its picture is finished, a run
can be stopped during an inference, and a picture that kills its worker is distinguished from others in progress there.
"""

import io
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import replace
from types import ModuleType

from typing_extensions import override

from colorbatch.environment import key_hidden
from colorbatch.errors import EnvironmentFailure, UsageError
from colorbatch.extras import needs_extra
from colorbatch.inference.colorizer import resolved
from colorbatch.inference.model_file import ModelFile
from colorbatch.job import BatchJob, RayOptions
from colorbatch.machine import usable_cores
from colorbatch.run.colorize import Recipe
from colorbatch.run.engines.dispatch import Dispatch
from colorbatch.run.engines.engine import Engine, Task
from colorbatch.run.engines.local import workers_of
from colorbatch.run.engines.pool import Pool, first_line
from colorbatch.run.work import Outcome
from colorbatch.stages import StageTimer
from colorbatch.text import printable

logger = logging.getLogger(__name__)

_START_ONE = (
    "Start one with ray start --head, and give its address, or auto on the machine where it runs. "
    "If it requires a token, set RAY_AUTH_MODE=token in the environment, on this machine too."
)
_SECONDS_TO_CONNECT = 5.0


class ClusterEngine(Engine):
    """An :class:`~colorbatch.run.engines.engine.Engine` that uses Ray actors."""

    def __init__(self, job: BatchJob, model: ModelFile, *, is_remote: bool) -> None:
        """Connect to a cluster, or start one on this machine, and wait until a worker has opened the model.

        Raises:
            MissingExtraError: Ray is not installed.
            EnvironmentFailure: there is no cluster at the address, it has no room for a worker, or ONNX Runtime or the
                provider is missing there.
            ModelRefusedError: the model does not keep the contract.
            UsageError: the options do not fit the model, or contradict each other.

        """
        if job.shard is not None:
            raise UsageError(
                "--shard cannot be used with --engine ray", advice="Ray splits the job by itself: leave --shard out."
            )
        address = (job.ray or RayOptions()).address
        if address is not None and "://" in address:
            raise UsageError(
                f"{address} is not the address of a cluster", advice="Give HOST:PORT of the head node, or auto."
            )
        workers_of(job)
        self.recipe = Recipe(job, model.released(), resolved(job.options, model.contract))
        self.stages = StageTimer()
        self.provider_reason = ""
        self._ray = _import_ray()
        self._open = ExitStack()
        """Cleanup at the end."""
        try:
            if not self._ray.is_initialized():
                self._open.enter_context(redirect_stdout(_LogWriter()))
                _connect(self._ray, address)
                self._open.callback(self._ray.shutdown)
            everywhere = replace(job, source=job.source.absolute(), output=job.output.absolute())
            self._pool = Pool(self._ray, everywhere, model, is_remote=is_remote)
            self._open.callback(self._pool.end)
            self._provider = self._pool.first_provider()
        except BaseException:
            self.close()
            raise

    @property
    @override
    def provider(self) -> str:
        return self._provider

    @override
    def outcomes(self, task: Task) -> Iterator[Outcome]:
        dispatch = Dispatch(self._pool, task.plan, task.run, task.announce, task.progress, self.stages)
        try:
            yield from dispatch.outcomes(task.stop)
        finally:
            self._pool.end(task.run.output.seconds_to_write)
            dispatch.clean_up()

    @override
    def close(self) -> None:
        self._open.close()


class _LogWriter(io.TextIOBase):
    """Logs what Ray prints on stdout."""

    def write(self, text: str) -> int:
        for line in filter(str.strip, text.splitlines()):
            logger.info("Ray: %s", printable(line))
        return len(text)


def _import_ray() -> ModuleType:
    """Import the package ``ray``, which reads its environment variables at that moment.

    Raises:
        MissingExtraError: Ray is not installed.

    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with needs_extra("ray"):
        import ray
    module: ModuleType = ray
    return module


def _connect(ray: ModuleType, address: str | None) -> None:
    """Connect to the cluster at an address, or start one on this machine.

    Raises:
        EnvironmentFailure: there is no cluster, or it does not start.

    """
    if address is not None:
        _refuse_silent(address)
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # its handler writes to stderr; errors are raised anyway
    own = {"num_cpus": usable_cores(), "include_dashboard": False} if address is None else {}
    with _own_signals(), key_hidden():
        try:
            ray.init(address or "local", configure_logging=False, log_to_driver=False, **own)
        except Exception as error:  # its exceptions have no common base class
            if address is None:
                raise EnvironmentFailure(f"Ray does not start on this machine: {error}") from error
            raise EnvironmentFailure(
                f"there is no Ray cluster at {address}: {first_line(error)}",
                advice=_START_ONE,
            ) from error


def _refuse_silent(address: str) -> None:
    """Check that a server listens at an address: Ray itself would retry for many minutes.

    Raises:
        EnvironmentFailure: no server listens.

    """
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):  # auto: Ray finds the address
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise EnvironmentFailure(f"there is no Ray cluster at {address}: {error}", advice=_START_ONE) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Restore the signal handlers afterwards: Ray sets its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
