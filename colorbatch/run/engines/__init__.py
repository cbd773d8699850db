"""Engines, which make the outputs of a run: in threads, in child processes, or on a Ray cluster."""

import logging
from dataclasses import replace

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

logger = logging.getLogger(__name__)

PICTURES_FOR_A_PROCESS = 16
"""Number of pictures per child process from which starting several processes saves time."""


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
    session = None if provider == "cpu" else open_session(replace(job, provider=provider), model)
    if session is not None and not session.on_gpu:
        session, reason = None, "the GPU does not start; colorbatch doctor says why"
    executor = _open_executor(replace(job, provider="cpu") if session is None else job, model, session, pictures)
    return LocalEngine(job, executor, reason, is_remote=is_remote)


def _open_executor(job: BatchJob, model: ModelFile, gpu: Session | None, pictures: int) -> OpenedExecutor:
    """Open child processes if that saves time, else an executor in this process.

    Args:
        job: the job whose options select the executor.
        model: its model.
        gpu: the model on a GPU; ``None``: the executor opens the model on the CPU.
        pictures: maximum number of pictures to colour.

    """
    count = workers_of(job)
    is_wanted = job.engine == "processes"
    if is_wanted or (job.engine == "auto" and pictures >= PICTURES_FOR_A_PROCESS * count):
        children = count if gpu is not None else models_that_fit(job, model, count)
        if children < count:
            _tell_of_fewer(job, model, children, count)
        if children < min(count, 2) and not is_wanted:
            return ThisProcess(open_session(job, model), job, count)
        from colorbatch.run.engines.child_process import ChildDiedError
        from colorbatch.run.engines.children import ChildExecutor

        try:
            return ChildExecutor(job, children, model, gpu)
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
