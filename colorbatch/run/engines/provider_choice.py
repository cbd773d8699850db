"""The choice of the execution provider: the one with which a run is finished sooner."""

from colorbatch.inference.model_file import ModelFile, read_model_file
from colorbatch.inference.provider import is_in_this_build
from colorbatch.job import BatchJob, ProviderName
from colorbatch.machine import usable_cores

SECONDS_TO_START = 4.0
"""Time until a GPU has finished its first picture: loading CUDA's libraries, planning for each shape."""
SECONDS_ON_A_CORE = 0.03
"""Time of the built-in model for one picture at a working size of 192, on one core."""
_USUAL_SIZE = 192


def choose_provider(job: BatchJob, pictures: int, model: ModelFile | None = None) -> tuple[ProviderName, str]:
    """Return the provider to open for a run, and the reason; the reason is empty if there was no choice.

    ``auto`` is returned if a GPU saves time: it is used if it starts. A GPU computes the network only; the cores still
    decode, merge and encode. That must save more time than the GPU needs to start.

    Args:
        job: the job, whose provider may be ``auto``.
        pictures: maximum number of pictures to colour.
        model: that of the job, if it was read already.

    Raises:
        ModelRefusedError: the model does not keep the contract.

    """
    if job.provider != "auto":
        return job.provider, ""
    if not is_in_this_build("cuda"):
        return "cpu", ""
    model = model or read_model_file(job.model)
    size = job.options.working_size or model.contract.working_size
    saved = pictures * SECONDS_ON_A_CORE * (size / _USUAL_SIZE) ** 2 / (job.jobs or usable_cores())
    if saved < SECONDS_TO_START:
        return "cpu", f"a GPU would save {saved:.1f} s, and takes {SECONDS_TO_START:.0f} s to start"
    return "auto", f"a GPU saves about {saved:.0f} s"
