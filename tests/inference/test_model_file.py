from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from helpers import hinted_model, small_contract, small_model, vivid_model
from onnx import TensorProto, helper

from colorbatch.errors import ExitCode, ModelRefusedError
from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.model_names import built_in_models


def test_a_model_that_keeps_the_contract_is_read(model_path: Path) -> None:
    model = read_model_file(str(model_path))
    assert model.contract.name == "small"
    assert model.data == model_path.read_bytes()


@pytest.mark.parametrize(
    ("name", "architecture"), [("unet", "unet"), ("default", "lite2-unet"), ("fast", "lite2-unet")]
)
def test_a_built_in_model_is_under_20_mb_and_keeps_the_contract(name: str, architecture: str) -> None:
    assert name in built_in_models()
    model = read_model_file(name)
    assert model.contract.architecture == architecture
    assert model.contract.name == name
    assert len(model.data) < 20_000_000
    assert str(Path.home()).encode() + b"/" not in model.data


def _external(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def _two_inputs(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def _three_planes(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3


def _fixed_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _fixed_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 256


def _half_precision(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def _rank_three(model: onnx.ModelProto) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[0]


def _no_contract(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_external, "keeps weights in another file"),
        (_two_inputs, r"found luma float32 \[N, 1, H, W\], more float32 \[1\] in"),
        (_three_planes, r"expected .* found .* chroma float32 \[N, 3, H, W\] out"),
        (_fixed_size, r"found luma float32 \[N, 1, 256, W\] in"),
        (_fixed_batch, r"found luma float32 \[1, 1, H, W\] in"),
        (_half_precision, "found luma not float32"),
        (_rank_three, r"found luma float32 \[1, H, W\] in"),
        (_no_contract, "has no colorbatch contract"),
    ],
)
def test_a_model_outside_the_contract_is_refused(
    tmp_path: Path, spoil: Callable[[onnx.ModelProto], None], message: str
) -> None:
    model = small_model()
    spoil(model)
    path = tmp_path / "spoiled.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelRefusedError, match=message) as refused:
        read_model_file(str(path))
    assert refused.value.exit_code == ExitCode.MODEL_REFUSED


def test_a_model_with_vividness_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vivid.onnx"
    path.write_bytes(vivid_model().SerializeToString())
    assert read_model_file(str(path)).contract.vividness == 0.25


def test_inputs_and_contract_must_agree_on_vividness(tmp_path: Path) -> None:
    promised_only, unpromised, of_another_shape = small_model(), vivid_model(), vivid_model()
    promised_only.metadata_props.add(key="colorbatch.vividness", value="0.5")
    spoiled = [each for each in unpromised.metadata_props if each.key != "colorbatch.vividness"]
    del unpromised.metadata_props[:]
    unpromised.metadata_props.extend(spoiled)
    of_another_shape.graph.input[1].type.tensor_type.shape.dim.add(dim_value=1)
    for number, (model, message) in enumerate(
        [
            (promised_only, r"expected luma .*, vividness float32 \[\] in.* found luma float32 \[N, 1, H, W\] in"),
            (unpromised, r"expected luma float32 \[N, 1, H, W\] in.* vividness float32 \[\] in"),
            (of_another_shape, r"vividness float32 \[1\] in"),
        ]
    ):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(ModelRefusedError, match=message):
            read_model_file(str(path))


def test_a_missing_model_names_the_built_in_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelRefusedError, match="No such file") as refused:
        read_model_file(str(tmp_path / "none.onnx"))
    assert "unet" in refused.value.advice


def test_a_web_page_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "page.onnx"
    path.write_bytes(b"<!DOCTYPE html><html></html>")
    with pytest.raises(ModelRefusedError, match="not an ONNX model"):
        read_model_file(str(path))


@pytest.mark.parametrize(
    ("content", "reason", "advice"),
    [
        (b"", "it is empty", "Copy it again"),
        (b"<html>Sign in", "it is a web page (HTML)", "Download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS", "git lfs pull"),
        (b"PK\3\4" + bytes(26) + b"archive/data.pkl", "it is a checkpoint of PyTorch", "colorbatch export CHECKPOINT"),
        (b"PK\3\4" + bytes(26) + b"archive/data.pkl", "it is a checkpoint of PyTorch", "colorbatch adopt CHECKPOINT"),
        (b"\xff\xfe\xfd", "it is damaged, or another kind of file", ""),
        (small_model().SerializeToString()[:-60], "it is damaged or cut short", "Copy it again"),
    ],
)
def test_what_is_no_model_is_called_by_its_name(tmp_path: Path, content: bytes, reason: str, advice: str) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelRefusedError) as refused:
        read_model_file(str(path))
    assert str(refused.value) == f"{path} is not an ONNX model: {reason}"
    assert advice in refused.value.advice


def test_a_model_with_hints_confidence_and_colors_is_read(tmp_path: Path) -> None:
    path = tmp_path / "hinted.onnx"
    path.write_bytes(hinted_model().SerializeToString())
    model = read_model_file(str(path))
    assert (model.contract.hints, model.contract.confidence, model.contract.colors) == (True, True, ((0.125, -0.25),))
    assert [each.name for each in model.header.optional_inputs] == ["hints"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"hints": False},
            r"expected luma float32 \[N, 1, H, W\] in, .*found luma .*, hints float32 \[M, 3, Y, X\] in",
        ),
        ({"confidence": False}, r"out; found .* in, chroma .*, confidence float32 \[N\], colors .* out"),
        ({"colors": None}, r"confidence float32 \[N\] out; found .*colors float32 \[N, 1, h, w\] out"),
        ({"colors": ((0.0, 0.0), (0.1, 0.1))}, r"colors float32 \[N, 2, h, w\] out; found"),
    ],
)
def test_signature_and_contract_must_agree_on_hints_confidence_and_colors(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    model = hinted_model()
    values = {"hints": True, "confidence": True, "colors": ((0.125, -0.25),)} | change
    del model.metadata_props[:]
    helper.set_model_props(model, small_contract(**values).to_metadata())
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelRefusedError, match=message):
        read_model_file(str(path))


def test_hints_that_must_be_fed_are_refused(tmp_path: Path) -> None:
    model = hinted_model()
    kept = [each for each in model.graph.initializer if each.name != "hints"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelRefusedError, match="optionally hints float32"):
        read_model_file(str(path))
