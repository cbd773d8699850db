"""One opened model: luma in, chroma out."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from colorbatch import contract
from colorbatch.batching import Batcher
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
        self._infer = Batcher(self._run) if self._is_batched else self._run

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

    def predict_chroma(self, luma: Plane, vividness: float | None = None, deadline: float | None = None) -> Plane:
        """Run the model.

        Args:
            luma: ``[N, 1, H, W]`` in 0..1, H and W multiples of the contract's ``size_multiple``.
            vividness: 0..1 for a model that has it; ``None``: as its contract says.
            deadline: of ``time.monotonic``, in seconds, at which the inference is broken off.

        Returns:
            Chroma ``[N, 2, H, W]`` in -0.5..0.5.

        Raises:
            InferenceError: the model failed or took too long, or its output has another shape or is not finite.
            InferenceStoppedError: :meth:`stop` was called.

        """
        chroma = self._infer(luma, self.contract.vividness if vividness is None else vividness, deadline)
        batch, _, height, width = luma.shape
        if chroma.shape != (batch, 2, height, width):
            raise InferenceError(f"the model gave {list(chroma.shape)} for {list(luma.shape)}")
        if not np.isfinite(chroma).all():
            raise InferenceError("the model gave numbers that are not finite")
        clipped: Plane = np.clip(chroma, -0.5, 0.5)
        return clipped

    def _run(self, luma: Plane, vividness: float | None, deadline: float | None) -> Plane:
        """Return what the model gives, whatever that is."""
        inputs = {contract.INPUT_NAME: luma}
        if self.contract.vividness is not None:
            inputs[contract.VIVIDNESS_NAME] = np.array(vividness, np.float32)
        with self._breakable(deadline) as run_options:
            try:
                return (
                    self._run_bound(inputs, run_options) if self._is_batched else self._run_plain(inputs, run_options)
                )
            except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
                if self._is_stopped:
                    raise InferenceStoppedError("the run was stopped") from error
                if run_options.terminate:
                    raise InferenceError("the model took too long", advice="Raise --timeout if it is slow.") from error
                raise InferenceError(f"the model failed: {error}") from error

    def _run_plain(self, inputs: Mapping[str, Plane], run_options: "onnxruntime.RunOptions") -> Plane:
        (chroma,) = self._session.run([contract.OUTPUT_NAME], inputs, run_options)
        found: Plane = chroma
        return found

    def _run_bound(self, inputs: Mapping[str, Plane], run_options: "onnxruntime.RunOptions") -> Plane:
        """Run with a batch copied to the device once, and its chroma copied back once."""
        binding = self._session.io_binding()
        for name, values in inputs.items():
            binding.bind_cpu_input(name, values)
        binding.bind_output(contract.OUTPUT_NAME, self.provider)
        self._session.run_with_iobinding(binding, run_options)
        (chroma,) = binding.copy_outputs_to_cpu()
        found: Plane = chroma
        return found

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
