"""Batches without a model: each request is answered with its own luma, doubled."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from colorbatch.batching import Batcher
from colorbatch.color import Plane
from colorbatch.errors import InferenceError


class Model:
    """Doubles luma, refuses negative luma, and notes what it was asked for; the first call waits to be let go."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[int, ...], float | None, float | None]] = []
        self.may_go_on = threading.Event()
        self.at_work = 0

    def __call__(self, luma: Plane, vividness: float | None, deadline: float | None) -> Plane:
        assert self.at_work == 0, "never two at the same time"
        self.at_work += 1
        self.calls.append((luma.shape, vividness, deadline))
        self.may_go_on.wait(10)
        self.at_work -= 1
        if (luma < 0).any():
            raise InferenceError("negative")
        return luma.repeat(2, axis=1) * 2


def plane(level: float, width: int = 3) -> Plane:
    return np.full((1, 1, 2, width), level, np.float32)


def ask_beside_a_busy_model(
    batcher: Batcher, model: Model, questions: Sequence[tuple[Plane, float | None, float | None]]
) -> list[Plane | BaseException]:
    """Ask all questions while the model is busy with another, in their order; return the answers."""
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(batcher, plane(0.5), None, None)
        wait_until(lambda: bool(model.calls))
        answers = []
        for count, question in enumerate(questions, start=1):
            answers.append(pool.submit(batcher, *question))
            wait_until(lambda count=count: len(batcher._waiting) == count)  # noqa: SLF001
        model.may_go_on.set()
        np.testing.assert_array_equal(first.result(10), np.full((1, 2, 2, 3), 1))
        return [each.exception(10) or each.result() for each in answers]


def wait_until(condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def test_what_waits_becomes_one_batch() -> None:
    model = Model()
    answers = ask_beside_a_busy_model(Batcher(model), model, [(plane(level / 8), None, None) for level in range(5)])
    for level, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, np.full((1, 2, 2, 3), level / 4))
    assert [shape for shape, _, _ in model.calls] == [(1, 1, 2, 3), (5, 1, 2, 3)]


def test_a_batch_is_no_larger_than_it_may_be() -> None:
    model = Model()
    ask_beside_a_busy_model(Batcher(model, largest=2), model, [(plane(0.1), None, None)] * 5)
    assert [shape[0] for shape, _, _ in model.calls] == [1, 2, 2, 1]


def test_only_what_is_alike_is_computed_together() -> None:
    model = Model()
    questions = [
        (plane(0.1), 0.5, None),
        (plane(0.2, width=4), 0.5, None),
        (plane(0.3), 1.0, None),
        (plane(0.4), 0.5, None),
    ]
    answers = ask_beside_a_busy_model(Batcher(model), model, questions)
    assert [(shape[0], shape[3], vividness) for shape, vividness, _ in model.calls[1:]] == [
        (2, 3, 0.5),
        (1, 4, 0.5),
        (1, 3, 1.0),
    ]
    for (luma, _, _), answer in zip(questions, answers, strict=True):
        np.testing.assert_array_equal(answer, luma.repeat(2, axis=1) * 2)


def test_what_makes_a_batch_fail_fails_alone() -> None:
    model = Model()
    questions = [(plane(level), None, None) for level in (0.1, -1.0, 0.3)]
    first, bad, last = ask_beside_a_busy_model(Batcher(model), model, questions)
    assert isinstance(bad, InferenceError)
    np.testing.assert_array_equal(first, np.full((1, 2, 2, 3), np.float32(0.2)))
    np.testing.assert_array_equal(last, np.full((1, 2, 2, 3), np.float32(0.6)))


def test_a_batch_may_take_as_long_as_the_most_patient_of_it() -> None:
    model = Model()
    ask_beside_a_busy_model(Batcher(model), model, [(plane(0.1), None, 7.0), (plane(0.2), None, 9.0)])
    assert model.calls[1][2] == 9.0
    model = Model()
    ask_beside_a_busy_model(Batcher(model), model, [(plane(0.1), None, 7.0), (plane(0.2), None, None)])
    assert model.calls[1][2] is None


def test_many_threads_get_their_own_answers() -> None:
    model = Model()
    model.may_go_on.set()
    batcher = Batcher(model, largest=3)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda level: batcher(plane(level), None, None), range(200)))
    for level, answer in enumerate(answers):
        assert (answer == 2 * level).all()


@pytest.mark.parametrize("count", [1, 3])
def test_requests_of_several_pictures_are_taken_apart_again(count: int) -> None:
    model = Model()
    several = np.arange(count, dtype=np.float32)[:, None, None, None].repeat(2, axis=2).repeat(3, axis=3)
    answers = ask_beside_a_busy_model(Batcher(model), model, [(several, None, None), (plane(9), None, None)])
    np.testing.assert_array_equal(answers[0], several.repeat(2, axis=1) * 2)
    np.testing.assert_array_equal(answers[1], plane(9).repeat(2, axis=1) * 2)
