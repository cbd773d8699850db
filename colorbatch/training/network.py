"""The interface of all networks that can be trained."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from colorbatch.training.config import LossName


class Decoded(NamedTuple):
    """The outputs of a model; see the contract."""

    chroma: Tensor
    """Chroma, ``[N, 2, H, W]`` in -0.5..0.5."""
    confidence: Tensor | None = None
    """Confidence, ``[N]`` in 0..1; ``None``: the network predicts none."""
    colors: Tensor | None = None
    """Probability of each bin, ``[N, B, H / 4, W / 4]``; ``None``: the network has no bins."""


class ColorNetwork(nn.Module, ABC):
    """A network from luma to a prediction of its own kind, and from that to chroma.

    Calling the network returns the input of its loss: RGB, or the logits of a distribution of colours. ``chroma`` is
    used to measure a training, ``decode`` for the outputs of a model.
    """

    size_multiple: ClassVar[int]
    """Number that height and width of the input must be multiples of."""
    losses: ClassVar[tuple[LossName, ...]]
    """Losses that it can be trained with; the first is the default."""
    has_vividness: ClassVar[bool] = False
    """Whether ``decode`` uses the vividness."""
    has_hints: bool = False
    """Whether ``forward`` and ``decode`` use hints."""

    @property
    def bins(self) -> Tensor | None:
        """Cb and Cr of each bin of the distribution, ``[B, 2]``; ``None``: the network predicts none."""
        return None

    @abstractmethod
    def forward(self, luma: Tensor, hints: Tensor | None = None) -> Tensor:
        """Predict from luma ``[N, 1, H, W]`` in 0..1.

        Args:
            luma: luma of the pictures.
            hints: ``[N, 3, H, W]``: Cb, Cr and weight in 0..1; ``None`` has the same effect as zeros. Only for a
                network that has hints.

        """

    @abstractmethod
    def chroma(self, prediction: Tensor) -> Tensor:
        """Return chroma ``[N, 2, H, W]`` in -0.5..0.5 with the least squared error, to measure a training.

        Args:
            prediction: result of calling the network.

        """

    def decode(
        self,
        prediction: Tensor,
        luma: Tensor,  # noqa: ARG002 (subclasses use it)
        vividness: Tensor | None = None,  # noqa: ARG002
        hints: Tensor | None = None,  # noqa: ARG002
    ) -> Decoded:
        """Return the outputs of a model.

        Args:
            prediction: result of calling the network with ``luma`` and ``hints``.
            luma: ``[N, 1, H, W]`` in 0..1.
            vividness: scalar in 0..1, for a network that has it.
            hints: as for :meth:`forward`.

        """
        return Decoded(self.chroma(prediction))

    def start(self, chromas: Iterable[Tensor]) -> None:
        """Initialize the network for a training beyond random weights, if it needs that.

        Args:
            chromas: chroma ``[2, H, W]`` of pictures to train on.

        Raises:
            MissingExtraError: a package with pretrained weights is not installed.
            UsageError: the pictures are unsuitable.

        """

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that ``start`` sets; a training may freeze them or train them slowly."""
        return []
