"""The head: for every place a distribution over bins of chroma, and from it one chroma, careful or vivid.

Zhang, Isola and Efros 2016, "Colorful Image Colorization", predict such a distribution over bins of Lab; here the bins
are squares of (Cb, Cr), and vividness adjusts the logits for the prior (Menon et al. 2021, "Long-tail learning via
logit adjustment") instead of rebalancing the loss: one training serves careful and vivid colours.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from colorbatch.errors import UsageError

BINS = 150
"""Number of bins: the most frequent ones, which cover 99.4 % of the pixels of the photographs trained on."""
STEP = 0.04
"""Side of a bin in units of chroma: about 10 levels of 8 bits."""
STRIDE = 4
"""Stride at which the head predicts; true chroma at that size, enlarged, is within 41 dB of the original."""
PRIOR_WEIGHT = 0.5
"""Share of the log prior that is subtracted from the logits at vividness 1."""
SHARPENING = 1.5
"""Factor of the logits, the inverse of their temperature, at every vividness."""
GAIN = 0.25
"""Relative increase of uncertain chroma at vividness 1."""
UNSURE = 10 / 255
"""Standard deviation from which on a distribution counts as uncertain; certain colours are not increased."""

_SIDE = 27  # bins from -0.52 to 0.52 in either direction


class Distribution(NamedTuple):
    """Predicted distribution of colours at each place."""

    shares: Tensor
    """Probability of each bin, ``[N, h, w, BINS]``."""
    chroma: Tensor
    """Mean of the distribution, ``[N, 2, h, w]``, which has the least squared error."""
    variance: Tensor
    """Mean squared distance from the mean, ``[N, 1, h, w]``."""


class BinHead(nn.Module):
    """A head from features ``[N, C, h, w]`` to logits ``[N, BINS, h, w]``, and from logits to chroma."""

    centers: Tensor
    """Cb and Cr of each bin, ``[BINS, 2]``."""
    log_prior: Tensor
    """Logarithm of each bin's share of the pixels, ``[BINS]``."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.logits = nn.Conv2d(in_channels, BINS, kernel_size=1)
        self.register_buffer("centers", torch.zeros(BINS, 2))
        self.register_buffer("log_prior", torch.zeros(BINS))

    def choose_bins(self, chromas: Iterable[Tensor]) -> None:
        """Set the bins to the most frequent ones of the training pictures, and the prior to their frequencies.

        Args:
            chromas: chroma ``[2, H, W]`` of each picture; all pictures have the same weight.

        Raises:
            UsageError: the pictures have too few colours to learn from.

        """
        histogram = torch.zeros(_SIDE * _SIDE, dtype=torch.float64)
        for chroma in chromas:
            small = nn.functional.avg_pool2d(chroma[None], STRIDE)[0].flatten(1)
            row, column = (small / STEP).round().long().add(_SIDE // 2).clamp(0, _SIDE - 1)
            histogram += torch.bincount(row * _SIDE + column, minlength=_SIDE * _SIDE) / small.shape[1]
        frequency, chosen = (histogram / histogram.sum()).sort(descending=True, stable=True)
        if frequency[1] <= 0:
            raise UsageError("the training pictures have no colour")
        grid = torch.stack([chosen // _SIDE, chosen % _SIDE], dim=1) - _SIDE // 2
        self.centers.copy_(grid[:BINS] * STEP)
        smallest = frequency[frequency > 0].min()
        self.log_prior.copy_(frequency[:BINS].clamp(min=smallest).log())

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.logits(features)
        return logits

    def mean(self, logits: Tensor) -> Tensor:
        """Return the mean chroma ``[N, 2, h, w]`` of the distributions, which has the least squared error."""
        return self.likely(logits).chroma

    def likely(self, logits: Tensor) -> Distribution:
        """Return the distribution as trained, which is calibrated."""
        return self._distribution(logits.movedim(1, -1))

    def vivid(self, logits: Tensor, vividness: Tensor) -> Distribution:
        """Return the sharpened distribution; its mean is increased with ``vividness`` and uncertainty."""
        found = self._distribution(self._adjusted(logits.movedim(1, -1), vividness))
        unsure = found.variance / (found.variance + UNSURE**2)
        return found._replace(chroma=found.chroma * (1 + GAIN * vividness * unsure))

    def _adjusted(self, by_place: Tensor, vividness: Tensor) -> Tensor:
        """Return logits ``[N, h, w, BINS]`` sharpened, with rare colours raised in proportion to ``vividness``."""
        return by_place * SHARPENING - (SHARPENING * PRIOR_WEIGHT) * vividness * self.log_prior

    def _distribution(self, by_place: Tensor) -> Distribution:
        """Return the probabilities of logits ``[N, h, w, BINS]``, with their mean and variance.

        ONNX Runtime's softmax takes ten times as long over any axis but the last. The logits are flattened so that its
        optimiser does not transpose them back.
        """
        shares = by_place.reshape(-1, BINS).softmax(dim=-1).view(by_place.shape)
        moments = torch.cat([self.centers, self.centers.square().sum(dim=1, keepdim=True)], dim=1)
        found = (shares @ moments).movedim(-1, 1)
        chroma, squared = found[:, :2], found[:, 2:]
        variance = (squared - chroma.square().sum(dim=1, keepdim=True)).clamp(min=0)
        return Distribution(shares, chroma, variance)
