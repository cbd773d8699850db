"""The exponential moving average of a network's weights, which is often better than the weights themselves."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from colorbatch.training.network import ColorNetwork


class MovingAverage(nn.Module):
    """A copy of a network that follows its weights slowly, and its buffers at once.

    It differs from PyTorch's ``AveragedModel``, whose state dict it has, in counting on the host: a decay that grows
    would there wait for the device at every weight.
    """

    n_averaged: Tensor
    """How many steps are averaged, int64 on the CPU."""

    def __init__(self, network: ColorNetwork, decay: float) -> None:
        """``decay``, 0..1, is what remains of the average at each step; it grows to that over the first steps."""
        super().__init__()
        self.module = deepcopy(network)
        self.register_buffer("n_averaged", torch.tensor(0))
        self._decay = decay

    def update(self, network: ColorNetwork) -> None:
        """Follow ``network``, which has made a step."""
        steps = int(self.n_averaged)
        decay = min(self._decay, (1 + steps) / (10 + steps)) if steps else 0.0
        averaged, current = ([each.detach() for each in model.parameters()] for model in (self.module, network))
        get_ema_multi_avg_fn(decay)(averaged, current, steps)  # type: ignore[no-untyped-call]
        for buffer, now in zip(self.module.buffers(), network.buffers(), strict=True):
            buffer.copy_(now)
        self.n_averaged += 1
