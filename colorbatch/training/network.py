"""What every network that can be trained has in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from colorbatch.training.config import LossName


class Decoded(NamedTuple):
    """What a model answers; see the contract."""

    chroma: Tensor
    """``[N, 2, H, W]`` in -0.5..0.5."""
    confidence: Tensor | None = None
    """``[N]`` in 0..1; ``None``: the network cannot tell."""
    colors: Tensor | None = None
    """Probability of each bin, ``[N, B, H / 4, W / 4]``; ``None``: the network has no bins."""


class ColorNetwork(nn.Module, ABC):
    """Luma to a prediction of its own kind, and from that to chroma.

    Calling the network gives what its loss is computed of: RGB, or the logits of a distribution of colours. ``chroma``
    is what a training is measured by, ``decode`` what a model answers.
    """

    size_multiple: ClassVar[int]
    """Height and width of the input must be multiples of this."""
    losses: ClassVar[tuple[LossName, ...]]
    """What can be minimised; the first is the usual one."""
    has_vividness: ClassVar[bool] = False
    """Whether ``decode`` heeds the vividness."""
    has_hints: bool = False
    """Whether ``forward`` and ``decode`` heed hints."""

    @property
    def bins(self) -> Tensor | None:
        """Cb and Cr of each bin of the distribution, ``[B, 2]``; ``None``: the network predicts none."""
        return None

    @abstractmethod
    def forward(self, luma: Tensor, hints: Tensor | None = None) -> Tensor:
        """Predict from luma ``[N, 1, H, W]`` in 0..1.

        Args:
            luma: of the pictures.
            hints: ``[N, 3, H, W]``: Cb, Cr and weight in 0..1; ``None`` is the same as zeros. Only for a network that
                has hints.

        """

    @abstractmethod
    def chroma(self, prediction: Tensor) -> Tensor:
        """Return chroma ``[N, 2, H, W]`` in -0.5..0.5 with the least squared error: what a training is measured by.

        Args:
            prediction: what calling the network gave.

        """

    def decode(
        self,
        prediction: Tensor,
        luma: Tensor,  # noqa: ARG002 (others look at it)
        vividness: Tensor | None = None,  # noqa: ARG002
        hints: Tensor | None = None,  # noqa: ARG002
    ) -> Decoded:
        """Return what a model answers.

        Args:
            prediction: what calling the network with ``luma`` and ``hints`` gave.
            luma: ``[N, 1, H, W]`` in 0..1.
            vividness: scalar in 0..1, for a network that has it.
            hints: as :meth:`forward` takes them.

        """
        return Decoded(self.chroma(prediction))

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
