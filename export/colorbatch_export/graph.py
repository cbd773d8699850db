"""Turn a trained network into an ONNX graph with the contract's signature: luma in, chroma out."""

import contextlib
import io
from collections.abc import Mapping
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from colorbatch import contract
from colorbatch.training.network import ColorNetwork


class ChromaModel(nn.Module):
    """A network behind the contract's signature: luma, and the vividness where it has one, to chroma.

    The attribute's name is the contract's prefix of weights.
    """

    def __init__(self, network: ColorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, luma: Tensor, vividness: Tensor | None = None) -> Tensor:
        """Predict chroma ``[N, 2, H, W]`` in -0.5..0.5 for luma ``[N, 1, H, W]`` in 0..1."""
        return self.network.chroma(self.network(luma), vividness)


class _WeightsGiven(nn.Module):
    """The same with the weights as an argument, so that the exporter cannot compute anything out of them.

    It would fold batch norms into convolutions, and then no training could go on from the model. ONNX Runtime folds
    them itself when it opens the file, which takes it 10 ms.
    """

    def __init__(self, model: ChromaModel) -> None:
        super().__init__()
        self._hidden = (model,)  # were it a submodule, its own weights would be exported as well

    def forward(self, weights: dict[str, Tensor], luma: Tensor, vividness: Tensor | None = None) -> Tensor:
        chroma: Tensor = torch.func.functional_call(self._hidden[0], weights, (luma, vividness))
        return chroma


def build_graph(network: ColorNetwork) -> onnx.ModelProto:
    """Return the graph of a network with the contract's signature, in float32.

    Args:
        network: in evaluation mode.

    """
    model = ChromaModel(network).eval()
    weights = {
        contract.WEIGHT_PREFIX + name: value
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }
    multiple = network.size_multiple
    height, width = (multiple * torch.export.Dim(name, min=1) for name in ("h", "w"))
    luma = torch.rand(2, 1, 3 * multiple, 2 * multiple)  # all sides differ, so that none is taken for another
    examples: list[Any] = [weights, luma]
    input_names = [*weights, contract.INPUT_NAME]
    dynamic_shapes: list[dict[Any, Any]] = [
        {name: {} for name in weights},
        {0: torch.export.Dim("N"), 2: height, 3: width},
    ]
    if network.has_vividness:
        examples.append(torch.tensor(0.5))
        input_names.append(contract.VIVIDNESS_NAME)
        dynamic_shapes.append({})
    with contextlib.redirect_stdout(io.StringIO()):  # the exporter prints its steps
        program = torch.onnx.export(
            _WeightsGiven(model).eval(),
            tuple(examples),
            dynamo=True,
            input_names=input_names,
            output_names=[contract.OUTPUT_NAME],
            dynamic_shapes=tuple(dynamic_shapes),
            verbose=False,
        )
    assert program is not None  # it is None only when a file is written
    proto = program.model_proto
    _hold_weights(proto.graph, weights)
    _name_dimensions(proto.graph)
    forget_origins(proto)
    return proto


def _hold_weights(graph: onnx.GraphProto, weights: Mapping[str, Tensor]) -> None:
    """Make the inputs that are weights initializers of the same names."""
    inputs = [each for each in graph.input if each.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    graph.initializer.extend(numpy_helper.from_array(value.numpy(), name) for name, value in weights.items())


def _name_dimensions(graph: onnx.GraphProto) -> None:
    """Call the dynamic dimensions what the contract calls them, instead of ``32*h``."""
    del graph.value_info[:]
    for value in (graph.input[0], graph.output[0]):
        for dimension, name in zip(value.type.tensor_type.shape.dim, ("N", "", "H", "W"), strict=True):
            if name:
                dimension.dim_param = name


def forget_origins(model: onnx.ModelProto) -> None:
    """Take out what tools noted on the model and every node: stack traces with paths of this machine, among others."""
    del model.metadata_props[:]
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
