"""Deadlines of inferences, with objects that stand in for ONNX Runtime's options."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from helpers import wait_until

from colorbatch.inference.watchdog import Watchdog


class Options:
    """Notes when it was asked to terminate."""

    def __init__(self) -> None:
        self.terminate = False


@contextmanager
def running(watchdog: Watchdog, seconds: float) -> Iterator[Options]:
    options = Options()
    with watchdog.aborting_at(time.monotonic() + seconds, options):
        yield options


def test_what_takes_too_long_is_aborted() -> None:
    begun = time.monotonic()
    with running(Watchdog(), 0.2) as slow:
        wait_until(lambda: slow.terminate)
    assert 0.2 <= time.monotonic() - begun < 5


def test_what_is_finished_before_its_deadline_is_left_alone() -> None:
    watchdog = Watchdog()
    with running(watchdog, 0.2) as quick:
        pass
    with running(watchdog, 0.3) as slow:
        wait_until(lambda: slow.terminate)
    assert not quick.terminate


@pytest.mark.parametrize("seconds", [(60, 0.2, 30), (0.2, 60, 30), (30, 60, 0.2)])
def test_the_first_deadline_comes_first_whatever_the_order(seconds: tuple[float, ...]) -> None:
    with ExitStack() as stack:
        watchdog = Watchdog()
        all_of_them = [stack.enter_context(running(watchdog, each)) for each in seconds]
        wait_until(lambda: any(each.terminate for each in all_of_them))
        assert [each.terminate for each in all_of_them] == [each == 0.2 for each in seconds]


@pytest.mark.parametrize("seconds", [-1.0, 0.0])
def test_a_deadline_that_is_over_aborts_at_once(seconds: float) -> None:
    with running(Watchdog(), seconds) as late:
        wait_until(lambda: late.terminate)


def test_what_was_stopped_before_stays_so() -> None:
    watchdog = Watchdog()
    with running(watchdog, 60) as stopped, running(watchdog, 0.1) as slow:
        stopped.terminate = True
        wait_until(lambda: slow.terminate)
        assert stopped.terminate


def test_one_thread_serves_many_at_once() -> None:
    watchdog, before = Watchdog(), set(threading.enumerate())
    with ExitStack() as stack:
        all_of_them = [stack.enter_context(running(watchdog, 0.3 + number / 100)) for number in range(50)]
        (thread,) = set(threading.enumerate()) - before
        wait_until(lambda: all(each.terminate for each in all_of_them))
    watchdog.close()
    thread.join(10)
    assert not thread.is_alive()


def test_a_deadline_may_lie_further_ahead_than_a_thread_can_wait() -> None:
    with running(Watchdog(), 2 * threading.TIMEOUT_MAX) as patient:
        time.sleep(0.1)
        assert not patient.terminate
