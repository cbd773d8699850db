import pytest

from colorbatch.progress import Pace
from colorbatch.text import printable


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_nothing_done_promises_nothing(clock: Clock) -> None:
    pace = Pace(10, clock=clock)
    clock.now += 5
    assert pace.seconds_left is None
    assert (pace.done, pace.steps_per_second, pace.megapixels_per_second) == (0, 0.0, 0.0)


def test_rates_are_what_was_done_by_the_time_it_took(clock: Clock) -> None:
    pace = Pace(10, clock=clock)
    for _ in range(4):
        clock.now += 2
        pace.advance(megapixels=12)
    assert pace.steps_per_second == 0.5
    assert pace.megapixels_per_second == 6
    assert pace.seconds_left == 12
    clock.now += 8  # nothing comes any more: it takes longer than it seemed
    assert pace.steps_per_second == 0.25
    assert pace.seconds_left == 24


def test_the_time_left_rests_on_weights(clock: Clock) -> None:
    """Ten small pictures of 1 s, and ten that weigh nine times as much: after the small ones, a tenth is done."""
    pace = Pace(20, weight=10 * 1 + 10 * 9, clock=clock)
    for _ in range(10):
        clock.now += 1
        pace.advance(weight=1)
    assert pace.done == 10
    assert pace.seconds_left == pytest.approx(90)


def test_what_was_done_before_says_nothing_of_the_pace(clock: Clock) -> None:
    pace = Pace(1010, weight=10, clock=clock)
    for _ in range(1000):
        clock.now += 0.01
        pace.advance(weight=0)
    assert pace.done == 1000
    assert pace.seconds_left is None
    clock.now += 3
    pace.advance(weight=1)
    assert pace.steps_per_second == pytest.approx(1 / 3)
    assert pace.seconds_left == pytest.approx(27)


def test_a_rate_forgets_what_is_long_ago(clock: Clock) -> None:
    pace = Pace(1000, clock=clock)
    for _ in range(100):
        clock.now += 10
        pace.advance()
    for _ in range(200):
        clock.now += 1
        pace.advance()
    assert pace.steps_per_second == pytest.approx(1, rel=0.02)
    assert pace.seconds_left == pytest.approx(700, rel=0.02)


def test_a_rate_rests_on_more_than_one_large_picture(clock: Clock) -> None:
    pace = Pace(30, clock=clock)
    for seconds in (200, 400) * 10:
        clock.now += seconds
        pace.advance()
    assert pace.seconds_left == pytest.approx(10 * 300, rel=0.06)


def test_when_all_is_done_nothing_is_left(clock: Clock) -> None:
    pace = Pace(2, weight=100, clock=clock)
    clock.now += 1
    pace.advance(2, weight=90)  # it weighed less than was thought
    assert pace.seconds_left == 0


def test_printable_leaves_words_and_escapes_what_steers() -> None:
    assert printable("d\xe9j\xe0 \u65e5\u672c.png") == "d\xe9j\xe0 \u65e5\u672c.png"
    assert printable("\x1b[31m\n\u202e\udcff") == r"\x1b[31m\n\u202e\udcff"
