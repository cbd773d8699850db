"""Random numbers of a training: each use has a stream of its own, so that one never shifts another."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def generator(stream: Sequence[int], device: torch.device | str = "cpu") -> torch.Generator:
    """Return a random generator on ``device`` that the numbers of ``stream`` alone decide."""
    words = np.random.SeedSequence(stream).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(words[0] >> 1))


class Draws:
    """Random numbers for the pictures of one batch, on its device.

    How many pictures something befalls is drawn on the host, which knows every shape therefore without waiting for the
    device; which pictures these are is drawn on the device.
    """

    def __init__(self, stream: Sequence[int], device: torch.device | str = "cpu") -> None:
        """``stream`` alone decides all numbers, for one kind of device."""
        self.device = torch.device(device)
        self._counts = np.random.default_rng(stream)
        self._generator = None if self.device.type == "meta" else generator(stream, device)  # meta has no numbers

    def shares(self, *shape: int) -> Tensor:
        """Return numbers in 0..1 without 1, float32 of ``shape``."""
        return torch.rand(shape, generator=self._generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Return numbers of mean 0 and standard deviation 1, float32 of ``shape``."""
        return torch.randn(shape, generator=self._generator, device=self.device)

    def uniform(self, count: int, low: float, high: float) -> Tensor:
        """Return a number from ``low`` to ``high`` for each of ``count`` pictures, ``[count, 1, 1, 1]``."""
        return low + (high - low) * self.shares(count, 1, 1, 1)

    def integers(self, count: int, low: int, high: int) -> Tensor:
        """Return a whole number from ``low`` to ``high - 1``, float32 ``[count, 1, 1, 1]``."""
        return torch.floor(self.uniform(count, low, high))

    def chance(self, count: int, probability: float) -> Tensor:
        """Return for each of ``count`` pictures whether it has luck, bool ``[count, 1, 1, 1]``."""
        return self.shares(count, 1, 1, 1) < probability

    def some(self, count: int, share: float) -> Tensor:
        """Return which of ``count`` pictures something befalls, int64 ``[share * count]``, none of them twice.

        A fraction of a picture is rounded up or down at random, so that the share is right in the mean however small
        the batch.
        """
        number = int(share * count + self._counts.random())
        return self.shares(count).argsort()[:number]
