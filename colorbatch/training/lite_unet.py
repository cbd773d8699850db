"""A U-Net whose encoder is EfficientNet-Lite and whose head predicts a distribution of colours."""

from collections.abc import Iterable
from typing import ClassVar

from torch import Tensor, nn

from colorbatch.training.config import LossName
from colorbatch.training.decoder import STAGE_CHANNELS, Decoder
from colorbatch.training.encoder import LiteEncoder, LiteName
from colorbatch.training.head import STRIDE, BinHead
from colorbatch.training.network import ColorNetwork


class LiteUNet(ColorNetwork):
    """Luma ``[N, 1, H, W]`` to logits over bins of chroma ``[N, 150, H/4, W/4]``; H and W multiples of 32."""

    size_multiple: ClassVar[int] = 32
    losses: ClassVar[tuple[LossName, ...]] = ("bins", "chroma", "huber")
    has_vividness: ClassVar[bool] = True

    def __init__(self, encoder: LiteName) -> None:
        super().__init__()
        self.encoder = LiteEncoder(encoder)
        self.decoder = Decoder(self.encoder.channels)
        self.head = BinHead(STAGE_CHANNELS[-1])

    def start(self, chromas: Iterable[Tensor]) -> None:
        """Take the encoder's weights from ImageNet and the bins from the pictures."""
        self.encoder.load_imagenet()
        self.head.choose_bins(chromas)

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Those of the encoder."""
        return list(self.encoder.parameters())

    def forward(self, luma: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.decoder(self.encoder(luma)))
        return logits

    def chroma(self, prediction: Tensor, vividness: Tensor | None = None) -> Tensor:
        """Return the mean of the distributions, or livelier chroma, at the size of the input."""
        small = self.head.mean(prediction) if vividness is None else self.head.vivid(prediction, vividness)
        return nn.functional.interpolate(small, scale_factor=STRIDE, mode="bilinear")
