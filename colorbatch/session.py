"""One opened model: luma in, chroma out."""

import numpy as np

from colorbatch import contract
from colorbatch.color import Plane
from colorbatch.contract import ModelContract
from colorbatch.errors import InferenceError
from colorbatch.job import ProviderName
from colorbatch.model_file import ModelFile
from colorbatch.provider import open_inference_session


class Session:
    """A model opened on a provider. May be used from several threads at once."""

    def __init__(self, model: ModelFile, provider: ProviderName = "auto", threads: int | None = None) -> None:
        """Open ``model``; ``threads`` are those of ONNX Runtime within one inference.

        Raises:
            EnvironmentFailure, ModelRefusedError: as :func:`colorbatch.provider.open_inference_session`.

        """
        self.model = model
        self._session, self.provider = open_inference_session(model.data, provider, threads)

    @property
    def contract(self) -> ModelContract:
        """What the model promises."""
        return self.model.contract

    def predict_chroma(self, luma: Plane, vividness: float | None = None) -> Plane:
        """Run the model.

        Args:
            luma: ``[N, 1, H, W]`` in 0..1, H and W multiples of the contract's ``size_multiple``.
            vividness: 0..1 for a model that has it; ``None``: as its contract says.

        Returns:
            Chroma ``[N, 2, H, W]`` in -0.5..0.5.

        Raises:
            InferenceError: the model failed, or its output has another shape or is not finite.

        """
        inputs = {contract.INPUT_NAME: luma}
        if self.contract.vividness is not None:
            chosen = self.contract.vividness if vividness is None else vividness
            inputs[contract.VIVIDNESS_NAME] = np.array(chosen, np.float32)
        try:
            (chroma,) = self._session.run([contract.OUTPUT_NAME], inputs)
        except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
            raise InferenceError(f"the model failed: {error}") from error
        batch, _, height, width = luma.shape
        if chroma.shape != (batch, 2, height, width):
            raise InferenceError(f"the model gave {list(chroma.shape)} for {list(luma.shape)}")
        if not np.isfinite(chroma).all():
            raise InferenceError("the model gave numbers that are not finite")
        clipped: Plane = np.clip(chroma, -0.5, 0.5)
        return clipped
