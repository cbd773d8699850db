"""Resizing inside a graph, as Pillow's bicubic does it: two matrix products, whose weights the graph computes.

The operator ``Resize`` has antialiasing only since opset 18, and providers differ in what they support of it.
"""

import numpy as np
import onnx

from colorbatch_export.adapters.nodes import Value

_FLOAT = onnx.TensorProto.FLOAT


def resized(planes: Value, height: Value, width: Value) -> Value:
    """Return ``[N, C, H, W]`` at another height and width, scalars of int64, antialiased where it becomes smaller."""
    rows, columns = _weights(planes.side(2), height), _weights(planes.side(3), width)
    return rows @ planes @ planes.nodes.op("Transpose", columns, perm=[1, 0])


def _weights(source: Value, target: Value) -> Value:
    """Return the weights ``[target, source]`` of each sample of the source in each of the result.

    Source: Keys 1981, "Cubic convolution interpolation", a = -0.5; widened by the scale when shrinking.
    """
    nodes = source.nodes
    scale = source.cast(_FLOAT) / target.cast(_FLOAT)
    centers = (_range(target) + 0.5) * scale
    distance = nodes.op("Abs", ((_range(source) + 0.5).reshape(1, -1) - centers.reshape(-1, 1)) / scale.at_least(1.0))
    near = (distance * 1.5 - 2.5) * distance * distance + 1.0
    far = ((distance * -0.5 + 2.5) * distance - 4.0) * distance + 2.0
    weights = nodes.where(distance < 1.0, near, nodes.where(distance < 2.0, far, 0.0))
    ones = nodes.op("Expand", 1.0, nodes.concat([source.reshape(1), nodes.constant(np.array([1]))], axis=0))
    return weights / (weights @ ones)


def _range(stop: Value) -> Value:
    return stop.nodes.op("Range", np.array(0), stop, np.array(1)).cast(_FLOAT)
