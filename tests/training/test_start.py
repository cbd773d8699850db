from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import small_contract
from networks import SMALL, graph_of, small_ones, with_bins

from colorbatch.errors import CheckpointRefusedError, ModelRefusedError
from colorbatch.inference.contract import Precision
from colorbatch.training.architectures import build_network
from colorbatch.training.head import BINS
from colorbatch.training.network import ColorNetwork
from colorbatch.training.start import start_from
from colorbatch_export.metadata import stamp
from colorbatch_export.precision import halve_weights


@pytest.fixture(scope="module", params=[SMALL, pytest.param("lite0-unet", marks=pytest.mark.slow)])
def architecture(request: pytest.FixtureRequest) -> Iterator[str]:
    name: str = request.param
    with small_ones():
        yield name


@pytest.fixture(scope="module")
def network(architecture: str) -> ColorNetwork:
    """Return a network none of whose batch norms and bins are what a new one's are."""
    return with_bins(architecture)


@pytest.fixture(scope="module")
def exported(network: ColorNetwork) -> onnx.ModelProto:
    return graph_of(network)


def write(model: onnx.ModelProto, path: Path, architecture: str, precision: Precision = "fp32") -> Path:
    bins = tuple((0.0, 0.0) for _ in range(BINS))
    contract = small_contract(
        architecture=architecture,
        precision=precision,
        vividness=0.5,
        hints=architecture == SMALL,
        confidence=True,
        colors=bins,
    )
    stamp(model, contract)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_model_gives_back_the_weights_that_it_was_made_of(
    network: ColorNetwork, exported: onnx.ModelProto, architecture: str, tmp_path: Path
) -> None:
    other = build_network(architecture)
    start_from(write(exported, tmp_path / "x.onnx", architecture), other, architecture)
    for name, weight in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], weight), name


def test_weights_stored_in_half_the_bytes_give_the_models_own_chroma(
    network: ColorNetwork, exported: onnx.ModelProto, architecture: str, tmp_path: Path
) -> None:
    half = onnx.ModelProto.FromString(exported.SerializeToString())
    halve_weights(half)
    path = write(half, tmp_path / "half.onnx", architecture, "fp16-weights")
    other = build_network(architecture)
    start_from(path, other, architecture)
    weight, exact = (next(each.decoder.parameters()) for each in (other, network))  # type: ignore[union-attr]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, exact.half().float())
    luma = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    inputs = {"luma": luma.numpy(), "vividness": np.array(0.5, np.float32)}
    (expected,) = onnxruntime.InferenceSession(path.read_bytes()).run(["chroma"], inputs)
    with torch.inference_mode():
        found = other.eval().decode(other(luma), luma, torch.tensor(0.5)).chroma.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_checkpoint_of_another_architecture_is_refused_before_its_weights_are_tried(
    exported: onnx.ModelProto, architecture: str, tmp_path: Path
) -> None:
    path = write(exported, tmp_path / "x.onnx", architecture)
    for other in ("unet", "lite2-unet"):
        with pytest.raises(
            CheckpointRefusedError, match=f"of {architecture}, but the architecture to train is {other}"
        ) as refused:
            start_from(path, build_network(other), other)
        assert f"--architecture {architecture}" in refused.value.advice
    torch.save(build_network("unet").state_dict(), tmp_path / "plain.pth")
    with pytest.raises(CheckpointRefusedError, match=f"of unet, but the architecture to train is {architecture}"):
        start_from(tmp_path / "plain.pth", build_network(architecture), architecture)


def test_a_model_whose_batch_norms_were_folded_away_is_refused(
    exported: onnx.ModelProto, architecture: str, tmp_path: Path
) -> None:
    path = write(exported, tmp_path / "x.onnx", architecture)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "folded.onnx")
    onnxruntime.InferenceSession(path.read_bytes(), options)
    write(onnx.load(tmp_path / "folded.onnx"), path, architecture)
    with pytest.raises(CheckpointRefusedError, match="does not hold the weights as they were trained"):
        start_from(path, build_network(architecture), architecture)


def test_weights_of_8_bits_are_refused(exported: onnx.ModelProto, architecture: str, tmp_path: Path) -> None:
    path = write(exported, tmp_path / "x.onnx", architecture, "int8")
    with pytest.raises(CheckpointRefusedError, match="8-bit weights"):
        start_from(path, build_network(architecture), architecture)


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefusedError, match="No such file"):
        start_from(tmp_path / "none.onnx", build_network("unet"), "unet")


def test_a_built_in_model_goes_by_its_name() -> None:
    with pytest.raises(CheckpointRefusedError, match="default holds the weights of lite2-unet"):
        start_from(Path("default"), build_network("unet"), "unet")
