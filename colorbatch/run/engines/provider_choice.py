"""Which execution provider a run takes when it is left the choice: the one that is done sooner."""

from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.provider import is_in_this_build
from colorbatch.job import BatchJob, ProviderName
from colorbatch.machine import usable_cores

SECONDS_TO_START = 4.0
"""That a GPU takes before its first picture is done: CUDA's libraries, and a plan for each shape."""
SECONDS_ON_A_CORE = 0.03
"""That the built-in model takes for a picture at a working size of 192, on one core."""
_USUAL_SIZE = 192


def choose_provider(job: BatchJob, pictures: int) -> tuple[ProviderName, str]:
    """Return the provider to open for a run, and the reason for it where there was a choice.

    ``auto`` stays where a GPU pays: it is taken where it starts. A GPU takes the network off the cores, which still
    decode, merge and encode; that has to save more than it takes to start it.

    Args:
        job: whose provider may be ``auto``.
        pictures: which the job may have to colour.

    Raises:
        ModelRefusedError: the model does not keep the contract.

    """
    if job.provider != "auto":
        return job.provider, ""
    if not is_in_this_build("cuda"):
        return "cpu", ""
    model = read_model_file(job.model)
    size = job.options.working_size or model.contract.working_size
    saved = pictures * SECONDS_ON_A_CORE * (size / _USUAL_SIZE) ** 2 / (job.jobs or usable_cores())
    if saved < SECONDS_TO_START:
        return "cpu", f"a GPU would save {saved:.1f} s, and takes {SECONDS_TO_START:.0f} s to start"
    return "auto", f"a GPU saves about {saved:.0f} s"
