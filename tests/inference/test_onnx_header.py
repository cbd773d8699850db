import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers import model_of, small_model
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from colorbatch.inference.onnx_header import TensorInfo, read_onnx_header

SMALL = small_model().SerializeToString()


def test_the_header_says_what_the_onnx_package_says() -> None:
    model = onnx.load_from_string(SMALL)
    header = read_onnx_header(SMALL)
    assert header.metadata == {prop.key: prop.value for prop in model.metadata_props}
    assert header.opsets == {"": 18}
    assert header.inputs == (TensorInfo("luma", is_float32=True, shape=("N", 1, "H", "W")),)
    assert header.outputs == (TensorInfo("chroma", is_float32=True, shape=("N", 2, "H", "W")),)
    assert not header.has_external_data


def test_initializers_named_as_inputs_are_no_inputs() -> None:
    model = small_model()
    model.graph.input.append(helper.make_tensor_value_info("bias", TensorProto.FLOAT, [2]))
    assert [info.name for info in read_onnx_header(model.SerializeToString()).inputs] == ["luma"]


def _external() -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "elsewhere")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def _as_initializer() -> onnx.ModelProto:
    model = small_model()
    model.graph.initializer.append(_external())
    return model


def _as_constant() -> onnx.ModelProto:
    model = small_model()
    model.graph.node.append(helper.make_node("Constant", [], ["elsewhere"], value=_external()))
    return model


def _in_a_branch() -> onnx.ModelProto:
    constant = helper.make_node("Constant", [], ["elsewhere"], value=_external())
    branch = helper.make_graph([constant], "branch", [], [])
    return model_of([helper.make_node("If", ["luma"], ["chroma"], then_branch=branch, else_branch=branch)], [])


def _in_a_function() -> onnx.ModelProto:
    model = small_model()
    constant = helper.make_node("Constant", [], ["elsewhere"], value=_external())
    model.functions.append(helper.make_function("x", "f", [], [], [constant], [helper.make_opsetid("", 18)]))
    return model


def _sparse() -> onnx.ModelProto:
    model = small_model()
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(_external(), numpy_helper.from_array(np.array([0, 1])), [4])
    )
    return model


def _without_location() -> onnx.ModelProto:
    model = small_model()
    tensor = _external()
    del tensor.external_data[:]
    model.graph.initializer.append(tensor)
    return model


@pytest.mark.parametrize(
    "make", [_as_initializer, _as_constant, _in_a_branch, _in_a_function, _sparse, _without_location]
)
def test_external_data_is_found_wherever_it_stands(make: Callable[[], onnx.ModelProto]) -> None:
    assert read_onnx_header(make().SerializeToString()).has_external_data


@pytest.mark.parametrize(
    "data", [b"", b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1\n", b"\x80\x04."]
)
def test_what_is_not_onnx_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_onnx_header(data)


@given(st.integers(1, len(SMALL) - 1))
def test_a_file_cut_short_ends_in_a_value_error_or_a_header(length: int) -> None:
    with contextlib.suppress(ValueError):
        read_onnx_header(SMALL[:length])


@given(st.integers(0, len(SMALL) - 1), st.integers(1, 255))
def test_a_flipped_byte_ends_in_a_value_error_or_a_header(position: int, flip: int) -> None:
    data = bytearray(SMALL)
    data[position] ^= flip
    with contextlib.suppress(ValueError):
        read_onnx_header(bytes(data))


def test_the_built_in_model_reads_as_the_onnx_package_reads_it() -> None:
    path = Path(__file__).parents[2] / "colorbatch" / "models" / "unet.onnx"
    model = onnx.load(path)
    header = read_onnx_header(path.read_bytes())
    assert header.opsets == {opset.domain: opset.version for opset in model.opset_import}
    assert header.metadata == {prop.key: prop.value for prop in model.metadata_props}
