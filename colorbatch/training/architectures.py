"""The networks that can be trained and exported, by name."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from colorbatch.errors import UsageError
from colorbatch.training import unet


@dataclass(frozen=True)
class Architecture:
    """A network that maps luma ``[N, 1, H, W]`` to RGB ``[N, 3, H, W]``, both in 0..1."""

    name: str
    build: Callable[[], nn.Module]
    size_multiple: int
    """Height and width must be multiples of this."""


ARCHITECTURES = {"unet": Architecture("unet", unet.ColorizationUNet, unet.SIZE_MULTIPLE)}


def find_architecture(name: str) -> Architecture:
    """Return the architecture called ``name``.

    Raises:
        UsageError: there is none of that name.

    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise UsageError(f"no architecture {name!r}; there are: {', '.join(ARCHITECTURES)}") from None
