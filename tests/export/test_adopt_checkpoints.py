"""Checkpoints of DDColor, and what only looks like one."""

import hashlib
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from foreign_colors import PICTURES, chroma_of, grey, levels_apart, resized
from numpy.typing import NDArray
from skimage import color as skimage_color

from colorbatch.errors import CheckpointRefusedError
from colorbatch_export.adapters.adopting import adopt_model
from colorbatch_export.adapters.checkpoint import weights_in

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[Any]
pytestmark = [
    pytest.mark.usefixtures("small_pictures"),
    pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB"),  # of colours outside RGB, by scikit-image
]


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


def test_a_checkpoint_that_was_cut_short_is_called_damaged(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    weights = {"layers.0.weight": torch.zeros(3, 300)}
    torch.save({"params": weights}, tmp_path / "cut.pth")
    save_file(weights, tmp_path / "cut.safetensors")
    for source in (tmp_path / "cut.pth", tmp_path / "cut.safetensors"):
        source.write_bytes(source.read_bytes()[:-500])
        with pytest.raises(CheckpointRefusedError, match="is damaged") as refused:
            adopt_model(source, tmp_path / "model.onnx")
        assert "download it again" in refused.value.advice


@pytest.mark.slow
def test_checkpoints_of_other_networks_are_refused_with_what_to_do(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    weights = {"layers.0.weight": torch.zeros(3, 3)}
    torch.save({"model": weights, "opt": None}, tmp_path / "deoldify.pth")
    torch.save({"params": weights}, tmp_path / "other.pth")
    save_file(weights, tmp_path / "other.safetensors")
    for name, message in (
        ("deoldify.pth", "is no checkpoint of DDColor: it holds more than tensors, or none"),
        ("other.pth", "is no checkpoint of DDColor: it holds 1 tensors, such as layers.0.weight"),
        ("other.safetensors", "is no checkpoint of DDColor"),
    ):
        with pytest.raises(CheckpointRefusedError, match=message) as refused:
            adopt_model(tmp_path / name, tmp_path / "model.onnx")
        assert "only those of DDColor" in refused.value.advice


@pytest.fixture(scope="module")
def network() -> "nn.Module":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of PyTorch, about spandrel
        from spandrel_extra_arches.architectures.DDColor import DDColor
    found: nn.Module = ddcolor_tiny(DDColor)
    return found


@pytest.mark.slow
def test_both_kinds_of_checkpoints_hold_the_same_weights(network: "nn.Module", tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    torch.save({"params": weights}, tmp_path / "tiny.pth")
    save_file(weights, tmp_path / "tiny.safetensors")
    for name in ("tiny.pth", "tiny.safetensors"):
        found = weights_in(tmp_path / name, (tmp_path / name).read_bytes())
        assert found.keys() == weights.keys()
        assert all(torch.equal(found[key], value) for key, value in weights.items())


@pytest.mark.slow
def test_ddcolor_tiny_is_adopted_from_its_checkpoint(network: "nn.Module", tmp_path: Path) -> None:
    import torch

    source = tmp_path / "tiny.pth"
    torch.save({"params": network.state_dict()}, source)
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
