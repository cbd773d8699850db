"""What every network that can be trained has in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from torch import Tensor, nn

from colorbatch.training.config import LossName


class ColorNetwork(nn.Module, ABC):
    """Luma to a prediction of its own kind, and from that to chroma.

    Calling the network gives what its loss is computed of: RGB, or the logits of a distribution of colours. ``chroma``
    turns that into the one thing all of them promise.
    """

    size_multiple: ClassVar[int]
    """Height and width of the input must be multiples of this."""
    losses: ClassVar[tuple[LossName, ...]]
    """What can be minimised; the first is the usual one."""
    has_vividness: ClassVar[bool] = False
    """Whether ``chroma`` heeds the vividness."""

    @abstractmethod
    def forward(self, luma: Tensor) -> Tensor:
        """Predict from luma ``[N, 1, H, W]`` in 0..1."""

    @abstractmethod
    def chroma(self, prediction: Tensor, vividness: Tensor | None = None) -> Tensor:
        """Return chroma ``[N, 2, H, W]`` in -0.5..0.5, at the size of the luma that ``prediction`` is of.

        Args:
            prediction: what calling the network gave.
            vividness: scalar in 0..1; ``None``: what the training is measured by, the mean of what the network holds
                possible.

        """

    def start(self, chromas: Iterable[Tensor]) -> None:
        """Take what a training starts from beyond random weights, if the network needs such a thing.

        Args:
            chromas: chroma ``[2, H, W]`` of pictures to train on.

        Raises:
            MissingExtraError: a package with pretrained weights is not installed.
            UsageError: the pictures do not serve.

        """

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that ``start`` fills; a training may freeze them or let them learn slowly."""
        return []
