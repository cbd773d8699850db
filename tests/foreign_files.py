"""Files with the signatures of published networks, made in a moment: two layers each, with random weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
HALF, FULL = TensorProto.FLOAT16, TensorProto.FLOAT


def ddcolor(side: int | None = SIDE, *, opset: int = 12, kind: int = FULL) -> onnx.ModelProto:
    """Grey RGB 0..1 in, a and b out, both named as its export script names them."""
    return _model(
        [("input", 3)], [*_layers("input", 3, 2, gain=25), _node("Identity", "l2", "output")], 2, side, opset, kind
    )


def deoldify(side: int | None = SIDE, *, opset: int = 12, kind: int = FULL, scale: float = 255) -> onnx.ModelProto:
    """RGB 0..255 in and out."""
    nodes = [
        _node("Mul", "input", "tiny", "small"),
        *_layers("small", 3, 3, gain=0.6),
        _node("Sigmoid", "l2", "unit"),
        _node("Mul", "unit", "large", "output"),
    ]
    return _model([("input", 3)], nodes, 3, side, opset, kind, {"tiny": 1 / scale, "large": scale})


def zhang(
    side: int | None = SIDE,
    *,
    opset: int = 12,
    kind: int = FULL,
    is_centred: bool = False,
    divides: bool = False,
    quarter: bool = False,
    hints: Sequence[int] = (),
) -> onnx.ModelProto:
    """L in, a and b out; with ``hints``, also inputs of these channels, which change the colours at their places."""
    first = (
        [] if is_centred else [_node("Sub", "input", "middle", "shifted"), _node("Div", "shifted", "hundred", "seen")]
    )
    names = [f"hints{index}" for index in range(len(hints))]
    joined, channels = "input" if is_centred else "seen", 1 + sum(hints)
    nodes = [*first]
    if hints:
        nodes.append(_node("Concat", joined, *names, "joined", axis=1))
        joined = "joined"
    if quarter:
        nodes.append(_node("AveragePool", joined, "quarter", kernel_shape=[4, 4], strides=[4, 4]))
        joined = "quarter"
    nodes += _layers(joined, channels, 2, gain=2)
    nodes += [_node("Tanh", "l2", "bounded"), _node("Mul", "bounded", "gain", "output")]
    constants = {"middle": 50.0, "hundred": 100.0, "gain": 0.4 if divides else 44.0}
    given = [("input", 1), *zip(names, hints, strict=True)]
    return _model(
        given,
        nodes,
        2,
        side,
        opset,
        kind,
        constants,
        parts=4 if quarter else 1,
        scale=0.01 if hints and not is_centred else 1,
    )


def mixing(side: int = SIDE) -> onnx.ModelProto:
    """A ddcolor that gives each picture of a batch the mean colours of all."""
    nodes = [
        *_layers("input", 3, 2, gain=25),
        _node("ReduceMean", "l2", "mean", axes=[0], keepdims=1),
        _node("Sub", "l2", "l2", "nothing"),
        _node("Add", "nothing", "mean", "output"),
    ]
    return _model([("input", 3)], nodes, 2, side, 12, FULL)


def one_at_a_time(side: int = SIDE) -> onnx.ModelProto:
    """A ddcolor with the batch of one in a Reshape, as tracing leaves it."""
    shape = numpy_helper.from_array(np.array([1, 2, side, side]), "shape")
    model = _model(
        [("input", 3)], [*_layers("input", 3, 2, gain=25), _node("Reshape", "l2", "shape", "output")], 2, side, 12, FULL
    )
    model.graph.initializer.append(shape)
    return model


def _layers(source: str, channels: int, out: int, gain: float) -> list[onnx.NodeProto]:
    return [
        _node("Conv", source, f"w{channels}_8", "l1", pads=[1] * 4),
        _node("Relu", "l1", "l1r"),
        _node("Conv", "l1r", f"w8_{out}_{gain}", "l2", pads=[1] * 4),
    ]


def _node(kind: str, *names: str, **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401 (those of ONNX)
    return helper.make_node(kind, names[:-1], names[-1:], **attributes)


def _model(
    inputs: Sequence[tuple[str, int]],
    nodes: Sequence[onnx.NodeProto],
    channels: int,
    side: int | None,
    opset: int,
    kind: int,
    constants: dict[str, float] | None = None,
    parts: int = 1,
    scale: float = 1,
) -> onnx.ModelProto:
    dtype = np.float16 if kind == HALF else np.float32
    weights = [numpy_helper.from_array(np.array(value, dtype), name) for name, value in (constants or {}).items()]
    random = np.random.default_rng(2)
    for node in nodes:
        if node.op_type == "Conv":
            name = node.input[1]
            taken, given, *gain = name[1:].split("_")
            kernel = random.normal(0, float(gain[0]) / 3 if gain else 0.5, (int(given), int(taken), 3, 3))
            if len(inputs) > 1 and not gain:
                kernel[:, 1:3] *= scale  # a and b in units of Lab are large
            weights.append(numpy_helper.from_array(kernel.astype(dtype), name))
    shape: list[Any] = ["n", "h", "w"] if side is None else [1, side, side]
    below = ["n", "y", "x"] if side is None else [1, side // parts, side // parts]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info(name, kind, [shape[0], each, *shape[1:]]) for name, each in inputs],
        [helper.make_tensor_value_info("output", kind, [below[0], channels, *below[1:]])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
