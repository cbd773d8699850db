import subprocess
import sys

import pytest

from colorbatch.machine import usable_cores


def test_there_is_at_least_one() -> None:
    assert usable_cores() >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="where a process can be kept to some cores")
def test_a_process_that_is_kept_to_one_core_counts_one() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from colorbatch.machine import usable_cores; print(usable_cores())"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"1\n"
