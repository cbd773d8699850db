"""A share of a job that is split over processes or machines."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from colorbatch.errors import UsageError

MOST_SHARDS = 100_000
"""Maximum number of shards of one job: far more than anybody needs."""
_SLURM_PREFIX = "SLURM_ARRAY_TASK_"


@dataclass(frozen=True)
class Shard:
    """One of ``count`` shares of the sources, chosen by their names alone."""

    index: int
    """1..count."""
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count <= MOST_SHARDS:
            raise UsageError(
                f"there is no shard {self.index} of {self.count}",
                advice=f"Give I/N with I from 1 to N, and N at most {MOST_SHARDS}.",
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def holds(self, name: str) -> bool:
        """Return whether a source belongs to this shard, by the sha256 of its path below the source.

        So a source stays in its shard whatever others are added or removed, on every machine and in every locale.
        """
        import hashlib  # slow to import, which the help need not wait for

        digest = hashlib.sha256(os.fsencode(name)).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str]) -> "Shard":
        """Parse ``I/N``, or ``auto``: the task of a SLURM array described in ``environment``.

        Raises:
            UsageError: it is neither, or there is no such shard.

        """
        if text == "auto":
            return _slurm_shard(environment)
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        if found is None:
            raise UsageError(f"{text!r} is not a shard", advice="Give I/N, such as 3/7, or auto in a SLURM array.")
        return cls(int(found[1]), int(found[2]))


def _slurm_shard(environment: Mapping[str, str]) -> Shard:
    """Return the shard of a task of a SLURM job array, which may begin at any number and have a step.

    Source: https://slurm.schedmd.com/job_array.html, "Job ID and Environment Variables".

    Raises:
        UsageError: this is not such a task, or its array has gaps.

    """
    try:
        task, count, first = (int(environment[_SLURM_PREFIX + name]) for name in ("ID", "COUNT", "MIN"))
        step = int(environment.get(_SLURM_PREFIX + "STEP", "1"))
    except KeyError as error:
        raise UsageError(
            f"--shard auto needs the variable {error.args[0]} of a SLURM array",
            advice="Start it with sbatch --array=1-N, or give --shard I/N.",
        ) from None
    except ValueError:
        raise UsageError("the variables of the SLURM array are not numbers", advice="Give --shard I/N.") from None
    position, rest = divmod(task - first, max(step, 1))
    if rest or not 0 <= position < count:
        raise UsageError(
            f"task {task} does not fit a SLURM array of {count} consecutive tasks from {first} on: the array has gaps",
            advice="To rerun single tasks, as with --array=3,5, give --shard I/N with the original N.",
        )
    return Shard(position + 1, count)
