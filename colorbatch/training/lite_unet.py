"""A U-Net whose encoder is EfficientNet-Lite and whose head predicts a distribution of colours."""

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from colorbatch.inference.contract import HALF_CONFIDENT
from colorbatch.training import hints as hint_planes
from colorbatch.training.config import LossName
from colorbatch.training.decoder import STAGE_CHANNELS, Decoder, decoder_channels
from colorbatch.training.edge_aware import smoothed
from colorbatch.training.encoder import LiteEncoder, LiteName
from colorbatch.training.head import STRIDE, BinHead, Distribution
from colorbatch.training.hints import HintEncoder
from colorbatch.training.network import ColorNetwork, Decoded

SMOOTH_FROM = 0.5
"""Vividness from which on chroma is fully smoothed; at 0 it is not, and in between it is a mixture."""
DIFFERENCE_PER_CHROMA = 123.0
"""CIEDE2000 of two colours of equal luma per unit of distance between their chroma, see docs/experiments.md."""


class LiteUNet(ColorNetwork):
    """A network from luma ``[N, 1, H, W]``, H and W multiples of 32, to logits over bins ``[N, 150, H/4, W/4]``."""

    size_multiple: ClassVar[int] = 32
    losses: ClassVar[tuple[LossName, ...]] = ("bins", "chroma", "huber")
    has_vividness: ClassVar[bool] = True

    def __init__(self, encoder: LiteName, *, has_hints: bool = False) -> None:
        super().__init__()
        self.has_hints = has_hints
        self.encoder = LiteEncoder(encoder)
        self.decoder = Decoder(self.encoder.channels)
        self.head = BinHead(STAGE_CHANNELS[-1])
        if has_hints:
            self.hints = HintEncoder(decoder_channels())

    @property
    def bins(self) -> Tensor:
        """Cb and Cr of each bin."""
        return self.head.centers

    def start(self, chromas: Iterable[Tensor]) -> None:
        """Load the encoder's weights trained on ImageNet, and choose the bins by the pictures."""
        self.encoder.load_imagenet()
        self.head.choose_bins(chromas)

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the encoder."""
        return list(self.encoder.parameters())

    def forward(self, luma: Tensor, hints: Tensor | None = None) -> Tensor:
        """Return the logits."""
        added = None if hints is None else self.hints(hint_planes.pooled(hints))
        logits: Tensor = self.head(self.decoder(self.encoder(luma), added))
        return logits

    def chroma(self, prediction: Tensor) -> Tensor:
        """Return the mean of the distributions, at the size of the input."""
        return _enlarged(self.head.mean(prediction))

    def decode(
        self, prediction: Tensor, luma: Tensor, vividness: Tensor | None = None, hints: Tensor | None = None
    ) -> Decoded:
        """Return chroma, more vivid and smoother with more vividness, with its confidence and the distribution.

        At a hint the chroma is that of the hint, at any vividness.
        """
        level = torch.zeros(()) if vividness is None else vividness
        likely = self.head.likely(prediction)
        _, chroma, variance = self.head.vivid(prediction, level)
        known = None if hints is None else hint_planes.pooled(hints)
        if known is not None:
            chroma = torch.lerp(chroma, known.chroma, known.share)
            variance = variance * (1 - known.share)
        calm = smoothed(chroma, variance, nn.functional.avg_pool2d(luma, STRIDE))
        chroma = torch.lerp(chroma, calm, (level / SMOOTH_FROM).clamp(max=1))
        if known is not None:
            chroma = torch.lerp(chroma, known.chroma, known.share)
        return Decoded(_enlarged(chroma), confidence_in(chroma, likely), likely.shares.movedim(-1, 1))


def confidence_in(chroma: Tensor, likely: Distribution) -> Tensor:
    """Return the confidence of a network in chroma ``[N, 2, h, w]``: ``[N]`` in 0..1.

    It is 10 / (10 + E), as in the contract, with E the mean CIEDE2000 over the picture that is expected by the
    distribution.
    """
    squared = likely.variance + (likely.chroma - chroma).square().sum(dim=1, keepdim=True)
    expected = DIFFERENCE_PER_CHROMA * squared.sqrt().mean(dim=(1, 2, 3))
    return HALF_CONFIDENT / (HALF_CONFIDENT + expected)


def _enlarged(chroma: Tensor) -> Tensor:
    return nn.functional.interpolate(chroma, scale_factor=STRIDE, mode="bilinear")
