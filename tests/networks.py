"""Networks that are exported in a moment, and graphs that many tests share: the real ones take up to a minute each."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import onnx
import pytest
import torch
from torch import Tensor, nn

from colorbatch.training.architectures import ARCHITECTURES, build_network
from colorbatch.training.config import LossName
from colorbatch.training.decoder import STAGE_CHANNELS, Decoder, decoder_channels
from colorbatch.training.head import BinHead
from colorbatch.training.hints import HintEncoder
from colorbatch.training.lite_unet import LiteUNet
from colorbatch.training.network import ColorNetwork
from colorbatch_export import exporting, parity
from colorbatch_export.graph import build_graph

SMALL = "small-unet"
"""All of a ``lite2-unet`` but its encoder."""
PLAIN = "plain"
"""Two layers, without any of what a network may have."""


class SmallEncoder(nn.Module):
    """Features at strides 2 to 32, one layer each, and one more with most of the weights."""

    channels: ClassVar[tuple[int, ...]] = (8, 16, 16, 16, 512)

    def __init__(self) -> None:
        super().__init__()
        below = (1, *self.channels)
        self.layers = nn.ModuleList(
            nn.Conv2d(one, other, 3, 2, padding=1) for one, other in zip(below, self.channels, strict=False)
        )
        self.deepest = nn.Conv2d(512, 512, 3, padding=1)

    def load_imagenet(self) -> None:
        pass

    def forward(self, luma: Tensor) -> list[Tensor]:
        features = [luma * 2 - 1]
        for layer in self.layers:
            features.append(layer(features[-1]).relu())
        return [*features[1:-1], self.deepest(features[-1]).relu()]


class SmallUNet(LiteUNet):
    def __init__(self) -> None:
        super(LiteUNet, self).__init__()
        self.has_hints = True
        self.encoder = SmallEncoder()  # type: ignore[assignment]
        self.decoder = Decoder(self.encoder.channels)
        self.head = BinHead(STAGE_CHANNELS[-1])
        self.hints = HintEncoder(decoder_channels())


class Plain(ColorNetwork):
    size_multiple: ClassVar[int] = 32
    losses: ClassVar[tuple[LossName, ...]] = ("chroma",)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 2, 3, padding=1))

    def forward(self, luma: Tensor, hints: Tensor | None = None) -> Tensor:  # noqa: ARG002 (it has none)
        found: Tensor = self.layers(luma)
        return found

    def chroma(self, prediction: Tensor) -> Tensor:
        return prediction.tanh() / 2


@contextmanager
def small_ones() -> Iterator[None]:
    """Let these networks be known by their names, compare with PyTorch on few inputs, and build each graph once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, SMALL, SmallUNet)
        patch.setitem(ARCHITECTURES, PLAIN, Plain)
        patch.setattr(exporting, "build_graph", graph_of)
        patch.setattr(parity, "_SIZES", ((2, 2), (3, 5)))
        patch.setattr(parity, "_BATCHES", (1, 2))
        yield


def with_bins(architecture: str) -> LiteUNet:
    """Return a network with a distribution of colours, as if it were trained; the same one each time."""
    torch.manual_seed(7)
    network = build_network(architecture)
    assert isinstance(network, LiteUNet)
    network.head.choose_bins([torch.rand(2, 16, 16) - 0.5 for _ in range(50)])
    torch.nn.init.normal_(network.head.logits.weight, 0, 0.5)
    for name, values in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            torch.nn.init.uniform_(values, 0.5, 1.5)
    if network.has_hints:
        for layer in network.hints.out:
            torch.nn.init.normal_(layer.weight, 0, 0.5)  # type: ignore[arg-type]
    return network.eval()


_GRAPHS: dict[str, bytes] = {}


def graph_of(network: ColorNetwork) -> onnx.ModelProto:
    """Return the graph of a network, which is built once in a session."""
    digest = hashlib.sha256(type(network).__name__.encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    key = digest.hexdigest()
    if key not in _GRAPHS:
        _GRAPHS[key] = build_graph(network).SerializeToString()
    return onnx.ModelProto.FromString(_GRAPHS[key])
