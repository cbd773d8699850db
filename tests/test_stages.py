import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from colorbatch.stages import StageTimer


def test_stages_are_summed_over_threads() -> None:
    timer = StageTimer()

    def work(_: int) -> None:
        with timer.timed("decode") as cost:
            time.sleep(0.02)
            cost.megabytes = 1.5
        with timer.timed("write"):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert list(timer.costs) == ["decode", "write"]
    decode = timer.costs["decode"]
    assert decode.megabytes == 12
    assert 0.16 <= decode.seconds < 3
    assert decode.cpu_seconds < 0.1, "sleeping takes no processor"
    assert timer.costs["write"].megabytes == 0


def test_a_stage_that_fails_is_counted() -> None:
    timer = StageTimer()
    with pytest.raises(KeyError), timer.timed("network"):
        raise KeyError
    assert timer.costs["network"].seconds > 0
