"""A graph in the making, written as arithmetic. Only operators that are the same in opset 12 and every later one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

FIRST_OPSET = 12
"""The lowest opset in which these operators have the form that is used here."""


class Nodes:
    """Nodes and constants, in the order in which they were asked for."""

    def __init__(self, prefix: str = "around/") -> None:
        """Begin all names with ``prefix``."""
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}

    def value(self, name: str) -> "Value":
        """Return an input, or a value that another graph computes."""
        return Value(self, name)

    def constant(self, value: "float | NDArray[Any]") -> "Value":
        """Return a constant: float32, unless it is an array of another type; integers are int64."""
        array = value if isinstance(value, np.ndarray) else np.array(value, np.float32)
        if array.dtype.kind == "i":
            array = array.astype(np.int64)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, f"{self._prefix}constant_{len(self.constants)}")
        return Value(self, self.constants[key].name)

    def op(self, kind: str, *inputs: "Value | float | NDArray[Any]", **attributes: Any) -> "Value":  # noqa: ANN401 (those of ONNX)
        """Return the only output of a new node of this kind."""
        names = [each.name if isinstance(each, Value) else self.constant(each).name for each in inputs]
        name = f"{self._prefix}value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [name], **attributes))
        return Value(self, name)

    def where(self, condition: "Value", this: "Value | float", that: "Value | float") -> "Value":
        """Return ``this`` where the condition holds, ``that`` elsewhere."""
        return self.op("Where", condition, this, that)

    def concat(self, parts: "Sequence[Value]", axis: int) -> "Value":
        """Return values joined along an axis."""
        return self.op("Concat", *parts, axis=axis)


@dataclass(frozen=True, eq=False)
class Value:
    """A value in a graph. Arithmetic with it makes nodes."""

    nodes: Nodes
    name: str

    def __add__(self, other: "Value | float") -> "Value":
        return self.nodes.op("Add", self, other)

    def __sub__(self, other: "Value | float") -> "Value":
        return self.nodes.op("Sub", self, other)

    def __mul__(self, other: "Value | float | NDArray[Any]") -> "Value":
        return self.nodes.op("Mul", self, other)

    def __truediv__(self, other: "Value | float | NDArray[Any]") -> "Value":
        return self.nodes.op("Div", self, other)

    def __pow__(self, other: float) -> "Value":
        return self.nodes.op("Pow", self, other)

    def __matmul__(self, other: "Value") -> "Value":
        return self.nodes.op("MatMul", self, other)

    def __gt__(self, other: "Value | float") -> "Value":
        return self.nodes.op("Greater", self, other)

    def __lt__(self, other: "Value | float") -> "Value":
        return self.nodes.op("Less", self, other)

    def clip(self, low: float, high: float) -> "Value":
        """Return the value within these bounds."""
        return self.nodes.op("Clip", self, low, high)

    def at_least(self, low: "Value | float") -> "Value":
        """Return the larger of the two."""
        return self.nodes.op("Max", self, low)

    def cast(self, kind: int) -> "Value":
        """Return the value as an element type of ONNX."""
        return self.nodes.op("Cast", self, to=kind)

    def shape(self) -> "Value":
        """Return the shape, int64 ``[rank]``."""
        return self.nodes.op("Shape", self)

    def side(self, axis: int) -> "Value":
        """Return the length along an axis, a scalar of int64."""
        return self.nodes.op("Gather", self.shape(), np.array(axis))

    def reshape(self, *shape: int) -> "Value":
        """Return the value in this shape; one length may be -1."""
        return self.nodes.op("Reshape", self, np.array(shape))

    def part(self, start: "Value | int", stop: "Value | int", axis: int) -> "Value":
        """Return the part from ``start`` to ``stop``, scalars of int64, along an axis."""
        bounds = [each.reshape(1) if isinstance(each, Value) else np.array([each]) for each in (start, stop)]
        return self.nodes.op("Slice", self, *bounds, np.array([axis]))
