"""The weights that a training starts from: those of a checkpoint, or of a model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from colorbatch.errors import CheckpointRefusedError
from colorbatch.extras import needs_extra
from colorbatch.inference.contract import WEIGHT_PREFIX
from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.model_names import named_models
from colorbatch.training.checkpoint import LoadedCheckpoint, load_checkpoint, load_weights
from colorbatch.training.network import ColorNetwork


def start_from(source: Path, network: ColorNetwork, architecture: str) -> None:
    """Load the weights of a checkpoint, of an ``.onnx`` file or of a model with a name into a new network.

    Args:
        source: path of a file, or the name of a model.
        network: untrained network.
        architecture: name of its architecture.

    Raises:
        CheckpointRefusedError: the file is not a checkpoint, or the weights are of another architecture, or the model
            does not hold them as they were trained.
        ModelRefusedError: the file is not a model that fulfils the contract.

    """
    is_model = source.suffix.lower() == ".onnx" or str(source) in named_models()
    loaded = _read_model(source) if is_model else load_checkpoint(source)
    if loaded.architecture != architecture:
        raise CheckpointRefusedError(
            f"{source} holds the weights of {loaded.architecture}, but the architecture to train is {architecture}",
            advice=f"Use --architecture {loaded.architecture}, or a recipe with it.",
        )
    if is_model:
        loaded = replace(loaded, weights=_counts(network) | loaded.weights)
        if network.state_dict().keys() - loaded.weights.keys():
            raise CheckpointRefusedError(
                f"{source} does not hold the weights as they were trained: its batch norms are folded into "
                "other weights",
                advice="Export it again from its checkpoint with this colorbatch, or give that checkpoint.",
            )
    load_weights(network, loaded, source)


def _read_model(source: Path) -> LoadedCheckpoint:
    """Return the weights that a model contains; those stored in float16 are converted to float32."""
    model_file = read_model_file(source)
    contract = model_file.contract
    if contract.precision == "int8":
        raise CheckpointRefusedError(
            f"{source} holds 8-bit weights, from which training cannot continue",
            advice="Give the checkpoint that it was exported from, or a model of another precision.",
        )
    with needs_extra("train"):
        import onnx
    weights = {
        tensor.name.removeprefix(WEIGHT_PREFIX): torch.from_numpy(onnx.numpy_helper.to_array(tensor).astype(np.float32))
        for tensor in onnx.load_from_string(model_file.data).graph.initializer
        if tensor.name.startswith(WEIGHT_PREFIX)
    }
    return LoadedCheckpoint(contract.architecture, contract.working_size, weights, model_file.sha256, content={})


def _counts(network: ColorNetwork) -> dict[str, Tensor]:
    """Return the batch counts of all batch norms, which no model contains, since no chroma depends on them."""
    return {name: value for name, value in network.state_dict().items() if not value.is_floating_point()}
