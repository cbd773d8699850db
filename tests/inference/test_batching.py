"""Batches without a model: each request is answered with its own luma, doubled."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from colorbatch.errors import InferenceError
from colorbatch.inference import batching
from colorbatch.inference.batching import Batcher, Prediction, Question, Run
from colorbatch.pixels.color import Plane


class Model:
    """Doubles luma, refuses negative luma, and notes what it was asked for; the first call waits to be let go."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[int, ...], float | None, float | None]] = []
        self.may_go_on = threading.Event()
        self.at_work = 0

    def __call__(self, question: Question) -> Prediction:
        assert self.at_work == 0, "never two at the same time"
        luma = question.luma
        self.at_work += 1
        self.calls.append((luma.shape, question.vividness, question.deadline))
        self.may_go_on.wait(10)
        self.at_work -= 1
        if (luma < 0).any():
            raise InferenceError("negative")
        hinted = 0 if question.hints is None else question.hints[:, :2]
        return Prediction(luma.repeat(2, axis=1) * 2 + hinted, confidence=luma[:, 0, 0, 0])


def plane(level: float, width: int = 3) -> Plane:
    return np.full((1, 1, 2, width), level, np.float32)


def ask_beside_a_busy_model(
    batcher: Batcher, model: Model, questions: Sequence[Question]
) -> list[Prediction | BaseException]:
    """Ask all questions while the model is busy with another, in their order; return the answers."""
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(batcher, Question(plane(0.5)))
        wait_until(lambda: bool(model.calls))
        answers = []
        for count, question in enumerate(questions, start=1):
            answers.append(pool.submit(batcher, question))
            wait_until(lambda count=count: len(batcher._waiting) == count)  # noqa: SLF001
        model.may_go_on.set()
        np.testing.assert_array_equal(first.result(10).chroma, np.full((1, 2, 2, 3), 1))
        return [each.exception(10) or each.result() for each in answers]


def wait_until(condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def test_what_waits_becomes_one_batch() -> None:
    model = Model()
    answers = ask_beside_a_busy_model(Batcher(model), model, [Question(plane(level / 8)) for level in range(5)])
    for level, answer in enumerate(answers):
        assert isinstance(answer, Prediction)
        np.testing.assert_array_equal(answer.chroma, np.full((1, 2, 2, 3), level / 4))
        assert answer.confidence == pytest.approx([level / 8])
    assert [shape for shape, _, _ in model.calls] == [(1, 1, 2, 3), (5, 1, 2, 3)]


def test_a_batch_is_no_larger_than_it_may_be() -> None:
    model = Model()
    ask_beside_a_busy_model(Batcher(model, largest=2), model, [Question(plane(0.1))] * 5)
    assert [shape[0] for shape, _, _ in model.calls] == [1, 2, 2, 1]


def test_only_what_is_alike_is_computed_together() -> None:
    model = Model()
    questions = [
        Question(plane(0.1), 0.5),
        Question(plane(0.2, width=4), 0.5),
        Question(plane(0.3), 1.0),
        Question(plane(0.4), 0.5),
        Question(plane(0.5), 0.5, hints=np.ones((1, 3, 2, 3), np.float32)),
    ]
    answers = ask_beside_a_busy_model(Batcher(model), model, questions)
    assert [(shape[0], shape[3], vividness) for shape, vividness, _ in model.calls[1:]] == [
        (2, 3, 0.5),
        (1, 4, 0.5),
        (1, 3, 1.0),
        (1, 3, 0.5),
    ]
    for question, answer in zip(questions, answers, strict=True):
        assert isinstance(answer, Prediction)
        hinted = 0 if question.hints is None else 1
        np.testing.assert_array_equal(answer.chroma, question.luma.repeat(2, axis=1) * 2 + hinted)


def test_hints_of_a_batch_stay_with_their_pictures() -> None:
    model = Model()
    hints = [np.full((1, 3, 2, 3), value, np.float32) for value in (0.25, 0.5)]
    answers = ask_beside_a_busy_model(Batcher(model), model, [Question(plane(0), hints=each) for each in hints])
    assert [shape[0] for shape, _, _ in model.calls] == [1, 2]
    for value, answer in zip((0.25, 0.5), answers, strict=True):
        assert isinstance(answer, Prediction)
        np.testing.assert_array_equal(answer.chroma, np.full((1, 2, 2, 3), value))


def test_what_makes_a_batch_fail_fails_alone() -> None:
    model = Model()
    questions = [Question(plane(level)) for level in (0.1, -1.0, 0.3)]
    first, bad, last = ask_beside_a_busy_model(Batcher(model), model, questions)
    assert isinstance(bad, InferenceError)
    for answer, doubled in ((first, 0.2), (last, 0.6)):
        assert isinstance(answer, Prediction)
        np.testing.assert_array_equal(answer.chroma, np.full((1, 2, 2, 3), np.float32(doubled)))


def test_a_batch_may_take_as_long_as_the_most_patient_of_it() -> None:
    model = Model()
    ask_beside_a_busy_model(
        Batcher(model), model, [Question(plane(0.1), deadline=7.0), Question(plane(0.2), deadline=9.0)]
    )
    assert model.calls[1][2] == 9.0
    model = Model()
    ask_beside_a_busy_model(Batcher(model), model, [Question(plane(0.1), deadline=7.0), Question(plane(0.2))])
    assert model.calls[1][2] is None


def test_many_threads_get_their_own_answers() -> None:
    model = Model()
    model.may_go_on.set()
    batcher = Batcher(model, largest=3)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda level: batcher(Question(plane(level))), range(200)))
    for level, answer in enumerate(answers):
        assert (answer.chroma == 2 * level).all()


@pytest.mark.parametrize("count", [1, 3])
def test_requests_of_several_pictures_are_taken_apart_again(count: int) -> None:
    model = Model()
    several = np.arange(count, dtype=np.float32)[:, None, None, None].repeat(2, axis=2).repeat(3, axis=3)
    answers = ask_beside_a_busy_model(Batcher(model), model, [Question(several), Question(plane(9))])
    for luma, answer in zip((several, plane(9)), answers, strict=True):
        assert isinstance(answer, Prediction)
        np.testing.assert_array_equal(answer.chroma, luma.repeat(2, axis=1) * 2)


@pytest.mark.parametrize("is_at_work", [True, False])
def test_an_interrupt_of_one_thread_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, *, is_at_work: bool
) -> None:
    """As of Ctrl-C in a notebook, in the main thread, which runs the model or waits for its turn."""
    model = Model()
    batcher = Batcher(interrupted_once(model) if is_at_work else model)
    with ThreadPoolExecutor(2) as pool:
        if is_at_work:
            model.may_go_on.set()
            with pytest.raises(KeyboardInterrupt):
                batcher(Question(plane(0.1)))
        else:
            first = pool.submit(batcher, Question(plane(0.1)))
            wait_until(lambda: bool(model.calls))
            request = batching._Request  # noqa: SLF001 (only its wait can be interrupted alone)
            monkeypatch.setattr(request, "__init__", with_interrupted_wait(request.__init__))
            with pytest.raises(KeyboardInterrupt):
                batcher(Question(plane(0.2)))
            monkeypatch.undo()
            model.may_go_on.set()
            assert (first.result(10).chroma == np.float32(0.2)).all()
        assert (pool.submit(batcher, Question(plane(0.3))).result(10).chroma == np.float32(0.6)).all()


def interrupted_once(model: Model) -> Run:
    calls = iter([KeyboardInterrupt()])

    def run(question: Question) -> Prediction:
        for interrupt in calls:
            raise interrupt
        return model(question)

    return run


def with_interrupted_wait(initialize: Callable[..., None]) -> Callable[..., None]:
    """Return what makes a request whose thread is interrupted while it waits."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def changed(request: Any, question: Question) -> None:  # noqa: ANN401 (the class is private)
        initialize(request, question)
        request.woken.wait = interrupt

    return changed
