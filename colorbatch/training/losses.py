"""What a training can minimise. Every loss takes prediction and truth, RGB float32 ``[N, 3, H, W]`` in 0..1."""

from collections.abc import Callable

from torch import Tensor, nn

from colorbatch.color import CHROMA_WEIGHTS
from colorbatch.training.config import LossName


def mse(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the mean squared error of RGB: the loss of the seed."""
    return nn.functional.mse_loss(predicted, truth)


def chroma_mse(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the mean squared error of chroma: all that a run uses, since it keeps the source's luma."""
    weights = truth.new_tensor(CHROMA_WEIGHTS)[:, :, None, None]
    return nn.functional.mse_loss(nn.functional.conv2d(predicted, weights), nn.functional.conv2d(truth, weights))


LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {"mse": mse, "chroma": chroma_mse}
