"""One opened model: luma in, chroma out."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from colorbatch import contract
from colorbatch.batching import Batcher, Prediction, Question, Run
from colorbatch.color import Plane
from colorbatch.contract import ModelContract
from colorbatch.errors import InferenceError, InferenceStoppedError
from colorbatch.job import ProviderName
from colorbatch.model_file import ModelFile
from colorbatch.provider import import_onnxruntime, open_inference_session

if TYPE_CHECKING:
    import onnxruntime


class Session:
    """A model opened on a provider. May be used from several threads at once."""

    def __init__(
        self,
        model: ModelFile,
        provider: ProviderName = "auto",
        threads: int | None = None,
        *,
        batched: bool | None = None,
    ) -> None:
        """Open ``model``.

        Args:
            model: read already.
            provider: ``auto``, or what is used or refused.
            threads: of ONNX Runtime within one inference.
            batched: compute together what several threads ask for; ``None``: on a GPU. On a CPU it gains nothing.

        Raises:
            EnvironmentFailure, ModelRefusedError: as :func:`colorbatch.provider.open_inference_session`.

        """
        self.model = model
        self._session, self.provider = open_inference_session(model.data, provider, threads)
        self._new_run_options = import_onnxruntime().RunOptions
        self._at_work: set[onnxruntime.RunOptions] = set()
        self._lock = threading.Lock()
        self._is_stopped = False
        self._is_batched = self.provider != "cpu" if batched is None else batched
        self._infer: Run = Batcher(self._answer) if self._is_batched else self._answer

    @property
    def contract(self) -> ModelContract:
        """What the model promises."""
        return self.model.contract

    def stop(self) -> None:
        """Break off every inference that is going on in another thread, and refuse further ones."""
        with self._lock:
            self._is_stopped = True
            for options in self._at_work:
                options.terminate = True

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
            vividness: 0..1 for a model that has it; ``None``: as its contract says.
            deadline: of ``time.monotonic``, in seconds, at which the inference is broken off.
            hints: ``[N, 3, H, W]``: Cb, Cr in -0.5..0.5 and weight in 0..1, for a model that takes them.

        Raises:
            InferenceError: the model failed or took too long, takes no hints, or its output has another shape or is
                not finite.
            InferenceStoppedError: :meth:`stop` was called.

        """
        if hints is not None and not self.contract.hints:
            raise InferenceError(f"the model {self.contract.name} takes no hints", advice="Use the built-in default.")
        level = self.contract.vividness if vividness is None else vividness
        prediction = self._infer(Question(luma, level, hints, deadline))
        batch, _, height, width = luma.shape
        _check("chroma", prediction.chroma, (batch, 2, height, width))
        if prediction.confidence is not None:
            _check("confidence", prediction.confidence, (batch,))
        return replace(prediction, chroma=np.clip(prediction.chroma, -0.5, 0.5))

    def predict_colors(self, luma: Plane, hints: Plane | None = None) -> Plane:
        """Return the probability of each bin of the contract's ``colors``, ``[N, B, H / 4, W / 4]``.

        Args:
            luma: as :meth:`predict` takes it.
            hints: likewise.

        Raises:
            InferenceError: as :meth:`predict`, or the model has no such output.
            InferenceStoppedError: :meth:`stop` was called.

        """
        if self.contract.colors is None:
            raise InferenceError(f"the model {self.contract.name} does not tell how likely each colour is")
        inputs = self._inputs(Question(luma, self.contract.vividness, hints))
        (colors,) = self._run([contract.COLORS_NAME], inputs, None)
        batch, _, height, width = luma.shape
        stride = contract.COLORS_STRIDE
        _check("colors", colors, (batch, len(self.contract.colors), height // stride, width // stride))
        return colors

    def _answer(self, question: Question) -> Prediction:
        """Return what the model gives, whatever that is."""
        names = [contract.OUTPUT_NAME]
        if self.contract.confidence:
            names.append(contract.CONFIDENCE_NAME)
        return Prediction(*self._run(names, self._inputs(question), question.deadline))

    def _inputs(self, question: Question) -> Mapping[str, Plane]:
        inputs = {contract.INPUT_NAME: question.luma}
        if self.contract.vividness is not None:
            inputs[contract.VIVIDNESS_NAME] = np.array(question.vividness, np.float32)
        if question.hints is not None:
            inputs[contract.HINTS_NAME] = question.hints
        return inputs

    def _run(self, names: Sequence[str], inputs: Mapping[str, Plane], deadline: float | None) -> Sequence[Plane]:
        """Return the outputs of these names."""
        with self._breakable(deadline) as run_options:
            try:
                # What is bound has to be an input that must be fed, which hints are not.
                if self._is_batched and contract.HINTS_NAME not in inputs:
                    return self._run_bound(names, inputs, run_options)
                outputs: Sequence[Plane] = self._session.run(names, inputs, run_options)
            except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
                if self._is_stopped:
                    raise InferenceStoppedError("the run was stopped") from error
                if run_options.terminate:
                    raise InferenceError("the model took too long", advice="Raise --timeout if it is slow.") from error
                raise InferenceError(f"the model failed: {error}") from error
            return outputs

    def _run_bound(
        self, names: Sequence[str], inputs: Mapping[str, Plane], run_options: "onnxruntime.RunOptions"
    ) -> Sequence[Plane]:
        """Run with a batch copied to the device once, and its outputs copied back once."""
        binding = self._session.io_binding()
        for name, values in inputs.items():
            binding.bind_cpu_input(name, values)
        for name in names:
            binding.bind_output(name, self.provider)
        self._session.run_with_iobinding(binding, run_options)
        outputs: Sequence[Plane] = binding.copy_outputs_to_cpu()
        return outputs

    @contextlib.contextmanager
    def _breakable(self, deadline: float | None) -> Iterator["onnxruntime.RunOptions"]:
        """Yield options of one inference that :meth:`stop` and the deadline reach."""
        options = self._new_run_options()
        with self._lock:
            options.terminate = self._is_stopped
            self._at_work.add(options)
        alarm = None
        if deadline is not None:
            left = min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
            alarm = threading.Timer(left, setattr, (options, "terminate", True))
            alarm.daemon = True
            alarm.start()
        try:
            yield options
        finally:
            if alarm is not None:
                alarm.cancel()
            with self._lock:
                self._at_work.discard(options)


def _check(name: str, found: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    """Raise InferenceError unless an output has this shape and holds finite numbers."""
    if found.shape != shape:
        raise InferenceError(f"the model gave {name} {list(found.shape)} and not {list(shape)}")
    if not np.isfinite(found).all():
        raise InferenceError("the model gave numbers that are not finite")
