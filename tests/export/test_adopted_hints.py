"""Hints of colorbatch as inputs of a published network."""

from pathlib import Path
from typing import Any

import foreign_files as files
import numpy as np
import onnxruntime
import pytest
from foreign_colors import PICTURES, grey, saved
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from colorbatch.inference.colorizer import open_model
from colorbatch.inference.model_file import read_model_file
from colorbatch.pixels.hint import Hint
from colorbatch_export.adapters.adopting import adopt_model

Array = NDArray[Any]
pytestmark = pytest.mark.usefixtures("small_pictures")


def test_a_hint_reaches_the_network_as_a_b_and_mask(tmp_path: Path) -> None:
    """The colour of a hint, in Lab with the lightness of its place, as scikit-image has it."""
    names = ["a", "b", "mask"]
    nodes = [
        helper.make_node("Split", ["hints"], names, axis=1),
        helper.make_node("Sub", ["input", "fifty"], ["centred"]),
        helper.make_node("Mul", ["centred", "zero"], ["nothing"]),
        helper.make_node("Sub", ["mask", "one"], ["elsewhere"]),
        helper.make_node("Mul", ["elsewhere", "thirty"], ["faint"]),
        helper.make_node("Sub", ["a", "faint"], ["first"]),
        helper.make_node("Add", ["b", "nothing"], ["second"]),
        helper.make_node("Concat", ["first", "second"], ["output"], axis=1),
    ]
    constants = {"fifty": 50, "zero": 0, "one": 1, "thirty": 30}
    graph = helper.make_graph(
        nodes,
        "hinted",
        [
            helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 1, "h", "w"]),
            helper.make_tensor_value_info("hints", TensorProto.FLOAT, ["n", 3, "h", "w"]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 2, "h", "w"])],
        [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()],
    )
    source = saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8), tmp_path)
    adopted = adopt_model(source, tmp_path / "model.onnx", fit="pad").path
    contract = read_model_file(str(adopted)).contract
    assert (contract.hints, contract.architecture) == (True, "zhang2017")
    luma = np.full((1, 1, 32, 32), 120 / 255, np.float32)
    colour = np.array([150, 108, 90]) / 255  # its luma is 118.5
    y = colour @ [0.299, 0.587, 0.114]
    hints = np.zeros((1, 3, 32, 32), np.float32)
    hints[:, :, 8:16, 8:16] = np.array([(colour[2] - y) / 1.772, (colour[0] - y) / 1.402, 1])[:, None, None]
    session = onnxruntime.InferenceSession(adopted.read_bytes())
    plain, none, hinted = (
        session.run(None, {"luma": luma} | given)[0][0]
        for given in ({}, {"hints": np.zeros_like(hints)}, {"hints": hints})
    )
    np.testing.assert_array_equal(plain, none)
    np.testing.assert_allclose(hinted[:, 12, 12], hints[0, :2, 12, 12], atol=0.002)
    np.testing.assert_array_equal(hinted[:, :, 20:], plain[:, :, 20:])


@pytest.mark.slow
def test_a_hint_in_a_run_changes_its_place(tmp_path: Path) -> None:
    adopted = adopt_model(saved(files.zhang(hints=[3], is_centred=True), tmp_path), tmp_path / "model.onnx").path
    colorizer = open_model(adopted)
    pixels = grey(PICTURES[0], (200, 300))
    plain, hinted = (
        colorizer.predict_hinted(pixels, hints).chroma for hints in ((), (Hint(0.5, 0.5, "#d03020", 0.1),))
    )
    change = np.abs(hinted - plain).max(axis=0)
    assert change[change.shape[0] // 2, change.shape[1] // 2] > 0.01
