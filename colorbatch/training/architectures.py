"""The networks that can be trained and exported, by name."""

from collections.abc import Callable
from functools import partial

from colorbatch.errors import UsageError
from colorbatch.training.lite_unet import LiteUNet
from colorbatch.training.network import ColorNetwork
from colorbatch.training.unet import ColorizationUNet

ARCHITECTURES: dict[str, Callable[[], ColorNetwork]] = {
    "unet": ColorizationUNet,
    "lite0-unet": partial(LiteUNet, "lite0"),
    "lite2-unet": partial(LiteUNet, "lite2", has_hints=True),
}


def build_network(name: str) -> ColorNetwork:
    """Return a new network of the architecture called ``name``, with random weights.

    Raises:
        UsageError: no architecture has that name.
        MissingExtraError: a package that it is built from is not installed.

    """
    try:
        build = ARCHITECTURES[name]
    except KeyError:
        raise UsageError(f"no architecture {name!r}; there are: {', '.join(ARCHITECTURES)}") from None
    return build()
