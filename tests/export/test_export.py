import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import SAMPLES
from networks import PLAIN, SMALL, Plain, graph_of, small_ones, with_bins
from PIL import Image

import colorbatch_export
from colorbatch.errors import CheckpointRefusedError, ModelRefusedError, ParityError, UsageError
from colorbatch.inference.contract import Precision
from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.provider import open_inference_session
from colorbatch.job import ProviderName
from colorbatch.training.architectures import ARCHITECTURES
from colorbatch.training.checkpoint import TrainingState, load_network, save_epoch
from colorbatch.training.unet import ColorizationUNet
from colorbatch_export import TOLERANCES, export_model, parity, verify_model
from colorbatch_export.calibration import read_inputs
from colorbatch_export.comparison import Comparison, ParityReport, picture_files

ALL_SIZES, ALL_BATCHES = parity._SIZES, parity._BATCHES  # noqa: SLF001 (before they are made fewer)


@pytest.fixture(scope="module", autouse=True)
def _small_ones() -> Iterator[None]:
    with small_ones():
        yield


@pytest.fixture(scope="module")
def unet_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a plain state dict whose batch norms and head are not what initialisation leaves."""
    torch.manual_seed(3)
    network = ColorizationUNet()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.weight, module.bias):
                torch.nn.init.uniform_(values, 0.3, 1.3)
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.normal_(module.running_mean, 0, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    torch.nn.init.normal_(network.final_conv.pointwise.weight, 0, 1.5)
    path = tmp_path_factory.mktemp("checkpoint") / "seed.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module", params=[SMALL, pytest.param("unet", marks=pytest.mark.slow)])
def checkpoint(request: pytest.FixtureRequest, unet_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return that state dict, or the checkpoint of a small network."""
    if request.param == "unet":
        return unet_checkpoint
    return save_epoch(tmp_path_factory.mktemp("small"), TrainingState(SMALL, 160, 32, "", epoch=1), with_bins(SMALL))


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> colorbatch_export.ExportResult:
    return export_model(checkpoint, checkpoint.with_name("model.onnx"), model_license="MIT", training_data="noise")


def test_the_model_keeps_the_contract(exported: colorbatch_export.ExportResult, checkpoint: Path) -> None:
    model = read_model_file(str(exported.path))
    assert model.contract == exported.contract
    assert (model.contract.name, model.contract.architecture) == ("model", load_network(checkpoint)[1].architecture)
    assert (model.contract.size_multiple, model.contract.working_size) == (32, 160)
    assert (model.contract.license, model.contract.training_data) == ("MIT", "noise")
    assert model.contract.checkpoint_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    onnx.checker.check_model(onnx.load(exported.path), full_check=True)


def test_the_model_tells_nothing_of_the_machine_it_was_made_on(exported: colorbatch_export.ExportResult) -> None:
    data = exported.path.read_bytes()
    for trace in (b".py", b"stack_trace", str(Path.home()).encode() + b"/"):
        assert trace not in data


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (2, 1, 32, 96), (5, 1, 128, 64), (1, 1, 96, 224)])
def test_the_graph_equals_pytorch_at_odd_sizes(unet_checkpoint: Path, shape: tuple[int, ...]) -> None:
    network = ColorizationUNet()
    network.load_state_dict(torch.load(unet_checkpoint, weights_only=True))
    model = graph_of(load_network(unet_checkpoint)[0]).SerializeToString()
    luma = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        red, green, blue = network.eval()(luma).numpy().transpose(1, 0, 2, 3)
    y = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-T T.871, section 7
    expected = np.stack([(blue - y) / 1.772, (red - y) / 1.402], axis=1)
    (found,) = onnxruntime.InferenceSession(model).run(None, {"luma": luma.numpy()})
    assert np.ptp(expected) > 0.2, "the test needs a network that gives colour"
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("architecture", [PLAIN, pytest.param("unet", marks=pytest.mark.slow)])
def test_parity_is_measured_on_pictures_and_noise_of_many_shapes(
    architecture: str, unet_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "_SIZES", ALL_SIZES)
    monkeypatch.setattr(parity, "_BATCHES", ALL_BATCHES)
    checkpoint = unet_checkpoint
    if architecture == PLAIN:
        torch.manual_seed(3)
        checkpoint = save_epoch(tmp_path, TrainingState(PLAIN, 160, 32, "", epoch=1), Plain())
    exported = export_model(checkpoint, tmp_path / "model.onnx")
    report = exported.report
    assert report.passed
    assert report.tolerance == TOLERANCES["fp32"] == 1e-4
    assert {each.content for each in report.comparisons} == {"pictures", "noise"}
    assert {each.shape[0] for each in report.comparisons} == {1, 2, 5}
    sizes = {each.shape[2:] for each in report.comparisons}
    assert len(sizes) >= 4
    assert any(height != width for height, width in sizes)
    assert 0 < exported.contract.parity.max_abs < 1e-5
    assert exported.contract.parity.max_rgb_levels <= 1


@pytest.mark.slow
def test_half_weights_take_half_the_bytes(unet_checkpoint: Path, tmp_path: Path) -> None:
    exported = export_model(unet_checkpoint, tmp_path / "whole.onnx")
    half = export_model(unet_checkpoint, tmp_path / "half.onnx", precision="fp16-weights")
    assert half.path.stat().st_size < 0.51 * exported.path.stat().st_size < 20e6
    assert half.contract.precision == "fp16-weights"
    assert half.report.tolerance == TOLERANCES["fp16-weights"]


@pytest.mark.parametrize(
    "architecture", [SMALL, *(pytest.param(each, marks=pytest.mark.slow) for each in ARCHITECTURES)]
)
def test_a_graph_holds_every_weight_as_it_was_trained(architecture: str, unet_checkpoint: Path) -> None:
    network = load_network(unet_checkpoint)[0] if architecture == "unet" else with_bins(architecture)
    graph = graph_of(network).graph
    found = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    for name, weight in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(found[f"network.{name}"], weight.numpy())
    assert not any(each.name.startswith("network.") for each in graph.input)


def test_a_graph_that_computes_something_else_leaves_no_model(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(data: bytes, provider: ProviderName) -> object:
        model = onnx.load_from_string(data)
        bias = next(each for each in model.graph.initializer if each.name.endswith(("enc1.conv.bias", "encoder.bias")))
        values = onnx.numpy_helper.to_array(bias) + np.float32(0.05)
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        return open_inference_session(model.SerializeToString(), provider)

    monkeypatch.setattr(parity, "open_inference_session", faulty)
    reports: list[colorbatch_export.ParityReport] = []
    with pytest.raises(ParityError, match="no model was written"):
        export_model(checkpoint, tmp_path / "x.onnx", on_report=reports.append)
    assert list(tmp_path.iterdir()) == []
    assert not reports[0].passed


def test_not_a_number_never_passes() -> None:
    comparison = Comparison("pictures", None, False, (1, 1, 32, 32), float("nan"), 0.0, 0, 0.0)
    assert not ParityReport([comparison], 1e-4, "cpu").passed


def test_verify_knows_the_checkpoint_and_finds_another(
    exported: colorbatch_export.ExportResult, checkpoint: Path, tmp_path: Path
) -> None:
    same = verify_model(str(exported.path), checkpoint, "cpu")
    assert same.report.passed
    assert same.same_checkpoint
    torch.manual_seed(4)
    architecture = load_network(checkpoint)[1].architecture
    if architecture == "unet":
        torch.save(ColorizationUNet().state_dict(), tmp_path / "other.pth")
    else:
        other = with_bins(architecture)
        torch.nn.init.normal_(other.head.logits.weight, 0, 0.5)
        save_epoch(tmp_path, TrainingState(architecture, 160, 32, "", epoch=1), other).rename(tmp_path / "other.pth")
    reports: list[colorbatch_export.ParityReport] = []
    with pytest.raises(ParityError, match=r"other\.pth"):
        verify_model(str(exported.path), tmp_path / "other.pth", "cpu", reports.append)
    assert not reports[0].passed


def test_verify_refuses_a_model_of_another_architecture(unet_checkpoint: Path) -> None:
    with pytest.raises(CheckpointRefusedError, match=r"is lite2-unet, that of .* is unet"):
        verify_model("default", unet_checkpoint)


def test_verify_has_no_checkpoint_for_a_network_of_others(tmp_path: Path, model_path: Path) -> None:
    """It says so whatever the second file is: those of the authors are no checkpoints of colorbatch."""
    with pytest.raises(ModelRefusedError, match="is of the network constant, which colorbatch does not train"):
        verify_model(str(model_path), tmp_path / "authors.pth")


def test_the_checkpoint_is_never_overwritten(unet_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = unet_checkpoint
    before = checkpoint.read_bytes()
    for output in (checkpoint, tmp_path):
        with pytest.raises(UsageError, match="cannot write the model"):
            export_model(checkpoint, output)
    assert checkpoint.read_bytes() == before


def test_the_parity_pictures_are_photographs_that_ship_with_the_package() -> None:
    pictures = picture_files()
    assert len(pictures) >= 4
    for path in pictures:
        with Image.open(path) as image:
            assert image.mode == "L"
            assert np.asarray(image).std() > 20


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    torch.save({"enc1.conv.weight": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointRefusedError, match="does not fit"):
        export_model(tmp_path / "x.pth", tmp_path / "x.onnx")


@pytest.fixture(scope="module", params=[SMALL, pytest.param("lite2-unet", marks=pytest.mark.slow)])
def lite_checkpoint(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return an epoch's checkpoint of a network with a distribution of colours and hints, trained on nothing."""
    state = TrainingState(request.param, 176, 32, "", epoch=1, crop=96)
    return save_epoch(tmp_path_factory.mktemp("lite"), state, with_bins(request.param))


@pytest.fixture(scope="module")
def lite_model(lite_checkpoint: Path) -> colorbatch_export.ExportResult:
    return export_model(lite_checkpoint, lite_checkpoint.with_name("lite.onnx"), vividness=0.3)


def test_a_network_with_a_distribution_of_colours_has_vividness(
    lite_model: colorbatch_export.ExportResult, lite_checkpoint: Path
) -> None:
    contract = read_model_file(str(lite_model.path)).contract
    architecture = load_network(lite_checkpoint)[1].architecture
    assert (contract.vividness, contract.working_size, contract.architecture) == (0.3, 96, architecture)
    assert lite_model.report.passed
    assert {each.vividness for each in lite_model.report.comparisons} == {0.0, 0.5, 1.0}


def test_vividness_changes_the_colours_of_the_model(
    lite_model: colorbatch_export.ExportResult, lite_checkpoint: Path
) -> None:
    session = onnxruntime.InferenceSession(lite_model.path.read_bytes())
    network, _ = load_network(lite_checkpoint)
    luma = np.random.default_rng(0).random((2, 1, 64, 160), dtype=np.float32)
    spread = []
    for level in (0.0, 0.6, 1.0):
        found = session.run(None, {"luma": luma, "vividness": np.array(level, np.float32)})
        with torch.inference_mode():
            grey = torch.from_numpy(luma)
            expected = network.decode(network(grey), grey, torch.tensor(level))
        for one, other in zip(found, expected, strict=True):
            assert other is not None
            np.testing.assert_allclose(one, other.numpy(), atol=1e-4)
        spread.append(float(np.abs(found[0]).std()))
    assert len(set(spread)) == 3


def test_hints_need_not_be_fed_and_none_is_the_same_as_zeros_bit_for_bit(
    lite_model: colorbatch_export.ExportResult,
) -> None:
    session = onnxruntime.InferenceSession(lite_model.path.read_bytes())
    for shape in ((1, 1, 64, 160), (3, 1, 96, 32)):
        luma = np.random.default_rng(0).random(shape, dtype=np.float32)
        inputs = {"luma": luma, "vividness": np.array(0.5, np.float32)}
        zeros = np.zeros((shape[0], 3, *shape[2:]), np.float32)
        for one, other in zip(session.run(None, inputs), session.run(None, {**inputs, "hints": zeros}), strict=True):
            assert one.tobytes() == other.tobytes()


def test_a_hint_decides_the_chroma_at_its_place(lite_model: colorbatch_export.ExportResult) -> None:
    session = onnxruntime.InferenceSession(lite_model.path.read_bytes())
    luma = np.random.default_rng(0).random((1, 1, 64, 96), dtype=np.float32)
    hints = np.zeros((1, 3, 64, 96), np.float32)
    hints[0, :, 24:40, 24:40] = np.array([0.2, -0.1, 1])[:, None, None]
    inputs = {"luma": luma, "vividness": np.array(1.0, np.float32), "hints": hints}
    (chroma,) = session.run(["chroma"], inputs)
    np.testing.assert_allclose(chroma[0, :, 32, 32], [0.2, -0.1], atol=1e-3)


def test_the_contract_tells_hints_confidence_and_the_bins_of_the_distribution(
    lite_model: colorbatch_export.ExportResult, lite_checkpoint: Path
) -> None:
    contract = read_model_file(str(lite_model.path)).contract
    assert contract.hints
    assert contract.confidence
    assert contract.colors is not None
    bins = load_network(lite_checkpoint)[0].bins
    assert bins is not None
    np.testing.assert_allclose(contract.colors, bins.numpy(), atol=1e-6)
    assert {each.hinted for each in lite_model.report.comparisons} == {False, True}
    session = onnxruntime.InferenceSession(lite_model.path.read_bytes())
    inputs = {"luma": np.full((2, 1, 64, 96), 0.5, np.float32), "vividness": np.array(0.0, np.float32)}
    chroma, confidence, colors = session.run(None, inputs)
    assert confidence.shape == (2,)
    assert ((confidence > 0) & (confidence < 1)).all()
    assert colors.shape == (2, len(contract.colors), 16, 24)
    np.testing.assert_allclose(colors.sum(axis=1), 1, atol=1e-5)
    assert chroma.shape == (2, 2, 64, 96)


def test_a_network_without_vividness_is_given_none(unet_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no vividness"):
        export_model(unet_checkpoint, tmp_path / "x.onnx", vividness=0.5)
    assert list(tmp_path.iterdir()) == []


def test_fp16_computes_in_half_precision_behind_the_same_signature(lite_checkpoint: Path, tmp_path: Path) -> None:
    result = export_model(lite_checkpoint, tmp_path / "half.onnx", precision="fp16")
    model = onnx.load(result.path)
    kinds = {each.name: each.data_type for each in model.graph.initializer if each.name.startswith("network.")}
    of_head = {"network.head.centers", "network.head.log_prior"}  # after the last convolution all is in float32
    assert {kind for name, kind in kinds.items() if name not in of_head} == {onnx.TensorProto.FLOAT16}
    assert {kinds[name] for name in of_head} == {onnx.TensorProto.FLOAT}
    assert read_model_file(str(result.path)).contract.precision == "fp16"
    assert 1e-5 < result.contract.parity.max_abs <= result.report.tolerance == TOLERANCES["fp16"]


def test_int8_is_calibrated_on_pictures_and_states_its_tolerance_in_levels(
    lite_checkpoint: Path, lite_model: colorbatch_export.ExportResult, tmp_path: Path
) -> None:
    result = export_model(lite_checkpoint, tmp_path / "x.onnx", precision="int8", calibration=SAMPLES)
    assert result.path.stat().st_size < 0.31 * lite_model.path.stat().st_size
    assert read_model_file(str(result.path)).contract == result.contract
    found = result.contract.parity
    assert (found.tolerance, found.tolerance_of) == (TOLERANCES["int8"], "mean_rgb_levels")
    assert found.mean_rgb_levels is not None
    assert 0 < found.mean_rgb_levels <= found.tolerance
    graph = onnx.load(result.path).graph
    weights = {node.input[1] for node in graph.node if node.op_type == "Conv" and ".hints." not in node.input[1]}
    assert all(name.endswith("_DequantizeLinear_Output") for name in weights)
    values = [onnx.numpy_helper.to_array(each) for each in graph.initializer if each.name.endswith("_quantized")]
    eight = [each for each in values if each.dtype == np.int8 and each.ndim == 4]
    assert len(eight) == len(weights)
    assert max(int(np.abs(each.astype(int)).max()) for each in eight) <= 64  # 255 * 64 * 2 fits into 16 bits


@pytest.mark.slow
def test_int8_calibrated_on_what_is_no_photograph_leaves_no_model(unet_checkpoint: Path, tmp_path: Path) -> None:
    black = tmp_path / "black"
    black.mkdir()
    Image.new("L", (64, 64)).save(black / "a.png")
    with pytest.raises(ParityError, match="levels of RGB on average; the tolerance is 3"):
        export_model(unet_checkpoint, tmp_path / "x.onnx", precision="int8", calibration=black)
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize(("precision", "calibration"), [("int8", None), ("fp32", SAMPLES), ("fp16", SAMPLES)])
def test_calibration_is_for_int8_and_int8_needs_it(
    unet_checkpoint: Path, tmp_path: Path, precision: Precision, calibration: Path | None
) -> None:
    with pytest.raises(UsageError, match="int8 needs --calibration"):
        export_model(unet_checkpoint, tmp_path / "x.onnx", precision=precision, calibration=calibration)


def test_calibration_goes_past_broken_pictures_and_needs_one_that_is_whole(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match="none of the 1 pictures"):
        read_inputs(tmp_path, 64, 32)
    Image.new("RGB", (130, 65), (255, 0, 0)).save(tmp_path / "red.png")
    (only,) = read_inputs(tmp_path, 64, 32)
    assert only.luma.shape == (1, 1, 64, 128)
    np.testing.assert_allclose(only.luma, 0.299, atol=1e-3)  # BT.601
    assert not only.hints.any()


def test_every_second_picture_of_a_calibration_has_hints_of_its_own_colours(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (130, 65), (255, 0, 0)).save(tmp_path / f"{name}.png")
    plain, hinted = read_inputs(tmp_path, 64, 32)
    assert not plain.hints.any()
    assert hinted.hints.shape == (1, 3, 64, 128)
    known = hinted.hints[0][:, hinted.hints[0, 2] > 0]
    assert 0 < known.shape[1] <= 5 * 25
    np.testing.assert_allclose(known.T, np.tile([-0.168736, 0.5, 1], (known.shape[1], 1)), atol=1e-4)  # ITU-T T.871
