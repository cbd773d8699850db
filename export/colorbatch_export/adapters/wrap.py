"""The graph around a published network: luma in, chroma out, for pictures of any shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from colorbatch.inference import contract
from colorbatch.inference.contract import Fit
from colorbatch_export.adapters.foreign import PREFIX_OF_NAMES, Foreign
from colorbatch_export.adapters.lab import ab_of_chroma, chroma_of_lab, chroma_of_rgb, lightness_of
from colorbatch_export.adapters.nodes import FIRST_OPSET, Nodes, Value
from colorbatch_export.adapters.resampling import resized
from colorbatch_export.metadata import forget_origins

Batch = Literal["dynamic", "loop"]
"""``dynamic``: the network takes all pictures at once; ``loop``: a loop in the graph gives it one after the other."""

AB_SCALE = 110.0
"""What Zhang's networks divide a and b by."""
_LARGE = 2**16
"""Bytes from which a weight is large."""
_IR_VERSION = 8
"""The lowest version of the format with all that is used here, and in which weights need not be inputs."""


def wrapped(foreign: Foreign, fit: Fit, batch: Batch) -> onnx.ModelProto:
    """Return a model with the contract's signature around a network.

    Args:
        foreign: the network.
        fit: how a picture is brought to the shape that it takes.
        batch: how it gets several pictures.

    """
    nodes = Nodes()
    luma = nodes.value(contract.INPUT_NAME)
    frame = _framed(foreign, fit, luma)
    seen = frame.enter(luma).clip(0.0, 1.0)
    given = _network_inputs(foreign, seen, frame, nodes)
    answer = _answer(foreign, [each.cast(port.type) for each, port in zip(given, foreign.inputs, strict=True)], batch)
    chroma = _chroma(foreign, luma, answer.cast(TensorProto.FLOAT), frame)
    nodes.nodes.append(helper.make_node("Identity", [chroma.name], [contract.OUTPUT_NAME]))
    return _assembled(foreign, nodes)


@dataclass(frozen=True)
class _Frame:
    """The way of planes ``[N, C, H, W]`` to the shape that the network takes, and back."""

    full: tuple[Value, Value]
    """Height and width of the luma that is given."""
    inner: tuple[Value, Value]
    """Height and width of the picture within what the network sees."""
    outer: tuple[Value, Value] | None
    """Height and width of what the network sees; ``None``: the same."""
    is_resized: bool

    def enter(self, planes: Value, *, is_padded_with_edges: bool = True) -> Value:
        """Return planes as the network sees them."""
        if self.is_resized:
            planes = resized(planes, *self.inner)
        if self.outer is None:
            return planes
        nodes = planes.nodes
        missing = [(outer - inner).reshape(1) for outer, inner in zip(self.outer, self.inner, strict=True)]
        pads = nodes.concat([nodes.constant(np.zeros(6, np.int64)), *missing], axis=0)
        return nodes.op("Pad", planes, pads, mode="edge" if is_padded_with_edges else "constant")

    def leave(self, planes: Value) -> Value:
        """Return what the network gives, at the size of the luma."""
        if self.outer is not None:
            planes = resized(planes, *self.outer)  # it may be at a part of the size
            planes = planes.part(0, self.inner[0], axis=2).part(0, self.inner[1], axis=3)
        return resized(planes, *self.full)


def _framed(foreign: Foreign, fit: Fit, luma: Value) -> _Frame:
    nodes = luma.nodes
    full = luma.side(2), luma.side(3)
    if foreign.size is None and fit == "pad":  # a run pads it to multiples
        return _Frame(full, full, None, is_resized=False)
    if foreign.size is None:
        one_less, multiple = np.array(foreign.kind.size_multiple - 1), np.array(foreign.kind.size_multiple)
        side = nodes.op("Div", nodes.op("Add", nodes.op("Min", *full), one_less), multiple) * multiple
        return _Frame(full, (side, side), None, is_resized=True)
    outer = nodes.constant(np.array(foreign.size[0])), nodes.constant(np.array(foreign.size[1]))
    if fit == "stretch":
        return _Frame(full, outer, None, is_resized=True)
    sides = [each.cast(TensorProto.FLOAT) for each in full]
    scale = nodes.op("Min", *(each.cast(TensorProto.FLOAT) / side for each, side in zip(outer, sides, strict=True)))
    height, width = (
        nodes.op("Floor", side * scale + 0.5).clip(1.0, float(most)).cast(TensorProto.INT64)
        for side, most in zip(sides, foreign.size, strict=True)
    )
    return _Frame(full, (height, width), outer, is_resized=True)


def _network_inputs(foreign: Foreign, seen: Value, frame: _Frame, nodes: Nodes) -> list[Value]:
    """Return the inputs of the network, float32: the grey in its form, and hints if it has inputs for them.

    The grey of L, a = b = 0 is the grey itself, so that RGB networks take luma, repeated.
    """
    if foreign.kind.takes_luma:
        return [nodes.concat([seen * 255.0] * 3, axis=1)]
    if foreign.inputs[0].shape[1] == 3:
        return [nodes.concat([seen] * 3, axis=1)]
    lightness = lightness_of(seen)
    if foreign.is_centred:
        lightness = (lightness - 50.0) / 100.0
    if not foreign.takes_hints:
        return [lightness]
    ab, weight = _hints(foreign, seen, frame, nodes)
    if len(foreign.inputs) == 2:
        return [lightness, nodes.concat([ab, weight], axis=1)]
    return [lightness, ab, weight]


def _hints(foreign: Foreign, seen: Value, frame: _Frame, nodes: Nodes) -> tuple[Value, Value]:
    """Return a, b and weight of the contract's hints. Their default is one pixel, so they are expanded first.

    Where hints are resized, their colours are averaged by their weights.
    """
    shape = nodes.concat(
        [seen.side(0).reshape(1), nodes.constant(np.array([3])), *(each.reshape(1) for each in frame.full)], 0
    )
    hints = nodes.op("Expand", nodes.value(contract.HINTS_NAME), shape)
    chroma, weight = hints.part(0, 2, axis=1), hints.part(2, 3, axis=1)
    if frame.is_resized:
        placed = frame.enter(nodes.concat([chroma * weight, weight], axis=1), is_padded_with_edges=False)
        weight = placed.part(2, 3, axis=1).clip(0.0, 1.0)
        chroma = (placed.part(0, 2, axis=1) / weight.at_least(1e-6)).clip(-0.5, 0.5)
    ab = nodes.where(weight > 0.0, ab_of_chroma(seen, chroma), 0.0)
    return (ab / AB_SCALE if foreign.is_centred else ab), weight


def _chroma(foreign: Foreign, luma: Value, answer: Value, frame: _Frame) -> Value:
    """Return Cb and Cr at the size of the luma, of what the network gives."""
    if foreign.kind.takes_luma:
        return frame.leave(chroma_of_rgb((answer / 255.0).clip(0.0, 1.0)))
    ab = answer * AB_SCALE if foreign.units == "Lab / 110" else answer
    return chroma_of_lab(luma, frame.leave(ab))


def _answer(foreign: Foreign, given: Sequence[Value], batch: Batch) -> Value:
    """Return the output of the network for all pictures."""
    nodes, graph = given[0].nodes, foreign.model.graph
    output = graph.output[0].name
    names = [PREFIX_OF_NAMES + port.name for port in foreign.inputs]
    if batch == "dynamic":
        nodes.nodes += [
            helper.make_node("Identity", [each.name], [name]) for each, name in zip(given, names, strict=True)
        ]
        nodes.nodes += graph.node
        return nodes.value(output)
    body = _body(graph, given, names)
    count = given[0].side(0)
    stacked = nodes.op("Loop", count, np.array(True), body=body)
    shape = nodes.op("Slice", stacked.shape(), np.array([2]), np.array([5]))
    return nodes.op("Reshape", stacked, nodes.concat([nodes.constant(np.array([-1])), shape], axis=0))


def _body(graph: onnx.GraphProto, given: Sequence[Value], names: Sequence[str]) -> onnx.GraphProto:
    """Return one turn of the loop: the network for one picture, without its weights."""
    inside = Nodes("turn/")
    index = inside.value("turn").reshape(1)
    after = inside.op("Add", index, np.array([1]))
    for each, name in zip(given, names, strict=True):
        one = inside.op("Slice", inside.value(each.name), index, after, np.array([0]))
        inside.nodes.append(helper.make_node("Identity", [one.name], [name]))
    inside.nodes.append(helper.make_node("Identity", ["goes_on"], ["goes_on_again"]))
    output = graph.output[0]
    return helper.make_graph(
        [*inside.nodes, *graph.node],
        "one_picture",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
        ],
        [
            helper.make_tensor_value_info("goes_on_again", TensorProto.BOOL, []),
            helper.make_tensor_value_info(output.name, output.type.tensor_type.elem_type, None),
        ],
        [*inside.constants.values()],
    )


def _assembled(foreign: Foreign, nodes: Nodes) -> onnx.ModelProto:
    """Return the model of all nodes, with the contract's signature, and nothing of the machine it was made on."""
    float32 = TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(contract.INPUT_NAME, float32, ["N", 1, "H", "W"])]
    weights = [*nodes.constants.values()]
    if foreign.takes_hints:
        shape: list[str | int | None] = ["N_hints", 3, "H_hints", "W_hints"]
        inputs.append(helper.make_tensor_value_info(contract.HINTS_NAME, float32, shape))
        weights.append(numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), contract.HINTS_NAME))
    graph = helper.make_graph(
        nodes.nodes,
        "adopted",
        inputs,
        [helper.make_tensor_value_info(contract.OUTPUT_NAME, float32, ["N", 2, "H", "W"])],
        weights,
    )
    opsets = list(foreign.model.opset_import)
    if not any(each.domain in ("", "ai.onnx") for each in opsets):
        opsets.append(helper.make_opsetid("", FIRST_OPSET))
    made = helper.make_model(graph, opset_imports=opsets, ir_version=max(_IR_VERSION, foreign.model.ir_version))
    _add_weights(foreign.model.graph, made.graph)
    made.producer_name = "colorbatch"
    forget_origins(made)
    return made


def _add_weights(network: onnx.GraphProto, graph: onnx.GraphProto) -> None:
    """Add the weights of the network; last, since every part that is put into another is copied.

    If its nodes are in a loop, the small ones are put in there, where ONNX Runtime takes them into account when it
    joins operators. Of what is in a loop it keeps several copies, so that the large ones stay outside; but for those
    that a file holds in nodes of the type Constant.
    """
    bodies = [node.attribute[0].g for node in graph.node if node.op_type == "Loop"]
    inside = bodies[0] if bodies else graph
    for each in network.initializer:
        (inside if each.ByteSize() < _LARGE else graph).initializer.append(each)
    graph.sparse_initializer.extend(network.sparse_initializer)
