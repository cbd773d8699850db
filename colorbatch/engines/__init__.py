"""Who makes the outputs of a run: the threads of this process, child processes, or the workers of a cluster."""

import logging

from colorbatch.engines.engine import Engine
from colorbatch.engines.local import LocalEngine, OpenedExecutor, ThisProcess, open_colorizer, workers_of
from colorbatch.errors import EnvironmentFailure, UsageError
from colorbatch.job import BatchJob

logger = logging.getLogger(__name__)

PICTURES_FOR_A_PROCESS = 16
"""That each of several child processes is to have before it pays to start them."""


def open_engine(job: BatchJob, pictures: int) -> Engine:
    """Open the engine that a job asks for, and its model; nothing is written yet.

    Args:
        job: of the engine.
        pictures: which the job may have to colour.

    Raises:
        ModelRefusedError: the model does not keep the contract.
        EnvironmentFailure: ONNX Runtime, the provider or the cluster is missing.
        UsageError: the options do not fit the model, or each other.

    """
    if job.engine == "ray":
        from colorbatch.engines.cluster import ClusterEngine

        return ClusterEngine(job)
    of_ray = (job.ray_address, job.num_gpus_per_worker, job.cpus_per_worker)
    if of_ray != (BatchJob.ray_address, BatchJob.num_gpus_per_worker, BatchJob.cpus_per_worker):
        raise UsageError("options of Ray were given without --engine ray")
    return LocalEngine(job, _open_executor(job, pictures))


def _open_executor(job: BatchJob, pictures: int) -> OpenedExecutor:
    """Open the model in this process, or in a child process where that pays."""
    count = workers_of(job)
    is_wanted = job.engine == "processes"
    if is_wanted or (job.engine == "auto" and job.provider != "cuda" and pictures >= PICTURES_FOR_A_PROCESS * count):
        from colorbatch.engines.children import ChildDiedError, ChildProcesses

        try:
            executor = ChildProcesses(job, count)
        except ChildDiedError as error:
            if is_wanted:
                raise EnvironmentFailure(str(error), advice="Give --engine threads.") from error
            logger.warning("%s; this process computes by itself", error)
        else:
            if is_wanted or executor.provider == "cpu":
                return executor
            executor.close()  # the threads of one process share a GPU, and fill its batches
    return ThisProcess(open_colorizer(job), count)
