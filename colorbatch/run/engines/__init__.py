"""Engines, which make the outputs of a run: in threads, in child processes, or on a Ray cluster."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from colorbatch.errors import EnvironmentFailure, UsageError
from colorbatch.inference.model_file import ModelFile, read_model_file
from colorbatch.inference.session import Session
from colorbatch.job import BatchJob
from colorbatch.run.engines.engine import Engine
from colorbatch.run.engines.local import (
    LocalEngine,
    OpenedExecutor,
    ThisProcess,
    memory_limit_of,
    models_that_fit,
    open_session,
    workers_of,
)
from colorbatch.run.engines.provider_choice import choose_provider

if TYPE_CHECKING:
    from colorbatch.run.engines.child_process import ChildProcess

logger = logging.getLogger(__name__)

PICTURES_FOR_A_PROCESS = 16
"""Number of pictures per core, or per job if that is chosen, from which starting several processes saves time."""


def open_engine(job: BatchJob, pictures: int, *, is_remote: bool, model: ModelFile | None = None) -> Engine:
    """Open the engine of a job, and its model. Nothing is written yet.

    Args:
        job: the job whose options select the engine.
        pictures: maximum number of pictures to colour.
        is_remote: whether source or output is in a remote store.
        model: that of the job, if it was read already.

    Raises:
        ModelRefusedError: the model does not keep the contract.
        EnvironmentFailure: ONNX Runtime, the provider or the cluster is missing.
        UsageError: the options do not fit the model, or each other.

    """
    if job.engine == "ray":
        from colorbatch.run.engines.cluster import ClusterEngine

        return ClusterEngine(job, model or read_model_file(job.model), is_remote=is_remote)
    if job.ray is not None:
        raise UsageError("options for Ray need --engine ray")
    model = model or read_model_file(job.model)
    provider, reason = choose_provider(job, pictures, model)
    if provider != "cpu":
        executor = _open_on_gpu(replace(job, provider=provider), model, pictures)
        if executor is not None:
            return LocalEngine(executor, reason, is_remote=is_remote)
        reason = "the GPU does not start; colorbatch doctor says why"
    return LocalEngine(_open_executor(replace(job, provider="cpu"), model, pictures), reason, is_remote=is_remote)


def _open_on_gpu(job: BatchJob, model: ModelFile, pictures: int) -> OpenedExecutor | None:
    """Open an executor that uses the GPU; return ``None`` if it does not start and the job's provider is ``auto``.

    Child processes import their libraries while this process opens the model.
    """
    with ExitStack() as undo:
        started = _start_children(workers_of(job, on_gpu=True), undo) if _wants_children(job, pictures) else []
        session = open_session(job, model)
        if not session.on_gpu:
            return None
        executor = _open_executor(job, model, pictures, session, started)
        undo.pop_all()
    return executor


def _wants_children(job: BatchJob, pictures: int) -> bool:
    """Return whether starting child processes saves time, or is requested."""
    is_worth_it = job.engine == "auto" and pictures >= PICTURES_FOR_A_PROCESS * workers_of(job)
    return job.engine == "processes" or is_worth_it


def _start_children(count: int, undo: ExitStack) -> list["ChildProcess"]:
    """Start up to ``count`` child processes; ``undo`` ends them."""
    from colorbatch.run.engines.child_process import ChildDiedError, ChildProcess

    started: list[ChildProcess] = []
    with suppress(ChildDiedError):  # reported when the executor tries to start the next one
        while len(started) < count:
            started.append(ChildProcess())
            undo.callback(started[-1].close)
    return started


def _open_executor(
    job: BatchJob,
    model: ModelFile,
    pictures: int,
    gpu: Session | None = None,
    started: Sequence["ChildProcess"] = (),
) -> OpenedExecutor:
    """Open child processes if that saves time, else an executor in this process.

    Args:
        job: the job whose options select the executor.
        model: its model.
        pictures: maximum number of pictures to colour.
        gpu: the model on a GPU; ``None``: the executor opens the model on the CPU.
        started: child processes that were started before.

    """
    count = workers_of(job, on_gpu=gpu is not None)
    is_wanted = job.engine == "processes"
    if _wants_children(job, pictures):
        children = count if gpu is not None else models_that_fit(job, model, count)
        if children < count:
            _tell_of_fewer(job, model, children, count)
        if children < min(count, 2) and not is_wanted:
            return ThisProcess(open_session(job, model), job, count)
        from colorbatch.run.engines.child_process import ChildDiedError
        from colorbatch.run.engines.children import ChildExecutor

        try:
            return ChildExecutor(job, children, model, gpu, started)
        except ChildDiedError as error:
            if is_wanted:
                raise EnvironmentFailure(str(error), advice="Give --engine threads.") from error
            logger.warning("%s; this process computes itself", error)
    return ThisProcess(gpu or open_session(job, model), job, count)


def _tell_of_fewer(job: BatchJob, model: ModelFile, children: int, wanted: int) -> None:
    logger.info(
        "The model takes %.1f GB in each process that opens it, and %.1f GB while it does; memory for pictures and "
        "models: %.1f GB. Child processes: %d instead of %d",
        model.bytes_open / 1e9,
        model.bytes_opening / 1e9,
        memory_limit_of(job) / 1e9,
        children,
        wanted,
    )
