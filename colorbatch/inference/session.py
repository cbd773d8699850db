"""An opened model: luma in, chroma out."""

import contextlib
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from colorbatch.errors import InferenceError, InferenceStoppedError
from colorbatch.inference import contract
from colorbatch.inference.batching import Batcher, Prediction, Question, Run
from colorbatch.inference.contract import ModelContract
from colorbatch.inference.gpu import GpuRunner
from colorbatch.inference.model_file import ModelFile
from colorbatch.inference.provider import import_onnxruntime, open_inference_session
from colorbatch.inference.watchdog import Watchdog
from colorbatch.job import ProviderName
from colorbatch.pixels.canvas import MOST_SESSIONS
from colorbatch.pixels.color import Plane

if TYPE_CHECKING:
    import onnxruntime


_SESSIONS_OF_RESIZING = 2
"""Maximum number of sessions on a GPU of a model that resizes: for pictures without and with hints."""


class Predictor(ABC):
    """A model that predicts chroma, wherever it runs. May be used from several threads at once."""

    def __init__(self, model: ModelFile, *, on_gpu: bool) -> None:
        """Predict with ``model``; ``on_gpu``: whether on a GPU, which should see few input shapes."""
        self.model = model
        self.on_gpu = on_gpu

    @property
    def contract(self) -> ModelContract:
        """Contract of the model."""
        return self.model.contract

    @property
    @abstractmethod
    def provider(self) -> str:
        """User word of the execution provider in use."""

    @abstractmethod
    def answer(self, question: Question) -> Prediction:
        """Return the unchecked output of the model.

        Raises:
            InferenceError: the model failed or took too long.
            InferenceStoppedError: the run was stopped.

        """

    def predict(
        self,
        luma: Plane,
        vividness: float | None = None,
        deadline: float | None = None,
        hints: Plane | None = None,
    ) -> Prediction:
        """Run the model.

        Args:
            luma: ``[N, 1, H, W]`` in 0..1, H and W multiples of the contract's ``size_multiple``.
            vividness: 0..1 for a model with this input; ``None``: the value of its contract.
            deadline: time of ``time.monotonic``, in seconds, at which inference is aborted.
            hints: ``[N, 3, H, W]``: Cb, Cr in -0.5..0.5 and weight in 0..1, for a model that supports them.

        Raises:
            InferenceError: the model failed, took too long or does not support hints, or its output has another shape
                or is not finite.
            InferenceStoppedError: the run was stopped.

        """
        level = self.contract.vividness if vividness is None else vividness
        prediction = self._checked_answer(Question(luma, level, hints, deadline))
        return replace(prediction, chroma=np.clip(prediction.chroma, -0.5, 0.5))

    def predict_colors(self, luma: Plane, hints: Plane | None = None) -> Plane:
        """Return the probability of each bin of the contract's ``colors``, ``[N, B, H / 4, W / 4]``.

        Args:
            luma: as for :meth:`predict`.
            hints: likewise.

        Raises:
            InferenceError: as for :meth:`predict`, or the model has no such output.
            InferenceStoppedError: the run was stopped.

        """
        if self.contract.colors is None:
            raise InferenceError(f"the model {self.contract.name} has no output with the probability of each colour")
        question = Question(luma, self.contract.vividness, hints, wants_colors=True)
        colors = self._checked_answer(question).colors
        assert colors is not None, "the contract has them"
        return colors

    def _checked_answer(self, question: Question) -> Prediction:
        if question.hints is not None and not self.contract.hints:
            raise hints_unsupported(self.contract)
        prediction = self.answer(question)
        batch, _, height, width = question.luma.shape
        _check("chroma", prediction.chroma, (batch, 2, height, width))
        if prediction.confidence is not None:
            _check("confidence", prediction.confidence, (batch,))
        if prediction.colors is not None and self.contract.colors is not None:
            stride = contract.COLORS_STRIDE
            _check("colors", prediction.colors, (batch, len(self.contract.colors), height // stride, width // stride))
        return prediction


def hints_unsupported(model: ModelContract) -> InferenceError:
    """Return the error for hints that a model does not support."""
    return InferenceError(f"the model {model.name} does not support hints", advice="Use the built-in default.")


class Session(Predictor):
    """A model opened in this process."""

    def __init__(
        self,
        model: ModelFile,
        provider: ProviderName = "auto",
        threads: int | None = None,
        *,
        gpu_memory: int | None = None,
        on_gpu: bool | None = None,
    ) -> None:
        """Open ``model``.

        Args:
            model: the content of its file.
            provider: ``auto``, or one without fallback.
            threads: of ONNX Runtime within one inference.
            gpu_memory: maximum number of bytes of GPU memory to use; ``None``: as much as needed.
            on_gpu: batch the requests of several threads, as on a GPU; ``None``: only on a GPU. On a CPU it has no
                advantage.

        Raises:
            EnvironmentFailure, ModelRefusedError: as for :func:`colorbatch.inference.provider.open_inference_session`.

        """
        most = _SESSIONS_OF_RESIZING if model.contract.resizes else MOST_SESSIONS
        limit = None if gpu_memory is None else gpu_memory // most
        opened, word = open_inference_session(model.data, provider, threads, limit)
        model = model.released()
        super().__init__(model, on_gpu=word != "cpu" if on_gpu is None else on_gpu)
        self._new_run_options = import_onnxruntime().RunOptions
        self._running: set[onnxruntime.RunOptions] = set()
        self._lock = threading.Lock()
        self._watchdog = Watchdog()
        weakref.finalize(self, self._watchdog.close)
        self._is_stopped = False
        if self.on_gpu:
            first = [opened]
            self._runner: _Runner = GpuRunner(
                word,
                lambda: first.pop() if first else open_inference_session(model.data, word, threads, limit)[0],
                lambda: open_inference_session(model.data, "cpu")[0],  # on all cores: one thread uses it at a time
                resizes=model.contract.resizes,
            )
            self._infer: Run = Batcher(self._run)
        else:
            self._runner = _SingleSession(opened, word)
            self._infer = self._run

    @property
    def provider(self) -> str:
        """User word of the execution provider in use: the one opened, or ``cpu`` after a GPU failed."""
        return self._runner.provider

    def stop(self) -> None:
        """Abort all inferences running in other threads, and refuse further ones."""
        with self._lock:
            self._is_stopped = True
            for options in self._running:
                options.terminate = True

    def close(self) -> None:
        """Release the memory of the model; only :attr:`provider` may be used after that."""
        self._runner = _ClosedRunner(self.provider)
        self._watchdog.close()

    def answer(self, question: Question) -> Prediction:
        """Return the unchecked output of the model.

        Raises:
            InferenceError: the model failed or took too long.
            InferenceStoppedError: :meth:`stop` was called.

        """
        return self._infer(question)

    def _run(self, question: Question) -> Prediction:
        names = [contract.OUTPUT_NAME]
        if self.contract.confidence:
            names.append(contract.CONFIDENCE_NAME)
        if question.wants_colors:
            names.append(contract.COLORS_NAME)
        inputs = {contract.INPUT_NAME: question.luma}
        if self.contract.vividness is not None:
            inputs[contract.VIVIDNESS_NAME] = np.array(question.vividness, np.float32)
        if question.hints is not None:
            inputs[contract.HINTS_NAME] = question.hints
        with self._abortable(question.deadline) as run_options:
            try:
                outputs = dict(zip(names, self._runner.run(names, inputs, run_options), strict=True))
            except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
                if self._is_stopped:
                    raise InferenceStoppedError("the run was stopped") from error
                if run_options.terminate:
                    raise InferenceError("the model took too long", advice="Raise --timeout if it is slow.") from error
                raise InferenceError(f"the model failed: {error}") from error
        return Prediction(
            outputs[contract.OUTPUT_NAME], outputs.get(contract.CONFIDENCE_NAME), outputs.get(contract.COLORS_NAME)
        )

    @contextlib.contextmanager
    def _abortable(self, deadline: float | None) -> Iterator["onnxruntime.RunOptions"]:
        """Yield run options of one inference that :meth:`stop` and the deadline can abort."""
        options = self._new_run_options()
        with self._lock:
            options.terminate = self._is_stopped
            self._running.add(options)
        try:
            with contextlib.nullcontext() if deadline is None else self._watchdog.aborting_at(deadline, options):
                yield options
        finally:
            with self._lock:
                self._running.discard(options)


class _Runner(Protocol):
    """Computes the outputs of a model."""

    @property
    def provider(self) -> str:
        """The execution provider in use."""

    def run(
        self, names: Sequence[str], inputs: Mapping[str, Plane], options: "onnxruntime.RunOptions"
    ) -> Sequence[Plane]:
        """Return the outputs with these names."""


class _SingleSession:
    """A single session of ONNX Runtime, which may be used from several threads at once."""

    def __init__(self, session: "onnxruntime.InferenceSession", provider: str) -> None:
        self.provider = provider
        self.run = partial(session.run)


class _ClosedRunner:
    """What a closed session has in place of its model."""

    def __init__(self, provider: str) -> None:
        self.provider = provider

    def run(self, *_: object) -> Sequence[Plane]:
        raise InferenceError("the model is closed")


def _check(name: str, found: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    """Raise InferenceError unless an output has this shape and holds finite numbers."""
    if found.shape != shape:
        raise InferenceError(f"the model returned {name} {list(found.shape)} instead of {list(shape)}")
    if not np.isfinite(found).all():
        raise InferenceError("the model returned numbers that are not finite")
