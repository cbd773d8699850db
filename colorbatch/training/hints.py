"""Hints: known colours of a picture as inputs of the network.

After Zhang et al. 2017, "Real-Time User-Guided Image Colorization with Learned Deep Priors".
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

HINT_STRIDE = 4
"""Side of the squares over which hints are averaged first."""
_CHANNELS = (32, 48, 64, 96)
"""Channels at strides 4, 8, 16 and 32."""
_SCALE = 8.0
"""Factor that scales chroma, mostly within 0.12, to about 1."""
_EPSILON = 1e-4


class PooledHints(NamedTuple):
    """Hints ``[N, 3, H, W]`` (Cb, Cr, weight 0..1), pooled over squares of ``HINT_STRIDE`` pixels."""

    chroma: Tensor
    """Mean of the hints in the square, ``[N, 2, H / 4, W / 4]``; 0 where there are none."""
    share: Tensor
    """Mean weight, ``[N, 1, H / 4, W / 4]`` in 0..1."""
    weight: Tensor
    """Largest weight, ``[N, 1, H / 4, W / 4]`` in 0..1."""


def pooled(hints: Tensor) -> PooledHints:
    """Average hints ``[N, 3, H, W]`` over squares; places without weight do not count.

    ``ceil_mode`` changes nothing for the sides that a network accepts. It lets ONNX Runtime accept hints of a single
    pixel, the default of a model's input, which have the same effect as empty hints of full size, and cost no time.
    """

    def mean(planes: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(planes, HINT_STRIDE, ceil_mode=True)

    weight = hints[:, 2:]
    share = mean(weight)
    chroma = mean(hints[:, :2] * weight) / share.clamp(min=_EPSILON)
    return PooledHints(chroma, share, nn.functional.max_pool2d(weight, HINT_STRIDE, ceil_mode=True))


class HintEncoder(nn.Module):
    """An encoder of hints to maps that are added to those of the decoder.

    No layer has a bias, so that without hints exactly 0 is added.
    """

    def __init__(self, decoder_channels: Sequence[int]) -> None:
        """Build the layers; ``decoder_channels`` are those of the decoder's maps at strides 32, 16, 8 and 4."""
        super().__init__()

        def convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
            return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)

        self.first = convolution(3, _CHANNELS[0])
        self.same = convolution(_CHANNELS[0], _CHANNELS[0])
        self.down = nn.ModuleList(convolution(below, channels, stride=2) for below, channels in pairwise(_CHANNELS))
        self.out = nn.ModuleList(
            nn.Conv2d(channels, wanted, 1, bias=False)
            for channels, wanted in zip(reversed(_CHANNELS), decoder_channels, strict=True)
        )
        for layer in self.out:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type] # a training starts without an effect of hints

    def forward(self, hints: PooledHints) -> list[Tensor]:
        """Return the maps to add at strides 32, 16, 8 and 4, in this order."""
        relu = nn.functional.relu
        x = torch.cat([hints.chroma * _SCALE, hints.weight], dim=1)
        maps = [relu(self.same(relu(self.first(x))))]  # [N, 32, H/4, W/4]
        for layer in self.down:
            maps.append(relu(layer(maps[-1])))  # [N, 48, H/8, W/8], [N, 64, H/16, W/16], [N, 96, H/32, W/32]
        return [layer(x) for layer, x in zip(self.out, reversed(maps), strict=True)]
