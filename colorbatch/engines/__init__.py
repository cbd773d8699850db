"""Who makes the outputs of a run: the threads of this process, or the workers of a cluster."""

from colorbatch.engines.engine import Engine
from colorbatch.engines.local import LocalEngine
from colorbatch.errors import UsageError
from colorbatch.job import BatchJob


def open_engine(job: BatchJob) -> Engine:
    """Open the engine that a job asks for, and its model; nothing is written yet.

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
    return LocalEngine(job)
