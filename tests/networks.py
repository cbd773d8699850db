"""Networks that are exported in a moment, and graphs that many tests share: the real ones take up to a minute each."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import onnx
import pytest
import torch
from torch import Tensor, nn

from colorbatch.training.architectures import ARCHITECTURES, build_network
from colorbatch.training.config import LossName
from colorbatch.training.decoder import ConvNormReLU
from colorbatch.training.head import STRIDE, BinHead
from colorbatch.training.hints import PooledHints, pooled
from colorbatch.training.lite_unet import LiteUNet
from colorbatch.training.network import ColorNetwork
from colorbatch_export import exporting, parity
from colorbatch_export.graph import build_graph

SMALL = "small-unet"
"""Has all that a ``lite2-unet`` has, and few layers."""
PLAIN = "plain"
"""Two layers, without any of what a network may have."""


class SmallUNet(LiteUNet):
    """What a ``lite2-unet`` makes of its logits and of hints, after four layers instead of some hundred."""

    def __init__(self) -> None:
        super(LiteUNet, self).__init__()
        self.has_hints = True
        self.encoder = nn.Conv2d(1, 256, STRIDE, STRIDE)  # type: ignore[assignment]
        self.decoder = nn.Sequential(ConvNormReLU(256, 256), ConvNormReLU(256, 96))  # type: ignore[assignment]
        self.head = BinHead(96)
        self.hints = SmallHints()  # type: ignore[assignment]

    def forward(self, luma: Tensor, hints: Tensor | None = None) -> Tensor:
        found: Tensor = self.decoder(self.encoder(luma))
        if hints is not None:
            found = found + self.hints(pooled(hints))
        logits: Tensor = self.head(found)
        return logits

    def start(self, chromas: Iterable[Tensor]) -> None:
        self.head.choose_bins(chromas)


class SmallHints(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.ModuleList([nn.Conv2d(3, 96, 1, bias=False)])

    def forward(self, hints: PooledHints) -> Tensor:
        found: Tensor = self.out[0](torch.cat([hints.chroma * 8, hints.weight], dim=1))
        return found


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
        if name.endswith("running_mean"):
            torch.nn.init.normal_(values, 0, 0.1)
        elif name.endswith("running_var"):
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
    found: onnx.ModelProto = onnx.ModelProto.FromString(_GRAPHS[key])
    return found
