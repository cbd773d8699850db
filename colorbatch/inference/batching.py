"""Gather concurrent requests of several threads to a model, and run them as one batch, at which a GPU is fast.

A thread that makes a request while the model is busy waits; the first of those that wait runs all requests of the same
kind. So batches grow with the load, no thread waits for one to fill, and no additional thread is needed.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from colorbatch.errors import InferenceError
from colorbatch.pixels.canvas import LARGEST_BATCH
from colorbatch.pixels.color import Plane


@dataclass(frozen=True, eq=False)
class Prediction:
    """Output of a model for N pictures of one shape."""

    chroma: Plane
    """``[N, 2, H, W]`` in -0.5..0.5."""
    confidence: NDArray[np.float32] | None = None
    """``[N]`` in 0..1; ``None``: the model does not report it."""
    colors: Plane | None = None
    """``[N, B, H / 4, W / 4]``: the probability of each bin; ``None``: not requested, or the model has none."""


@dataclass(frozen=True, eq=False)
class Question:
    """Input of a model for N pictures of one shape."""

    luma: Plane
    """``[N, 1, H, W]`` in 0..1."""
    vividness: float | None = None
    """0..1; ``None`` for a model without this input."""
    hints: Plane | None = None
    """``[N, 3, H, W]``: Cb, Cr and weight; ``None``: there are none."""
    deadline: float | None = None
    """Time of ``time.monotonic``, in seconds, at which inference is aborted."""
    wants_colors: bool = False
    """Whether the probability of each bin is requested too, for a model that has this output."""

    @property
    def kind(self) -> tuple[tuple[int, ...], float | None, bool, bool]:
        """Key of the questions that can share a batch."""
        return self.luma.shape[1:], self.vividness, self.hints is None, self.wants_colors


Run = Callable[[Question], Prediction]


@dataclass(eq=False)
class _Request:
    """Request of one thread, and its result."""

    question: Question
    prediction: Prediction | None = None
    error: InferenceError | MemoryError | None = None
    is_done: bool = False
    woken: threading.Event = field(default_factory=threading.Event)
    """Set when the request is done, or when it is the turn of its thread to run the model."""


class Batcher:
    """Runs a model for several threads. A picture that causes a failure fails alone."""

    def __init__(self, run: Run, largest: int = LARGEST_BATCH) -> None:
        """Call ``run`` for batches of up to ``largest`` requests, never concurrently."""
        self._run = run
        self._largest = largest
        self._waiting: list[_Request] = []
        self._turn: _Request | None = None
        """The request whose thread runs the model, or is woken to do so."""
        self._lock = threading.Lock()

    def __call__(self, question: Question) -> Prediction:
        """Return the result of ``run`` for a question, batched with those of other threads.

        Raises:
            InferenceError, MemoryError: ``run`` raised it for this request alone.

        """
        request = _Request(question)
        try:
            with self._lock:
                self._waiting.append(request)
                if self._turn is None:
                    self._give_turn()
            request.woken.wait()
            if not request.is_done:
                self._run_waiting()
        finally:
            self._leave(request)
        if request.error is not None:
            raise request.error
        assert request.prediction is not None, "whoever ran the batch met a bug"
        return request.prediction

    def _give_turn(self) -> None:
        """Let the thread of the first waiting request run the model. Call this with the lock.

        Only the threads concerned are woken: all others would compete for Python's lock.
        """
        self._turn = self._waiting[0] if self._waiting else None
        if self._turn is not None:
            self._turn.woken.set()

    def _leave(self, request: _Request) -> None:
        """Forget a request, which an interrupt may have ended at any moment, and pass its turn on."""
        with self._lock:
            if request in self._waiting:
                self._waiting.remove(request)
            if self._turn is request:
                self._give_turn()

    def _run_waiting(self) -> None:
        """Run the requests that can share a batch with the first one."""
        batch: Sequence[_Request] = ()
        try:
            with self._lock:
                kind = self._waiting[0].question.kind
                batch = [each for each in self._waiting if each.question.kind == kind][: self._largest]
                self._waiting = [each for each in self._waiting if each not in batch]
            self._run_batch(batch)
        finally:
            for each in batch:
                each.is_done = True
                each.woken.set()

    def _run_batch(self, batch: Sequence[_Request]) -> None:
        questions = [each.question for each in batch]
        try:
            prediction = self._run(_joined(questions))
        except (InferenceError, MemoryError) as error:
            if len(batch) == 1:
                batch[0].error = error
            else:
                for each in batch:
                    self._run_batch([each])
            return
        for each, part in zip(batch, _split(prediction, questions), strict=True):
            each.prediction = part


def _joined(questions: Sequence[Question]) -> Question:
    """Return one question for the pictures of several of one kind; it has a deadline if all of them have."""
    first = questions[0]
    deadlines = [each.deadline for each in questions if each.deadline is not None]
    hints = [each.hints for each in questions if each.hints is not None]
    return Question(
        np.concatenate([each.luma for each in questions]),
        first.vividness,
        np.concatenate(hints) if hints else None,
        max(deadlines) if len(deadlines) == len(questions) else None,
        first.wants_colors,
    )


def _split(prediction: Prediction, questions: Sequence[Question]) -> Iterator[Prediction]:
    """Yield the part of a prediction that belongs to each question."""
    start = 0
    for question in questions:
        part = slice(start, start + len(question.luma))
        start = part.stop
        yield Prediction(
            prediction.chroma[part],
            None if prediction.confidence is None else prediction.confidence[part],
            None if prediction.colors is None else prediction.colors[part],
        )
