"""Turn a trained network into an ONNX graph with the contract's signature: luma in, chroma out.

Hints are an optional input. In ONNX, that is an input with an initializer of the same name, which is its default. It
holds a single pixel without weight: what the network computes from it has a single pixel as well, and is broadcast
where it is added.
"""

import contextlib
import io
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from colorbatch.inference import contract
from colorbatch.training.network import ColorNetwork
from colorbatch_export.metadata import forget_origins


class ChromaModel(nn.Module):
    """A network with the contract's signature: luma, and vividness and hints if it has them, to chroma.

    The name of the attribute ``network`` is the contract's prefix of weights.
    """

    def __init__(self, network: ColorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, luma: Tensor, vividness: Tensor | None = None, hints: Tensor | None = None) -> tuple[Tensor, ...]:
        """Predict chroma ``[N, 2, H, W]`` in -0.5..0.5, and the other outputs, for luma ``[N, 1, H, W]`` in 0..1."""
        prediction = self.network(luma, hints)
        return tuple(each for each in self.network.decode(prediction, luma, vividness, hints) if each is not None)


class _WeightsAsArgument(nn.Module):
    """The same with the weights as an argument, so that the exporter cannot fold them as constants.

    It would fold batch norms into convolutions, and then no training could start from the model. ONNX Runtime folds
    them itself when it opens the file, which takes 10 ms.
    """

    def __init__(self, model: ChromaModel) -> None:
        super().__init__()
        self._hidden = (model,)  # as a submodule, its own weights would be exported as well

    def forward(
        self, weights: dict[str, Tensor], luma: Tensor, vividness: Tensor | None = None, hints: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = torch.func.functional_call(self._hidden[0], weights, (luma, vividness, hints))
        return outputs


def build_graph(network: ColorNetwork) -> onnx.ModelProto:
    """Return the graph of a network with the contract's signature, in float32.

    Args:
        network: network in evaluation mode.

    """
    model = ChromaModel(network).eval()
    weights = {
        contract.WEIGHT_PREFIX + name: value
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }
    multiple = network.size_multiple
    height, width = (multiple * torch.export.Dim(name, min=1) for name in ("h", "w"))
    luma = torch.rand(2, 1, 3 * multiple, 2 * multiple)  # all sides differ, so that none is mistaken for another
    planes = {0: torch.export.Dim("N"), 2: height, 3: width}
    options: dict[str, Tensor] = {}
    dynamic_shapes: dict[str, Any] = {"weights": {name: {} for name in weights}, "luma": planes}
    if network.has_vividness:
        options["vividness"] = torch.tensor(0.5)
        dynamic_shapes["vividness"] = {}
    if network.has_hints:
        options["hints"] = torch.rand(2, 3, *luma.shape[2:])
        dynamic_shapes["hints"] = planes
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():  # the exporter prints its steps
        warnings.filterwarnings("ignore", message="# The axis name")  # luma and hints have the same sides
        program = torch.onnx.export(
            _WeightsAsArgument(model).eval(),
            (weights, luma),
            kwargs=options,
            dynamo=True,
            input_names=[*weights, contract.INPUT_NAME, *options],  # the options have the contract's names
            output_names=output_names(network),
            dynamic_shapes=dynamic_shapes,
            verbose=False,
        )
    assert program is not None  # it is None only when a file is written
    proto = program.model_proto
    _store_weights(proto.graph, weights)
    if network.has_hints:
        _make_hints_optional(proto.graph)
    _name_dimensions(proto.graph)
    forget_origins(proto)
    return proto


def output_names(network: ColorNetwork) -> list[str]:
    """Return the contract's names of a network's outputs, in the order of its ``Decoded``."""
    if network.bins is None:
        return [contract.OUTPUT_NAME]
    return [contract.OUTPUT_NAME, contract.CONFIDENCE_NAME, contract.COLORS_NAME]


def _store_weights(graph: onnx.GraphProto, weights: Mapping[str, Tensor]) -> None:
    """Replace the inputs that are weights by initializers of the same names."""
    inputs = [each for each in graph.input if each.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    graph.initializer.extend(numpy_helper.from_array(value.numpy(), name) for name, value in weights.items())


def _make_hints_optional(graph: onnx.GraphProto) -> None:
    """Give the input ``hints`` a default: one pixel without weight."""
    graph.initializer.append(numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), contract.HINTS_NAME))


def _name_dimensions(graph: onnx.GraphProto) -> None:
    """Give the dynamic dimensions their names in the contract, instead of ``32*h``."""
    del graph.value_info[:]
    names = {
        contract.INPUT_NAME: ("N", "", "H", "W"),
        # Other names, since ONNX Runtime requires dimensions of one name to be equal, and the default has one pixel.
        contract.HINTS_NAME: ("N_hints", "", "H_hints", "W_hints"),
        contract.OUTPUT_NAME: ("N", "", "H", "W"),
        contract.CONFIDENCE_NAME: ("N",),
        contract.COLORS_NAME: ("N", "", "h", "w"),
    }
    for value in (*graph.input, *graph.output):
        shape = value.type.tensor_type.shape.dim
        for dimension, name in zip(shape, names.get(value.name, ()), strict=True):
            if name:
                dimension.dim_param = name
