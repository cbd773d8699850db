"""What runs in a child process: it computes with one picture at a time, and neither reads nor writes any file.

Requests come on stdin and answers go to stdout, pickled. At the end of stdin it ends at once, whatever it is doing: its
parent is gone, or does not want it any more.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from colorbatch.inference import batching
from colorbatch.inference.batching import Question
from colorbatch.inference.colorizer import Colorizer
from colorbatch.inference.model_file import ModelFile
from colorbatch.inference.session import Predictor, Session
from colorbatch.job import BatchJob, ColorOptions
from colorbatch.machine import keep_freed_memory
from colorbatch.run.colorize import Encoded, NoOutput, Recipe, colorize_source
from colorbatch.run.plan import PlannedPicture
from colorbatch.stages import Stage, StageCost, StageTimer

_KILLED_FIRST = "300"
"""Of 1000: as if we held a third of the memory more."""


@dataclass(frozen=True)
class Opening:
    """The first request."""

    job: BatchJob
    model: ModelFile
    threads: int
    """Of ONNX Runtime within one inference."""
    gpu: str | None
    """User word of the provider of the parent, which then is asked; ``None``: the child opens the model itself."""
    log_level: int
    """From which on messages are answered with."""


@dataclass(frozen=True)
class Opened:
    """What came of the opening."""

    provider: str
    options: ColorOptions


@dataclass(frozen=True)
class Colored:
    """What came of a picture."""

    result: Encoded | NoOutput
    stages: Mapping[Stage, StageCost]


@dataclass(frozen=True)
class GpuAnswer:
    """What the GPU of the parent says to a question of the child."""

    value: batching.Prediction | None = None
    error: Exception | None = None
    """Raised instead of a value."""


class ParentGpu(Predictor):
    """A model that is opened on the parent's GPU, which is asked through the pipes."""

    def __init__(self, model: ModelFile, provider: str, exchange: Callable[[Question], GpuAnswer]) -> None:
        super().__init__(model, on_gpu=True)
        self._provider = provider
        self._exchange = exchange

    @property
    def provider(self) -> str:
        """User word of the provider that the parent opened it on."""
        return self._provider

    def answer(self, question: Question) -> batching.Prediction:
        """Return what the model gives, whatever that is.

        Raises:
            InferenceError: the model failed or took too long.

        """
        found = self._exchange(question)
        if found.error is not None:
            raise found.error
        assert found.value is not None
        return found.value


@dataclass(frozen=True)
class Answer:
    """To one request."""

    value: Opened | Colored | None = None
    error: Exception | None = None
    """Raised instead of a value."""
    trace: str = ""
    """Of the error."""
    messages: list[logging.LogRecord] = field(default_factory=list)
    """What was logged meanwhile."""


class Messages(logging.Handler):
    """Keeps what is logged, ready to be pickled."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record as text."""
        record.msg, record.args = record.getMessage(), None
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        self._kept.append(record)

    def taken(self) -> list[logging.LogRecord]:
        """Return what was kept since the last time."""
        kept, self._kept = self._kept, []
        return kept


def main() -> None:
    """Answer requests until there are no more."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are meant for the parent, which takes what is finished
    answers = os.fdopen(os.dup(1), "wb")
    _redirect_stdout()
    _prefer_for_oom_kill()
    requests: queue.SimpleQueue[object] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, requests), daemon=True).start()
    keep_freed_memory()
    logging.captureWarnings(capture=True)
    messages = Messages()
    logging.getLogger().addHandler(messages)
    worker: _Worker | None = None

    def ask(question: Question) -> GpuAnswer:
        _send(question, answers)
        found = requests.get()
        assert isinstance(found, GpuAnswer)
        return found

    while True:
        request = requests.get()
        value: Opened | Colored | None = None
        failure: Exception | None = None
        trace = ""
        try:
            if isinstance(request, Opening):
                logging.getLogger().setLevel(request.log_level)
                worker = _Worker(request, ask)
                value = worker.opened
            elif worker is not None and isinstance(request, tuple):
                value = worker.colorize(*request)
        except Exception as error:  # noqa: BLE001 (the parent raises it again)
            failure, trace = picklable(error), traceback.format_exc()
        _send(Answer(value, failure, trace, messages.taken()), answers)


def _redirect_stdout() -> None:
    """Have whatever a library prints on stdout go to stderr, or nowhere where that is closed."""
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _prefer_for_oom_kill() -> None:
    """Have Linux end us, and not our parent, when there is no memory left: then one picture fails, and not the run."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_KILLED_FIRST)


class _Worker:
    """An opened model, and what it colours by."""

    def __init__(self, opening: Opening, ask: Callable[[Question], GpuAnswer]) -> None:
        job, model = opening.job, opening.model
        if opening.gpu is None:
            predictor: Predictor = Session(model, job.provider, threads=opening.threads)
        else:
            predictor = ParentGpu(model, opening.gpu, ask)
        self._colorizer = Colorizer(predictor, job.options, timeout=job.timeout)
        self.opened = Opened(predictor.provider, self._colorizer.options)
        self._recipe = Recipe(job, model, self._colorizer.options)

    def colorize(self, data: bytes, planned: PlannedPicture) -> Colored:
        timer = StageTimer()
        result = colorize_source(data, planned, self._recipe, self._colorizer, timer)
        return Colored(result, timer.costs)


def _receive(source: BinaryIO, requests: "queue.SimpleQueue[object]") -> None:
    with contextlib.suppress(Exception):  # it ends, or was cut short
        while True:
            requests.put(pickle.load(source))  # noqa: S301 (of our parent)
    os._exit(0)


def _send(answer: Answer | Question, answers: BinaryIO) -> None:
    try:
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
    except OSError:  # nobody listens
        os._exit(0)


def picklable(error: Exception) -> Exception:
    """Return an error that can be pickled and unpickled: this one, or one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 (made just now)
    except Exception:  # noqa: BLE001 (whatever the class of an error does)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
