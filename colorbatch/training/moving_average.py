"""The exponential moving average of a network's weights, which is often better than the weights themselves."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from colorbatch.training.network import ColorNetwork


class MovingAverage(nn.Module):
    """A copy of a network with the moving average of its weights, and its current buffers.

    Unlike PyTorch's ``AveragedModel``, whose state dict it has, it counts on the host: with a growing decay, that would
    wait for the device at every weight.
    """

    n_averaged: Tensor
    """Number of averaged steps, int64 on the CPU."""

    def __init__(self, network: ColorNetwork, decay: float) -> None:
        """Copy the network; ``decay``, 0..1, is the weight of the average at each step, after a rise over the first."""
        super().__init__()
        self.module = deepcopy(network)
        self.register_buffer("n_averaged", torch.tensor(0))
        self._decay = decay

    def update(self, network: ColorNetwork) -> None:
        """Update the average after a step of ``network``."""
        steps = int(self.n_averaged)
        decay = min(self._decay, (1 + steps) / (10 + steps)) if steps else 0.0
        averaged, current = ([each.detach() for each in model.parameters()] for model in (self.module, network))
        get_ema_multi_avg_fn(decay)(averaged, current, steps)  # type: ignore[no-untyped-call]
        for buffer, now in zip(self.module.buffers(), network.buffers(), strict=True):
            buffer.copy_(now)
        self.n_averaged += 1
