"""How many cores there are for us."""

import os
import sys


def usable_cores() -> int:
    """Return how many cores this process may run on: of a machine that others share, those it was given."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
