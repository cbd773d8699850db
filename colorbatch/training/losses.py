"""Losses of a training: each takes a network, its prediction, and the true RGB ``[N, 3, H, W]`` in 0..1."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from colorbatch.training.config import LossName
from colorbatch.training.head import STRIDE, BinHead
from colorbatch.training.network import ColorNetwork
from colorbatch.training.planes import chroma_of, rgb_difference

Loss = Callable[[ColorNetwork, Tensor, Tensor], Tensor]

HUBER_DELTA = 0.05
"""Chroma error above which the loss is linear."""
NEAREST_BINS, NEAREST_SIGMA = 5, 0.02
"""Number of bins that share a true colour, by a Gaussian of their distance in units of chroma, and its sigma."""
PSNR_WEIGHT = 0.5
SMALLEST_ERROR = 1e-4
"""Mean squared error of RGB (40 dB) below which a picture counts as correct."""


def mse(network: ColorNetwork, prediction: Tensor, rgb: Tensor) -> Tensor:  # noqa: ARG001
    """Return the mean squared error of RGB, which the network predicts: the loss of the recipe ``seed``."""
    return nn.functional.mse_loss(prediction, rgb)


def chroma_mse(network: ColorNetwork, prediction: Tensor, rgb: Tensor) -> Tensor:
    """Return the mean squared error of chroma: all that a run uses, since it keeps the source's luma."""
    return nn.functional.mse_loss(network.chroma(prediction), chroma_of(rgb))


def huber(network: ColorNetwork, prediction: Tensor, rgb: Tensor) -> Tensor:
    """Return the Huber loss of chroma (Huber 1964), scaled so that small errors count as in ``chroma_mse``."""
    return 2 * nn.functional.huber_loss(network.chroma(prediction), chroma_of(rgb), delta=HUBER_DELTA)


def bins(network: ColorNetwork, prediction: Tensor, rgb: Tensor) -> Tensor:
    """Return the cross-entropy of the bins, plus a share of the mean over pictures of -PSNR of the mean prediction.

    The second term is the logarithm of the squared error: a picture of little colour, in which a wrong colour is
    obvious, then counts as much as a colourful one.
    """
    head = network.head
    assert isinstance(head, BinHead)
    truth = nn.functional.avg_pool2d(chroma_of(rgb), STRIDE)
    shares, nearest = nearest_bins(truth, head.centers)
    log_probabilities = prediction.log_softmax(dim=1)
    cross_entropy = -(shares * log_probabilities.gather(1, nearest)).sum(dim=1).mean()
    error = rgb_difference(head.mean(prediction) - truth).square().mean(dim=(1, 2, 3))
    return cross_entropy + PSNR_WEIGHT * torch.log(error + SMALLEST_ERROR).mean()


def nearest_bins(chroma: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Return shares and indices ``[N, 5, h, w]`` of the bins nearest to chroma ``[N, 2, h, w]``."""
    batch, _, height, width = chroma.shape
    flat = chroma.permute(0, 2, 3, 1).reshape(-1, 2)
    # The squared distance without the square of the chroma itself, which is the same for all bins.
    distance = torch.addmm(centers.square().sum(dim=1), flat, centers.T, alpha=-2)
    smallest, nearest = distance.topk(NEAREST_BINS, largest=False)
    shares = torch.softmax(-smallest / (2 * NEAREST_SIGMA**2), dim=1)
    return tuple(each.view(batch, height, width, -1).permute(0, 3, 1, 2) for each in (shares, nearest))  # type: ignore[return-value]


LOSSES: dict[LossName, Loss] = {"mse": mse, "chroma": chroma_mse, "huber": huber, "bins": bins}
