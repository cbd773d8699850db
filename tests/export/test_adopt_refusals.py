"""Files that are no published network, or none that can be adapted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign_files as files
import onnx
import pytest
from foreign_colors import saved
from helpers import small_model
from numpy.typing import NDArray
from onnx import TensorProto, helper

from colorbatch.errors import ModelRefusedError
from colorbatch_export.adapters.adopting import adopt_model

Array = NDArray[Any]
pytestmark = pytest.mark.usefixtures("small_pictures")


def with_node(kind: str, domain: str = "") -> onnx.ModelProto:
    model = files.ddcolor()
    model.graph.node.append(helper.make_node(kind, ["output"], ["unused"], domain=domain))
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    return model


def of_shape(taken: list[Any], given: list[Any], kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", kind, taken)],
        [helper.make_tensor_value_info("y", kind, given)],
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    return model


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (files.zhang, None, "could be zhang2016 or zhang2017: found input float32 [1, 1, 64, 64] in"),
        (files.zhang, "ddcolor", "is no ddcolor: found input float32 [1, 1, 64, 64] in, "),
        (files.deoldify, "ddcolor", "it could be deoldify"),
        (lambda: files.deoldify(scale=1), None, "does not give RGB from 0 to 255"),
        (lambda: of_shape([1, 4, 8, 8], [1, 4, 8, 8]), None, "is none of the kinds that can be adapted (ddcolor, "),
        (
            lambda: of_shape([1, 64, 64], [1, 64, 64]),
            None,
            "expected inputs [N, channels, height, width]; found x float32",
        ),
        (
            lambda: of_shape([1, 3, "h", 64], [1, 3, "h", 64]),
            None,
            "both sides fixed or both dynamic; found x float32 [1, 3, ?",
        ),
        (lambda: of_shape([4, 3, 64, 64], [4, 3, 64, 64]), None, "takes several pictures at once"),
        (
            lambda: of_shape([1, 3, 64, 64], [1, 3, 64, 64], TensorProto.DOUBLE),
            None,
            "found x double [1, 3, 64, 64] in",
        ),
        (lambda: with_node("Dream", "com.example"), None, "has operators of its own: those of com.example"),
        (lambda: with_node("If"), None, "has control flow: If"),
        (small_model, None, "is a model of colorbatch already: small"),
    ],
)
def test_what_cannot_be_adapted_is_refused_with_what_was_found(
    make: Callable[[], onnx.ModelProto], kind: str | None, message: str, tmp_path: Path
) -> None:
    source = saved(make(), tmp_path)
    with pytest.raises(ModelRefusedError) as refused:
        adopt_model(source, tmp_path / "model.onnx", kind=kind)
    assert message in str(refused.value)
    assert not (tmp_path / "model.onnx").exists()


def test_an_adopted_file_is_not_adopted_again(tmp_path: Path) -> None:
    adopted = adopt_model(saved(files.ddcolor(), tmp_path), tmp_path / "model.onnx").path
    with pytest.raises(ModelRefusedError, match="is a model of colorbatch already: model"):
        adopt_model(adopted, tmp_path / "again.onnx")


def test_a_file_with_external_data_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "parts.onnx"
    onnx.save(files.ddcolor(), source, save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.raises(ModelRefusedError, match="keeps weights in another file"):
        adopt_model(source, tmp_path / "model.onnx")


def test_a_file_of_more_than_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    source = tmp_path / "large.onnx"
    with source.open("wb") as file:
        file.write(files.ddcolor().SerializeToString())
        file.truncate(3 * 2**30)
    with pytest.raises(ModelRefusedError, match=r"has 3\.2 GB"):
        adopt_model(source, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"%PDF-1.7 and so on", "it is a PDF"),
        (b"\x08\x08\x12", "damaged"),
        (b"", "it is empty"),
        (b"x" * 600, "another kind"),
    ],
)
def test_a_file_that_is_no_model_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    source.write_bytes(content)
    with pytest.raises(ModelRefusedError, match=message):
        adopt_model(source, tmp_path / "other.onnx")
    with pytest.raises(ModelRefusedError, match="cannot read"):
        adopt_model(tmp_path / "missing.onnx", tmp_path / "other.onnx")
