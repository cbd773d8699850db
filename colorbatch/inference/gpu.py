"""A model on a GPU: each input shape has its own session, and no picture is lost by a failure of the GPU.

A model that resizes by itself shows its network one shape, whatever it is given: one session takes all of them.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from colorbatch.inference import contract
from colorbatch.pixels.canvas import MOST_SESSIONS, batch_of
from colorbatch.pixels.color import Plane

if TYPE_CHECKING:
    import onnxruntime

logger = logging.getLogger(__name__)

OpenSession = Callable[[], "onnxruntime.InferenceSession"]


class GpuRunner:
    """Runs a model on a GPU in batches of few sizes. Only one thread may use it at a time."""

    def __init__(
        self, provider: str, open_on_gpu: OpenSession, open_on_cpu: OpenSession, *, resizes: bool = False
    ) -> None:
        """Open sessions when they are needed.

        Args:
            provider: user word of the execution provider of ``open_on_gpu``.
            open_on_gpu: opens another session on the GPU.
            open_on_cpu: opens the session that takes over if the GPU fails.
            resizes: whether the model brings pictures to the size of its network.

        """
        self._resizes = resizes
        self._provider = provider
        self._open_on_gpu = open_on_gpu
        self._open_on_cpu = open_on_cpu
        self._sessions: dict[tuple[object, ...], onnxruntime.InferenceSession] = {}
        """Sessions by the names and the shape of their inputs, the most recently used last."""
        self._halvings = 0
        """How often the size of batches was halved, since the GPU had no memory for larger ones."""
        self._cpu: onnxruntime.InferenceSession | None = None
        self._is_lost = False

    @property
    def provider(self) -> str:
        """The execution provider in use: ``cpu`` after the GPU failed."""
        return "cpu" if self._is_lost else self._provider

    def run(
        self, names: Sequence[str], inputs: Mapping[str, Plane], options: "onnxruntime.RunOptions"
    ) -> Sequence[Plane]:
        """Return the outputs with these names.

        After a failure of the GPU the batch is halved repeatedly, and finally run on the CPU. If that succeeds, the
        GPU is not used again; if it fails too, the failure is not the GPU's.

        Args:
            names: of outputs whose first axis is that of the pictures.
            inputs: ``luma`` and the others by name; the first axis of those with four is that of the pictures.
            options: of each inference.

        Raises:
            Exception: whatever ONNX Runtime raised on the CPU, or when it was aborted.

        """
        if self._is_lost:
            return self._run_on_cpu(names, inputs, options)
        halvings = self._halvings
        try:
            return self._run_on_gpu(names, inputs, options)
        except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
            if options.terminate:
                raise
            try:
                outputs = self._run_on_cpu(names, inputs, options)
            except Exception:
                self._halvings = halvings
                raise
            self._is_lost = True
            self._sessions.clear()
            logger.warning("the %s provider failed (%s); the CPU takes over", self._provider, error)
            return outputs

    def _run_on_cpu(
        self, names: Sequence[str], inputs: Mapping[str, Plane], options: "onnxruntime.RunOptions"
    ) -> Sequence[Plane]:
        if self._cpu is None:
            self._cpu = self._open_on_cpu()
        outputs: Sequence[Plane] = self._cpu.run(names, dict(inputs), options)
        return outputs

    def _run_on_gpu(
        self, names: Sequence[str], inputs: Mapping[str, Plane], options: "onnxruntime.RunOptions"
    ) -> Sequence[Plane]:
        count, _, height, width = inputs[contract.INPUT_NAME].shape
        while True:
            batch = max(1, batch_of(height, width) >> self._halvings)
            try:
                parts = [
                    self._run_batch(names, _part(inputs, start, batch), batch, options)
                    for start in range(0, count, batch)
                ]
                return [np.concatenate(each)[:count] for each in zip(*parts, strict=True)]
            except Exception as error:
                if options.terminate or batch == 1:
                    raise
                logger.warning("the GPU cannot process %d pictures at once (%s); trying %d", batch, error, batch // 2)
                self._halvings += 1
                self._sessions.clear()

    def _run_batch(
        self, names: Sequence[str], inputs: Mapping[str, Plane], batch: int, options: "onnxruntime.RunOptions"
    ) -> Sequence[Plane]:
        """Return outputs for ``batch`` pictures; ``inputs`` may hold fewer.

        A model that resizes may take them one after the other: it is given no pictures beside those of ``inputs``.
        """
        size = len(inputs[contract.INPUT_NAME]) if self._resizes else batch
        padded = {name: _pad_batch(values, size) for name, values in inputs.items()}
        session = self._session_for(padded)
        if contract.HINTS_NAME in padded:  # only required inputs can be bound, and hints are optional
            unbound: Sequence[Plane] = session.run(names, padded, options)
            return unbound
        binding = session.io_binding()
        for name, values in padded.items():
            binding.bind_cpu_input(name, values)
        for name in names:
            binding.bind_output(name, self._provider)
        session.run_with_iobinding(binding, options)
        outputs: Sequence[Plane] = binding.copy_outputs_to_cpu()
        return outputs

    def _session_for(self, inputs: Mapping[str, Plane]) -> "onnxruntime.InferenceSession":
        key = (*inputs, None if self._resizes else inputs[contract.INPUT_NAME].shape)
        session = self._sessions.pop(key, None) or self._open_on_gpu()
        self._sessions[key] = session
        if len(self._sessions) > MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return session


def _part(inputs: Mapping[str, Plane], start: int, batch: int) -> Mapping[str, Plane]:
    """Return the inputs of ``batch`` pictures, or of the remaining ones."""
    return {name: values[start : start + batch] if values.ndim else values for name, values in inputs.items()}


def _pad_batch(values: Plane, batch: int) -> Plane:
    """Return values of ``batch`` pictures, padded with black ones."""
    if values.ndim == 0 or len(values) == batch:
        return np.ascontiguousarray(values) if values.ndim else values
    padded = np.zeros((batch, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded
