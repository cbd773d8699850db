"""The program of a child process: it computes one picture at a time, and neither reads nor writes any file.

Requests arrive on stdin and answers leave on stdout, pickled. At the end of stdin the process exits at once, whatever
it is doing: the parent is gone or does not need it any more.
"""

import contextlib
import logging
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from typing_extensions import override

from colorbatch.inference.batching import Prediction, Question
from colorbatch.inference.colorizer import Colorizer
from colorbatch.inference.model_file import ModelFile
from colorbatch.inference.session import Predictor, Session
from colorbatch.machine import keep_freed_memory
from colorbatch.run.colorize import Encoded, NoOutput, Recipe, colorize_source
from colorbatch.run.plan import PlannedPicture
from colorbatch.stages import Stage, StageCost, StageTimer

_OOM_SCORE_ADJUSTMENT = "300"
"""In thousandths: the kernel counts a third of the memory on top of what the process uses."""


@dataclass(frozen=True)
class Opening:
    """The first request: open the model."""

    recipe: Recipe
    threads: int
    """Threads of ONNX Runtime within one inference."""
    gpu: str | None
    """Provider of the parent's session, which the child then uses; ``None``: the child opens the model on the CPU."""
    log_level: int
    """The lowest level of log records to send to the parent."""


@dataclass(frozen=True)
class Colored:
    """The result for one picture."""

    result: Encoded | NoOutput
    stages: Mapping[Stage, StageCost]


@dataclass(frozen=True)
class Answer:
    """The answer of the child to a request, or of the parent to a question for its GPU."""

    value: Colored | Prediction | None = None
    """``None`` after the first request."""
    error: Exception | None = None
    """Raised instead of returning a value."""
    trace: str = ""
    """The traceback of the error."""
    records: list[logging.LogRecord] = field(default_factory=list)
    """Everything logged since the last answer."""


class ParentGpu(Predictor):
    """A model that is open on the parent's GPU. The pipes carry questions and answers."""

    def __init__(self, model: ModelFile, provider: str, ask: Callable[[Question], Answer]) -> None:
        super().__init__(model, on_gpu=True)
        self._provider = provider
        self._ask = ask

    @property
    @override
    def provider(self) -> str:
        return self._provider

    @override
    def answer(self, question: Question) -> Prediction:
        found = self._ask(question)
        if found.error is not None:
            raise found.error
        assert isinstance(found.value, Prediction)
        return found.value


class RecordCollector(logging.Handler):
    """Keeps log records in a form that can be pickled."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args = record.getMessage(), None
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        self._records.append(record)

    def take(self) -> list[logging.LogRecord]:
        """Return the records since the last call."""
        records, self._records = self._records, []
        return records


class _Worker:
    """Computes the answers to requests."""

    def __init__(self, ask: Callable[[Question], Answer]) -> None:
        self._ask = ask
        self._recipe: Recipe
        self._colorizer: Colorizer

    def answer(self, request: Opening | tuple[bytes, PlannedPicture]) -> Answer:
        """Open the model, or colour a picture."""
        try:
            if isinstance(request, Opening):
                self._open(request)
                return Answer()
            timer = StageTimer()
            result = colorize_source(*request, self._recipe, self._colorizer, timer)
            return Answer(Colored(result, timer.costs))
        except Exception as error:  # noqa: BLE001 (the parent raises it again)
            return Answer(error=picklable(error), trace=traceback.format_exc())

    def _open(self, opening: Opening) -> None:
        logging.getLogger().setLevel(opening.log_level)
        self._recipe = recipe = opening.recipe
        if opening.gpu is None:
            predictor: Predictor = Session(recipe.model, "cpu", threads=opening.threads)
        else:
            predictor = ParentGpu(recipe.model, opening.gpu, self._ask)
        self._colorizer = Colorizer(predictor, recipe.options, timeout=recipe.job.timeout)


def main() -> None:
    """Answer requests until there are no more."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # only the parent reacts to them: it finishes the pictures in progress
    answers = os.fdopen(os.dup(1), "wb")
    _redirect_stdout()
    with contextlib.suppress(OSError):  # when memory runs out, Linux kills this process: one picture fails, not the run
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJUSTMENT)
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, requests), daemon=True).start()
    keep_freed_memory()
    logging.captureWarnings(capture=True)
    collector = RecordCollector()
    logging.getLogger().addHandler(collector)

    def ask(question: Question) -> Answer:
        _send(question, answers)
        answer: Answer = requests.get()
        return answer

    worker = _Worker(ask)
    while True:
        answer = worker.answer(requests.get())
        _send(replace(answer, records=collector.take()), answers)


def _redirect_stdout() -> None:
    """Redirect what libraries print on stdout to stderr, or discard it if stderr is closed."""
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _receive(source: BinaryIO, requests: "queue.SimpleQueue[Any]") -> None:
    with contextlib.suppress(Exception):  # the end of the input, perhaps within a request
        while True:
            requests.put(pickle.load(source))  # noqa: S301 (sent by the parent)
    os._exit(0)


def _send(message: Answer | Question, answers: BinaryIO) -> None:
    try:
        pickle.dump(message, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
    except OSError:  # the parent is gone
        os._exit(0)


def picklable(error: Exception) -> Exception:
    """Return the error if it can be pickled and unpickled, else a RuntimeError with its class and message."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 (pickled here)
    except Exception:  # noqa: BLE001 (the class of an error may do anything)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
