from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import small_contract

from colorbatch.errors import CheckpointRefusedError, ModelRefusedError
from colorbatch.inference.contract import Precision
from colorbatch.training.architectures import build_network
from colorbatch.training.head import BINS
from colorbatch.training.lite_unet import LiteUNet
from colorbatch.training.network import ColorNetwork
from colorbatch.training.start import start_from
from colorbatch_export.exporting import stamp
from colorbatch_export.graph import build_graph
from colorbatch_export.precision import halve_weights

ARCHITECTURE = "lite0-unet"


@pytest.fixture(scope="module")
def network() -> ColorNetwork:
    """Return a network none of whose batch norms and bins are what a new one's are."""
    torch.manual_seed(7)
    network = build_network(ARCHITECTURE)
    assert isinstance(network, LiteUNet)
    network.head.choose_bins([torch.rand(2, 16, 16) - 0.5 for _ in range(50)])
    for name, values in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            torch.nn.init.uniform_(values, 0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def exported(network: ColorNetwork) -> onnx.ModelProto:
    return build_graph(network)


def write(model: onnx.ModelProto, path: Path, precision: Precision = "fp32") -> Path:
    bins = tuple((0.0, 0.0) for _ in range(BINS))
    contract = small_contract(
        architecture=ARCHITECTURE, precision=precision, vividness=0.5, confidence=True, colors=bins
    )
    stamp(model, contract)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_model_gives_back_the_weights_that_it_was_made_of(
    network: ColorNetwork, exported: onnx.ModelProto, tmp_path: Path
) -> None:
    other = build_network(ARCHITECTURE)
    start_from(write(exported, tmp_path / "x.onnx"), other, ARCHITECTURE)
    for name, weight in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], weight), name


def test_weights_stored_in_half_the_bytes_give_the_models_own_chroma(
    network: ColorNetwork, exported: onnx.ModelProto, tmp_path: Path
) -> None:
    half = onnx.ModelProto.FromString(exported.SerializeToString())
    halve_weights(half)
    path = write(half, tmp_path / "half.onnx", "fp16-weights")
    other = build_network(ARCHITECTURE)
    start_from(path, other, ARCHITECTURE)
    weight = other.decoder.stages[0][0][0].weight  # type: ignore[union-attr, index]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, network.decoder.stages[0][0][0].weight.half().float())  # type: ignore[union-attr, index]
    luma = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    inputs = {"luma": luma.numpy(), "vividness": np.array(0.5, np.float32)}
    (expected,) = onnxruntime.InferenceSession(path.read_bytes()).run(["chroma"], inputs)
    with torch.inference_mode():
        found = other.eval().decode(other(luma), luma, torch.tensor(0.5)).chroma.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_checkpoint_of_another_architecture_is_refused_before_its_weights_are_tried(
    exported: onnx.ModelProto, tmp_path: Path
) -> None:
    path = write(exported, tmp_path / "x.onnx")
    for architecture in ("unet", "lite2-unet"):
        with pytest.raises(
            CheckpointRefusedError, match=f"of lite0-unet, but the architecture to train is {architecture}"
        ) as refused:
            start_from(path, build_network(architecture), architecture)
        assert "--architecture lite0-unet" in refused.value.advice
    torch.save(build_network("unet").state_dict(), tmp_path / "plain.pth")
    with pytest.raises(CheckpointRefusedError, match="of a unet, and a lite0-unet is to be"):
        start_from(tmp_path / "plain.pth", build_network(ARCHITECTURE), ARCHITECTURE)


def test_a_model_whose_batch_norms_were_folded_away_is_refused(exported: onnx.ModelProto, tmp_path: Path) -> None:
    path = write(exported, tmp_path / "x.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "folded.onnx")
    onnxruntime.InferenceSession(path.read_bytes(), options)
    write(onnx.load(tmp_path / "folded.onnx"), path)
    with pytest.raises(CheckpointRefusedError, match="does not hold the weights as they were trained"):
        start_from(path, build_network(ARCHITECTURE), ARCHITECTURE)


def test_weights_of_8_bits_are_refused(exported: onnx.ModelProto, tmp_path: Path) -> None:
    path = write(exported, tmp_path / "x.onnx", "int8")
    with pytest.raises(CheckpointRefusedError, match="8-bit weights"):
        start_from(path, build_network(ARCHITECTURE), ARCHITECTURE)


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefusedError, match="No such file"):
        start_from(tmp_path / "none.onnx", build_network("unet"), "unet")


def test_a_built_in_model_goes_by_its_name() -> None:
    with pytest.raises(CheckpointRefusedError, match="default holds the weights of lite2-unet"):
        start_from(Path("default"), build_network("unet"), "unet")
