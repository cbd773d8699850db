"""The decoder: from the encoder's features back up to stride 4, each stage with the encoder's features of its size."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

TOP_CHANNELS = 256
STAGE_CHANNELS = (192, 128, 96)
"""Channels at strides 16, 8 and 4."""
DROPOUT = 0.1


class ConvNormReLU(nn.Sequential):
    """Convolution without bias, batch norm, ReLU; keeps height and width."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class SceneContext(nn.Module):
    """A layer that adds context from the mean over the picture to every place: indoors or out, summer or snow."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(inplace=True), nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to the same shape."""
        context: Tensor = self.layers(x.mean(dim=(2, 3)))
        return x + context[:, :, None, None]


class Decoder(nn.Module):
    """A decoder of features at strides 4 to 32 to one map ``[N, STAGE_CHANNELS[-1], H / 4, W / 4]``."""

    def __init__(self, encoder_channels: Sequence[int]) -> None:
        """Build the layers for ``encoder_channels`` at strides 2 to 32; stride 2 is unused, since chroma is smooth."""
        super().__init__()
        _, *skips, deepest = encoder_channels
        self.top = ConvNormReLU(deepest, TOP_CHANNELS, kernel_size=1)
        self.context = SceneContext(TOP_CHANNELS)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.stages = nn.ModuleList()
        below = TOP_CHANNELS
        for skip, channels in zip(reversed(skips), STAGE_CHANNELS, strict=True):
            self.stages.append(nn.Sequential(ConvNormReLU(below + skip, channels), ConvNormReLU(channels, channels)))
            below = channels

    def forward(self, features: Sequence[Tensor], hints: Sequence[Tensor] | None = None) -> Tensor:
        """Decode the five maps of the encoder, largest first.

        Args:
            features: maps at strides 2 to 32.
            hints: maps of a :class:`colorbatch.training.hints.HintEncoder` to add at strides 32, 16, 8 and 4.

        """
        _, f4, f8, f16, f32 = features
        added = iter(hints or ())

        def with_hints(x: Tensor) -> Tensor:
            return x + next(added) if hints is not None else x

        x: Tensor = self.dropout(self.context(with_hints(self.top(f32))))  # [N, 256, H/32, W/32]
        for stage, skip in zip(self.stages, (self.dropout(f16), f8, f4), strict=True):
            x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
            assert isinstance(stage, nn.Sequential)
            first, second = stage  # [N, 192, H/16, W/16], [N, 128, H/8, W/8], [N, 96, H/4, W/4]
            x = second(with_hints(first(torch.cat([x, skip], dim=1))))
        return x


def decoder_channels() -> tuple[int, ...]:
    """Return the channels of the maps to which hints are added, at strides 32, 16, 8 and 4."""
    return (TOP_CHANNELS, *STAGE_CHANNELS)
