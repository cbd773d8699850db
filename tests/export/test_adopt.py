import hashlib
import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign_files as files
import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import SAMPLES, CommandLine, small_model
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from skimage import color as skimage_color

from colorbatch.errors import CheckpointRefusedError, ModelRefusedError, ParityError, UsageError
from colorbatch.inference.colorizer import open_model
from colorbatch.inference.model_file import read_model_file
from colorbatch.pixels.hint import Hint
from colorbatch_export.adapters import gate
from colorbatch_export.adapters.adopting import adopt_model
from colorbatch_export.adapters.authors import chroma_by_authors

Array = NDArray[Any]
pytestmark = pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")  # of colours outside RGB, by scikit-image

PICTURES = (SAMPLES / "portraits" / "grace_hopper.png", SAMPLES / "still_life" / "coffee.png")
TO_RGB = np.array([[0, 1.402], [-0.344136, -0.714136], [1.772, 0]])  # ITU-T T.871, section 7
NEWEST = 23
"""The newest opset that ONNX Runtime 1.23 and later know."""

VARIANTS: dict[str, tuple[str, Callable[[], onnx.ModelProto]]] = {
    "ddcolor, fixed, opset 12": ("ddcolor", files.ddcolor),
    "ddcolor, fixed, opset 17": ("ddcolor", lambda: files.ddcolor(opset=17)),
    "ddcolor, fixed, newest opset": ("ddcolor", lambda: files.ddcolor(opset=NEWEST)),
    "ddcolor, fixed, fp16": ("ddcolor", lambda: files.ddcolor(opset=17, kind=files.HALF)),
    "ddcolor, dynamic": ("ddcolor", lambda: files.ddcolor(None)),
    "ddcolor, batch of one": ("ddcolor", files.one_at_a_time),
    "ddcolor, mixing its batch": ("ddcolor", files.mixing),
    "deoldify, fixed": ("deoldify", files.deoldify),
    "deoldify, fixed, fp16": ("deoldify", lambda: files.deoldify(kind=files.HALF, opset=17)),
    "deoldify, dynamic": ("deoldify", lambda: files.deoldify(None, opset=11)),
    "zhang2016, L inside": ("zhang2016", files.zhang),
    "zhang2016, L inside, quarter": ("zhang2016", lambda: files.zhang(None, quarter=True)),
    "zhang2016, centred": ("zhang2016", lambda: files.zhang(is_centred=True)),
    "zhang2016, centred, divided": ("zhang2016", lambda: files.zhang(None, is_centred=True, divides=True, opset=18)),
    "zhang2016, fp16": ("zhang2016", lambda: files.zhang(kind=files.HALF)),
    "zhang2017, without hints": ("zhang2017", files.zhang),
    "zhang2017, one input of hints": ("zhang2017", lambda: files.zhang(None, hints=[3])),
    "zhang2017, one input, fixed, centred": ("zhang2017", lambda: files.zhang(hints=[3], is_centred=True)),
    "zhang2017, two inputs of hints": ("zhang2017", lambda: files.zhang(None, hints=[2, 1])),
}


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "any name.onnx"
    onnx.save(model, path)
    return path


def grey(path: Path, size: tuple[int, int]) -> Array:
    """Return a photograph in grey, uint8 of this height and width."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize(size[::-1], Image.Resampling.LANCZOS))


def resized(plane: Array, size: tuple[int, int]) -> Array:
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC), np.float64)


def by_authors(path: Path, variant: str, levels: Array, seen: tuple[int, int], box: tuple[int, int]) -> Array:
    """Return the chroma ``[2, H, W]`` of the colours of the authors' own way, with the Lab of scikit-image.

    Args:
        path: the original file.
        variant: the key of ``VARIANTS``, which says what its values mean.
        levels: the photograph, uint8 ``[H, W]``.
        seen: height and width that the network takes.
        box: height and width of the photograph in it, in the top left corner.

    """
    small = np.clip(resized(levels / 255, box), 0, 1)
    small = np.pad(small, [(0, seen[0] - box[0]), (0, seen[1] - box[1])], mode="edge")
    rgb = np.stack([small] * 3, axis=-1)
    lightness = skimage_color.rgb2lab(rgb)[..., 0]
    if variant.startswith("ddcolor"):
        value = skimage_color.lab2rgb(np.stack([lightness, 0 * lightness, 0 * lightness], axis=-1)).transpose(2, 0, 1)
    elif variant.startswith("deoldify"):
        value = rgb.transpose(2, 0, 1) * 255
    else:
        value = ((lightness - 50) / 100 if "centred" in variant else lightness)[None]
    session = onnxruntime.InferenceSession(path.read_bytes())
    first, *others = session.get_inputs()
    dtype = np.float16 if "16" in first.type else np.float32
    fed = {first.name: value[None].astype(dtype)}
    fed |= {each.name: np.zeros((1, each.shape[1], *seen), dtype) for each in others}
    planes = session.run(None, fed)[0][0].astype(np.float64)
    if "divided" in variant:
        planes = planes * 110
    if variant.startswith("deoldify"):
        planes = planes.clip(0, 255)
    planes = np.stack([resized(resized(plane, seen)[: box[0], : box[1]], levels.shape) for plane in planes])
    if variant.startswith("deoldify"):
        colours = planes.transpose(1, 2, 0) / 255
    else:
        own = skimage_color.rgb2lab(np.stack([levels / 255] * 3, axis=-1))[..., :1]
        colours = skimage_color.lab2rgb(np.concatenate([own, planes.transpose(1, 2, 0)], axis=-1))
    luma = colours @ [0.299, 0.587, 0.114]
    return np.stack([(colours[..., 2] - luma) / 1.772, (colours[..., 0] - luma) / 1.402])


def levels_apart(one: Array, other: Array) -> Array:
    """Return how far two chromas are from each other in 8-bit levels of RGB, with the same luma."""
    apart: Array = np.abs(np.einsum("rc,c...->r...", TO_RGB, one - other)) * 255
    return apart


def chroma_of(model: Path, *pictures: Array) -> Array:
    luma = np.stack(pictures)[:, None].astype(np.float32) / 255
    session = onnxruntime.InferenceSession(model.read_bytes())
    found: Array = session.run(None, {"luma": luma})[0]
    return found


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_LARGEST_SIDE", files.SIDE)


QUICK = ("ddcolor, fixed, fp16", "ddcolor, dynamic", "deoldify, fixed", "zhang2016, centred, divided")
"""Together, they have each of what can vary."""


@pytest.mark.parametrize(
    "variant", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in VARIANTS]
)
def test_an_adopted_file_gives_the_colours_of_its_authors(variant: str, tmp_path: Path) -> None:
    kind, make = VARIANTS[variant]
    source = saved(make(), tmp_path)
    result = adopt_model(source, tmp_path / "model.onnx", kind=kind, working_size=files.SIDE)
    for picture, size in zip(PICTURES, ((64, 97), (150, 64)), strict=True):
        levels = grey(picture, size)
        expected = by_authors(source, variant, levels, (files.SIDE, files.SIDE), (files.SIDE, files.SIDE))
        assert np.abs(expected).max() > 0.05, "the test needs a network that gives colour"
        apart = levels_apart(chroma_of(result.path, levels)[0], expected)
        assert apart.mean() <= 1
        assert apart.max() <= 3
    assert result.report.passed
    assert (result.report.tolerance, result.report.mean_tolerance) == (3, 1)


@pytest.mark.parametrize(
    "variant",
    [
        "ddcolor, fixed, opset 12",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("deoldify, fixed", "zhang2016, centred")),
    ],
)
def test_pad_shows_the_network_a_picture_in_its_own_shape(variant: str, tmp_path: Path) -> None:
    kind, make = VARIANTS[variant]
    source = saved(make(), tmp_path)
    result = adopt_model(source, tmp_path / "model.onnx", kind=kind, fit="pad")
    levels = grey(PICTURES[0], (64, 97))
    expected = by_authors(source, variant, levels, (64, 64), (42, 64))  # 64 * 64 / 97 = 42.2
    assert levels_apart(chroma_of(result.path, levels)[0], expected).max() <= 3
    assert result.contract.resizes


@pytest.mark.parametrize(
    ("variant", "multiple"),
    [
        pytest.param("ddcolor, dynamic", 32, marks=pytest.mark.slow),
        pytest.param("deoldify, dynamic", 16, marks=pytest.mark.slow),
        ("zhang2016, L inside, quarter", 8),
    ],
)
def test_a_file_with_dynamic_sides_takes_pictures_as_they_are_with_pad(
    variant: str, multiple: int, tmp_path: Path
) -> None:
    kind, make = VARIANTS[variant]
    source = saved(make(), tmp_path)
    result = adopt_model(source, tmp_path / "model.onnx", kind=kind, fit="pad")
    assert (result.contract.size_multiple, result.contract.resizes) == (multiple, False)
    levels = grey(PICTURES[0], (64, 96))
    expected = by_authors(source, variant, levels, (64, 96), (64, 96))
    assert levels_apart(chroma_of(result.path, levels)[0], expected).max() <= 3


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param("ddcolor, fixed, opset 12", marks=pytest.mark.slow),
        "ddcolor, batch of one",
        pytest.param("ddcolor, mixing its batch", marks=pytest.mark.slow),
    ],
)
def test_pictures_of_a_batch_do_not_change_each_other(variant: str, tmp_path: Path) -> None:
    adopted = adopt_model(saved(VARIANTS[variant][1](), tmp_path), tmp_path / "model.onnx").path
    one, other = (grey(picture, (64, 80)) for picture in PICTURES)
    together = chroma_of(adopted, one, other)
    for index, picture in enumerate((one, other)):
        np.testing.assert_allclose(together[index], chroma_of(adopted, picture)[0], atol=1e-5)
    loops = [node.op_type for node in onnx.load(adopted).graph.node].count("Loop")
    assert loops == (0 if "fixed" in variant else 1)


def test_the_contract_names_the_network_and_the_file(tmp_path: Path) -> None:
    source = saved(files.ddcolor(opset=17, kind=files.HALF), tmp_path)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    adopt_model(source, tmp_path / "model.onnx", model_license="CC0-1.0")
    contract = read_model_file(str(tmp_path / "model.onnx")).contract
    assert (contract.name, contract.architecture, contract.working_size) == ("model", "ddcolor", files.SIDE)
    assert (contract.precision, contract.tiling, contract.size_multiple) == ("fp16", "whole", 1)
    assert (contract.checkpoint_sha256, contract.license) == (sha256, "CC0-1.0")
    assert "ImageNet" in contract.training_data
    assert contract.adapted_from is not None
    assert (contract.adapted_from.kind, contract.adapted_from.sha256) == ("ddcolor", sha256)
    assert (contract.adapted_from.fit, contract.resizes) == ("stretch", True)
    assert contract.adapted_from.values == "grey RGB from 0 to 1 in, a and b out"
    assert contract.credit == f"model (adapted from ddcolor, sha256:{sha256})"
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)


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


def test_on_a_gpu_nothing_is_added_to_a_picture_that_the_model_resizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted = adopt_model(saved(files.ddcolor(), tmp_path), tmp_path / "model.onnx").path
    colorizer = open_model(adopted)
    pixels = grey(PICTURES[1], (100, 130))
    on_cpu = colorizer.predict_pixels(pixels).chroma
    monkeypatch.setattr(colorizer.session, "on_gpu", True)
    np.testing.assert_array_equal(colorizer.predict_pixels(pixels).chroma, on_cpu)


# What is refused


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


def test_an_existing_output_is_kept(tmp_path: Path) -> None:
    source = saved(files.ddcolor(), tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists already"):
        adopt_model(source, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == b"mine"
    with pytest.raises(UsageError, match="was exported for 64 x 64"):
        adopt_model(source, tmp_path / "other.onnx", working_size=128)


def test_without_parity_no_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def others(*arguments: Any) -> Array:  # noqa: ANN401 (those of the original)
        found: Array = chroma_by_authors(*arguments) + np.float32(0.02)
        return found

    monkeypatch.setattr(gate, "chroma_by_authors", others)
    with pytest.raises(ParityError, match="The original network and ONNX Runtime disagree by up to"):
        adopt_model(saved(files.ddcolor(), tmp_path), tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == ["any name.onnx"]


# The command


def test_the_command_adopts_inspects_and_runs(
    tmp_path: Path, command_line: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(files.ddcolor(), tmp_path)
    model = tmp_path / "mine.onnx"
    assert command_line("adopt", source, "-o", model) == 0
    assert "It is mine (adapted from ddcolor, sha256:" in capsys.readouterr().err
    assert command_line("inspect", model, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    assert found["adapted_from"]["sha256"] == sha256
    assert command_line("inspect", model) == 0
    assert f"kind ddcolor, sha256 {sha256}" in " ".join(capsys.readouterr().out.split())
    assert command_line("run", PICTURES[1], tmp_path / "out.png", "--model", model) == 0
    with Image.open(tmp_path / "out.png") as image:
        packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]
    text = packet if isinstance(packet, str) else packet.decode()
    assert f"colorbatch, model mine (adapted from ddcolor, sha256:{sha256})" in text


def test_refusals_of_the_command_have_their_exit_codes(tmp_path: Path, command_line: CommandLine) -> None:
    source = saved(files.zhang(), tmp_path)
    assert command_line("adopt", source) == 3
    assert command_line("adopt", source, "--kind", "zhang2016") == 0
    assert (tmp_path / "any name-colorbatch.onnx").exists()
    assert command_line("adopt", source, "--kind", "zhang2016") == 2
    assert command_line("adopt", source, "--kind", "photoshop") == 2


@pytest.mark.slow
def test_an_onnx_file_is_adopted_without_pytorch(tmp_path: Path) -> None:
    import subprocess

    source = saved(files.ddcolor(), tmp_path)
    code = (
        "import sys; sys.modules['torch'] = sys.modules['timm'] = None\n"
        "from pathlib import Path; from colorbatch_export.adapters.adopting import adopt_model\n"
        f"adopt_model(Path({str(source)!r}), Path({str(tmp_path / 'model.onnx')!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Checkpoints


class Malicious:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("executed",)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    old, new = tmp_path / "old.pth", tmp_path / "new.pth"
    old.write_bytes(pickle.dumps({"params": Malicious()}, protocol=2))
    torch.save({"params": Malicious()}, new)
    for source in (old, new):
        with pytest.raises(CheckpointRefusedError, match="contains code"):
            adopt_model(source, tmp_path / "model.onnx")
    assert not Path("executed").exists()


@pytest.mark.slow
def test_checkpoints_of_other_networks_are_refused_with_what_to_do(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    weights = {"layers.0.weight": torch.zeros(3, 3)}
    torch.save({"model": weights, "opt": None}, tmp_path / "deoldify.pth")
    torch.save({"params": weights}, tmp_path / "other.pth")
    save_file(weights, tmp_path / "other.safetensors")
    for name, message in (
        ("deoldify.pth", "holds no plain state dict"),
        ("other.pth", "is no checkpoint of DDColor: it holds 1 tensors, such as layers.0.weight"),
        ("other.safetensors", "is no checkpoint of DDColor"),
    ):
        with pytest.raises(CheckpointRefusedError, match=message) as refused:
            adopt_model(tmp_path / name, tmp_path / "model.onnx")
        assert "only those of DDColor" in refused.value.advice


@pytest.mark.slow
@pytest.mark.parametrize("extension", ["pth", "safetensors"])
def test_ddcolor_tiny_is_adopted_from_its_checkpoint(extension: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file
    from spandrel_extra_arches.architectures.DDColor import DDColor

    network = ddcolor_tiny(DDColor)
    source = tmp_path / f"tiny.{extension}"
    if extension == "pth":
        torch.save({"params": network.state_dict()}, source)
    else:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, source)
    result = adopt_model(source, tmp_path / "model.onnx", working_size=128)
    assert result.contract.adapted_from is not None
    assert result.contract.adapted_from.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    levels = grey(PICTURES[0], (128, 190))
    small = np.clip(resized(levels / 255, (128, 128)), 0, 1)
    with torch.inference_mode():
        ab = network(torch.from_numpy(np.stack([small] * 3)[None].astype(np.float32)))[0].numpy()
    own = skimage_color.rgb2lab(np.stack([levels / 255] * 3, axis=-1))[..., :1]
    planes = np.stack([resized(plane, (128, 190)) for plane in ab], axis=-1)
    colours = skimage_color.lab2rgb(np.concatenate([own, planes], axis=-1))
    luma = colours @ [0.299, 0.587, 0.114]
    expected = np.stack([(colours[..., 2] - luma) / 1.772, (colours[..., 0] - luma) / 1.402])
    assert np.abs(expected).max() > 0.05, "the test needs a network that gives colour"
    apart = levels_apart(chroma_of(result.path, levels)[0], expected)
    assert apart.mean() <= 1
    assert apart.max() <= 3


def ddcolor_tiny(architecture: Any) -> Any:  # noqa: ANN401 (it carries no types)
    """Return the real network with random weights, scaled so that it gives colours."""
    import torch

    torch.manual_seed(0)
    network = architecture(
        encoder_name="convnext-t",
        num_output_channels=2,
        last_norm="Spectral",
        num_queries=100,
        num_scales=3,
        dec_layers=9,
    ).train()
    with torch.no_grad():
        for _ in range(12):  # lets the vectors of its spectral norms converge
            network(torch.rand(1, 3, 64, 64))
        given = network.eval()(torch.rand(1, 3, 64, 64))
        network.refine_net[0][0].weight_u /= 20 / given.std()  # the weights are divided by a norm that contains it
        network.refine_net[0][0].bias.zero_()
    return network
