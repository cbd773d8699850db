"""Random numbers of a training: each use has its own stream, so that one never shifts another."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def generator(stream: Sequence[int], device: torch.device | str = "cpu") -> torch.Generator:
    """Return a random generator on ``device``, seeded by the numbers of ``stream`` alone."""
    words = np.random.SeedSequence(stream).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(words[0] >> 1))


class Draws:
    """Random numbers for the pictures of one batch, on its device.

    The number of pictures that an effect applies to is drawn on the host, so that every shape is known without waiting
    for the device; which pictures these are is drawn on the device.
    """

    def __init__(self, stream: Sequence[int], device: torch.device | str = "cpu") -> None:
        """Seed the generators; ``stream`` alone determines all numbers, for one kind of device."""
        self.device = torch.device(device)
        self._counts = np.random.default_rng(stream)
        self._generator = None if self.device.type == "meta" else generator(stream, device)  # meta has no numbers

    def shares(self, *shape: int) -> Tensor:
        """Return uniform numbers in 0..1, excluding 1, float32 of ``shape``."""
        return torch.rand(shape, generator=self._generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Return normal numbers of mean 0 and standard deviation 1, float32 of ``shape``."""
        return torch.randn(shape, generator=self._generator, device=self.device)

    def uniform(self, count: int, low: float, high: float) -> Tensor:
        """Return a number from ``low`` to ``high`` for each of ``count`` pictures, ``[count, 1, 1, 1]``."""
        return low + (high - low) * self.shares(count, 1, 1, 1)

    def integers(self, count: int, low: int, high: int) -> Tensor:
        """Return a whole number from ``low`` to ``high - 1``, float32 ``[count, 1, 1, 1]``."""
        return torch.floor(self.uniform(count, low, high))

    def chance(self, count: int, probability: float) -> Tensor:
        """Return for each of ``count`` pictures True with ``probability``, bool ``[count, 1, 1, 1]``."""
        return self.shares(count, 1, 1, 1) < probability

    def some(self, count: int, share: float) -> Tensor:
        """Return the indices of a random share of ``count`` pictures, int64 ``[share * count]``, without duplicates.

        A fraction of a picture is rounded up or down at random, so that the share is right on average even for small
        batches.
        """
        number = int(share * count + self._counts.random())
        return self.shares(count).argsort()[:number]
