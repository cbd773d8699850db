"""Networks that are exported in a moment, and graphs that many tests share: the real ones take up to a minute each."""

import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import ClassVar

import onnx
import pytest
import torch
from helpers import ROOT
from torch import Tensor, nn

from colorbatch.store.atomic import write_bytes
from colorbatch.store.lock import Lock
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
        self.encoder = nn.Conv2d(1, 128, STRIDE, STRIDE)  # type: ignore[assignment]
        self.decoder = nn.Sequential(ConvNormReLU(128, 128), ConvNormReLU(128, 32))  # type: ignore[assignment]
        self.head = BinHead(32)
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
        projection = nn.Conv2d(3, 32, 1, bias=False)
        nn.init.zeros_(projection.weight)
        self.out = nn.ModuleList([projection])

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


_GRAPHS = ROOT / ".pytest_cache" / "graphs"
"""Graphs that were built once, for all processes and later sessions."""
_BUILT_BY = ("colorbatch/training", "colorbatch/inference", "colorbatch/pixels", "export", "tests/networks.py")
"""All that a graph depends on beside the weights and the packages."""


def graph_of(network: ColorNetwork) -> onnx.ModelProto:
    """Return the graph of a network, which is built once for every state of the code."""
    digest = hashlib.sha256(type(network).__name__.encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    path = _GRAPHS / _state_of_the_code() / f"{digest.hexdigest()}.onnx"
    while (lock := Lock.take(path)) is None:  # another process builds it
        time.sleep(0.1)
    try:
        if not path.exists():
            for other in set(_GRAPHS.iterdir()) - {path.parent}:
                shutil.rmtree(other, ignore_errors=True)
            write_bytes(path, build_graph(network).SerializeToString())
        return onnx.load(path)
    finally:
        lock.release()


@cache
def _state_of_the_code() -> str:
    """Return a hash of all that a graph depends on beside the weights."""
    digest = hashlib.sha256("".join(map(version, ("torch", "onnx", "onnxscript"))).encode())
    for place in _BUILT_BY:
        for path in sorted((ROOT / place).rglob("*.py")) or [ROOT / place]:
            digest.update(path.read_bytes())
    return digest.hexdigest()
