"""The precision of a graph's weights and arithmetic: from float32 to float16 or 8 bits."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from colorbatch.inference import contract
from colorbatch.inference.provider import import_onnxruntime
from colorbatch_export.calibration import CalibrationInput
from colorbatch_export.metadata import forget_origins

_SMALLEST_HALVED = 40_000
"""Minimum size of a tensor that is halved. Depthwise kernels and the first layers, which take a tenth of a file, would
cause most of the loss of accuracy."""

_QUANTIZED = ("Add", "Clip", "Concat", "Conv", "Relu", "Resize")
"""Operators computed in 8 bits; any other one between two of them is computed in float32, with conversions."""


def halve_weights(model: onnx.ModelProto) -> None:
    """Store the large weights in float16, each with a Cast before its use; the arithmetic stays in float32."""
    graph = model.graph
    widened: dict[str, str] = {}
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= _SMALLEST_HALVED:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))
            widened[tensor.name] = f"{tensor.name}.float"
    for node in graph.node:
        node.input[:] = [widened.get(name, name) for name in node.input]
    casts = [helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT) for half, name in widened.items()]
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def compute_in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph in float16 up to its last convolution, with inputs and outputs in float32 as before.

    The part that computes chroma from the last convolution's output stays in float32: sums along rows of a large
    picture exceed the range of float16.
    """
    import_onnxruntime()
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    before = {node.name for node in _leading_to_last_convolution(model.graph)}
    after = [node.name for node in model.graph.node if node.name not in before]
    half = OnnxModel(
        convert_float_to_float16(model, keep_io_types=True, op_block_list=DEFAULT_OP_BLOCK_LIST, node_block_list=after)
    )
    half.topological_sort()  # the converter adds its casts at the end
    converted: onnx.ModelProto = half.model
    del converted.graph.value_info[:]
    return converted


def compute_in_8_bits(model: onnx.ModelProto, inputs: Iterable[CalibrationInput]) -> onnx.ModelProto:
    """Return the graph quantized up to its last convolution; the part that computes chroma stays in float32.

    The range of each activation is the mean of its ranges in all pictures, which loses no more than the widest range.
    Weights have 7 bits, scaled per channel: with 8, processors without VNNI overflow the 16 bits in which they add two
    products, and the colours would depend on the machine.

    Args:
        model: graph in float32.
        inputs: inputs for each picture to calibrate with.

    """
    import_onnxruntime()
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        source, prepared, output = (Path(folder, f"{name}.onnx") for name in ("source", "prepared", "output"))
        onnx.save(model, source)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)  # folds batch norms into convolutions
        quantize_static(
            prepared,
            output,
            _Calibration(model.graph, inputs),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True},
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=list(_QUANTIZED),
            nodes_to_quantize=_nodes_to_quantize(onnx.load(prepared).graph),
        )
        quantized = onnx.load(output)
    used = {node.domain for node in quantized.graph.node}
    opsets = [each for each in quantized.opset_import if each.domain in used]
    del quantized.opset_import[:]
    quantized.opset_import.extend(opsets)
    del quantized.graph.value_info[:]
    forget_origins(quantized)
    return quantized


class _Calibration:
    """A reader of calibration inputs for ONNX Runtime's quantizer, one picture after another."""

    def __init__(self, graph: onnx.GraphProto, inputs: Iterable[CalibrationInput]) -> None:
        names = {each.name for each in graph.input}
        level = np.array(0.5, np.float32)  # used only after the last convolution, so any value will do
        self._inputs: Iterator[dict[str, NDArray[np.float32]]] = (
            {
                name: value
                for name, value in (
                    (contract.INPUT_NAME, each.luma),
                    (contract.VIVIDNESS_NAME, level),
                    (contract.HINTS_NAME, each.hints),
                )
                if name in names
            }
            for each in inputs
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the inputs of the next picture, or ``None`` after the last."""
        return next(self._inputs, None)


def _nodes_to_quantize(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the nodes to compute in 8 bits: those up to the last convolution, except those for hints.

    Hints are sparse, so that no range fits their activations; and without hints, these nodes cost nothing.
    """
    nodes = _leading_to_last_convolution(graph)
    of_luma = _depending_on(graph, contract.INPUT_NAME)
    of_hints = _depending_on(graph, contract.HINTS_NAME) - of_luma
    return [
        node.name
        for node in nodes
        if node.op_type in _QUANTIZED and not of_hints.intersection((*node.input, *node.output))
    ]


def _depending_on(graph: onnx.GraphProto, name: str) -> set[str]:
    """Return the names of all values that depend on the input ``name``, itself among them."""
    found = {name}
    for node in graph.node:  # in topological order
        if found.intersection(node.input):
            found.update(node.output)
    return found


def _leading_to_last_convolution(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the last convolution, and all nodes that its input depends on."""
    makers = {output: node for node in graph.node for output in node.output}
    found: dict[str, onnx.NodeProto] = {}
    waiting = [[node for node in graph.node if node.op_type == "Conv"][-1]]
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found[node.name] = node
            waiting.extend(makers[name] for name in node.input if name in makers)
    return list(found.values())
