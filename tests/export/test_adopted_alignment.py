"""Colours lie on the edges of the luma: nothing in the way to the network and back moves them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from foreign_colors import saved
from onnx import TensorProto, helper, numpy_helper

from colorbatch.inference.colorizer import open_model
from colorbatch.pixels.picture import Frame, Picture
from colorbatch_export.adapters.adopting import adopt_model

SIDE = 64
pytestmark = pytest.mark.usefixtures("small_pictures")


def lightness_as_colour() -> onnx.ModelProto:
    """Return a file of zhang2016, of one layer of 1 x 1: a is L - 50, b is 50 - L."""
    graph = helper.make_graph(
        [helper.make_node("Sub", ["l", "middle"], ["shifted"]), helper.make_node("Conv", ["shifted", "w"], ["ab"])],
        "lightness",
        [helper.make_tensor_value_info("l", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("ab", TensorProto.FLOAT, [1, 2, SIDE, SIDE])],
        [
            numpy_helper.from_array(np.array(50, np.float32), "middle"),
            numpy_helper.from_array(np.array([1, -1], np.float32).reshape(2, 1, 1, 1), "w"),
        ],
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    return model


@pytest.mark.parametrize(("fit", "size"), [("stretch", (240, 410)), ("stretch", (333, 201)), ("pad", (240, 410))])
def test_the_edge_of_a_colour_is_where_that_of_the_luma_is(fit: str, size: tuple[int, int], tmp_path: Path) -> None:
    """A dark rectangle on a light ground: halfway between the two colours is at its edge, to a quarter of a sample."""
    model = adopt_model(
        saved(lightness_as_colour(), tmp_path),
        tmp_path / "model.onnx",
        kind="zhang2016",
        fit="pad" if fit == "pad" else "stretch",
    ).path
    height, width = size
    top, left = height // 3, width // 4
    pixels = np.full(size, 170, np.uint8)
    pixels[top : 2 * top, left : 3 * left] = 70
    found = open_model(model).colorize(Picture((Frame(pixels),))).first.pixels.astype(np.float64)
    red = found[..., 0] - found[..., 1]
    down, across = red[:, width // 2], red[height // 2]
    sample = max(size) / SIDE
    for line, edges in ((down, (top, 2 * top)), (across, (left, 3 * left))):
        middle = (line[0] + line[len(line) // 2]) / 2
        assert abs(line[0] - line[len(line) // 2]) > 20, "the test needs two colours"
        crossings = np.flatnonzero(np.diff(line > middle)) + 1
        assert len(crossings) == 2
        assert np.abs(crossings - edges).max() <= sample / 4
    luma = found @ [0.299, 0.587, 0.114]  # ITU-T T.871, section 7
    assert np.abs(luma - pixels).max() <= 0.5 + 1e-6
