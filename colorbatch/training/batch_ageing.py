"""Effects of age, old film and old cameras, like :mod:`colorbatch.pixels.ageing`, for batches on a device.

Every effect takes luma float32 ``[N, 1, S, S]`` in 0..1 and random numbers, changes each of the N pictures differently,
and returns luma; values may leave 0..1 until :func:`age` clips them. Nothing here waits for the device. Names, shares
and ranges are those of the other module, with whose results tests compare these.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from colorbatch.pixels import ageing
from colorbatch.pixels.ageing import BORDER_SHARE, ORTHOCHROMATIC_SHARE, REFERENCE_SIDE
from colorbatch.pixels.color import LUMA_WEIGHTS
from colorbatch.training.draws import Draws
from colorbatch.training.filters import blurred, recompressed
from colorbatch.training.planes import constant

Effect = Callable[[Tensor, Draws], Tensor]

_MAX_LINES, _MAX_SPECKS, _MAX_STAINS = 4, 11, 3


def age(luma: Tensor, rgb: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Age every picture by a few random effects.

    Args:
        luma: ``[N, 1, S, S]`` in 0..1, S a multiple of 8.
        rgb: the same pictures in colour, ``[N, 3, S, S]`` in 0..1; what a red-blind film would see is computed from it.
        draws: source of all random numbers.

    Returns:
        The aged luma in 0..1, and RGB, unchanged except for borders, which are grey as those of paper prints.

    """
    luma, rgb, count = luma.clone(), rgb.clone(), len(luma)
    chosen = draws.some(count, ORTHOCHROMATIC_SHARE)
    luma[chosen] += orthochromatic(rgb[chosen], draws)
    for effect, share in EFFECTS:
        apply_to(draws.some(count, share), effect, luma, draws)
    luma = luma.clamp(0, 1)
    chosen = draws.some(count, BORDER_SHARE)
    luma[chosen], rgb[chosen] = border(luma[chosen], rgb[chosen], draws)
    return luma, rgb


def apply_to(chosen: Tensor, effect: Effect, luma: Tensor, draws: Draws) -> None:
    """Apply an effect in place to the pictures of ``luma`` with the indices ``chosen``, int64 ``[n]``."""
    if len(chosen):
        luma[chosen] = effect(luma[chosen], draws)


def orthochromatic(rgb: Tensor, draws: Draws) -> Tensor:
    """Return the change of luma, ``[N, 1, S, S]``, by a film that is nearly blind to red."""
    count = len(rgb)
    red, blue = draws.uniform(count, 0, 0.15), draws.uniform(count, 0.3, 0.6)
    weights = torch.cat([red, 1 - red - blue, blue], dim=1) - constant(LUMA_WEIGHTS, rgb).view(1, 3, 1, 1)
    return (rgb * weights * draws.uniform(count, 0.5, 1)).sum(dim=1, keepdim=True)


def gamma(luma: Tensor, draws: Draws) -> Tensor:
    """Make the print lighter or darker."""
    exponent = torch.exp(draws.uniform(len(luma), math.log(0.7), math.log(1.45)))
    return torch.pow(luma.clamp(0, 1), exponent)


def fade(luma: Tensor, draws: Draws) -> Tensor:
    """Raise the blacks and dull the whites."""
    black, white = draws.uniform(len(luma), 0, 0.28), draws.uniform(len(luma), 0.7, 1)
    return luma * (white - black) + black


def contrast(luma: Tensor, draws: Draws) -> Tensor:
    """Raise the contrast, as a hard copy does: details in blacks and whites are lost."""
    return (luma - draws.uniform(len(luma), 0.4, 0.6)) * draws.uniform(len(luma), 1.1, 1.6) + 0.5


def uneven_light(luma: Tensor, draws: Draws) -> Tensor:
    """Darken towards one side, or towards the corners."""
    count, side = len(luma), luma.shape[-1]
    across = torch.linspace(-1, 1, side, device=luma.device)
    down = across[:, None]
    angle = draws.uniform(count, 0, 2 * math.pi)
    to_side = (torch.cos(angle) * across + torch.sin(angle) * down) / 2
    to_corners = -(across**2 + down**2) / 2
    shape = torch.where(draws.chance(count, 0.5), to_side, to_corners)
    return luma * (1 + draws.uniform(count, 0.1, 0.4) * shape)


def blur(luma: Tensor, draws: Draws) -> Tensor:
    """Blur slightly, as if out of focus."""
    return blurred(luma, draws.uniform(len(luma), 0.4, 1.4) * scale(luma))


def grain(luma: Tensor, draws: Draws) -> Tensor:
    """Add the grain of the film, fine or coarse, strongest in the middle tones."""
    count = len(luma)
    fine = draws.normal(*luma.shape)
    coarse = blurred(fine, draws.uniform(count, 0.4, 0.9) * scale(luma))
    coarse = coarse * (0.7 / (coarse.std(dim=(1, 2, 3), keepdim=True) + 1e-6))
    noise = torch.where(draws.chance(count, 0.4), coarse, fine)
    clipped = luma.clamp(0, 1)
    return luma + noise * draws.uniform(count, 0.01, 0.06) * (0.4 + 2.4 * clipped * (1 - clipped))


def jpeg(luma: Tensor, draws: Draws) -> Tensor:
    """Add the block artefacts of a strongly compressed JPEG."""
    return recompressed(luma, draws.integers(len(luma), 12, 55))


def scratches(luma: Tensor, draws: Draws) -> Tensor:
    """Draw thin lines and specks of dust, light or dark."""
    count, side = len(luma), luma.shape[-1]
    across = torch.arange(side, device=luma.device) + 0.5
    down = across[:, None]
    mask = torch.zeros_like(luma)
    width = max(1, round(scale(luma)))
    lines = draws.integers(count, 1, _MAX_LINES + 1)
    for number in range(_MAX_LINES):
        x, y = across - draws.uniform(count, 0, side), down - draws.uniform(count, 0, side)
        angle = math.pi / 2 + 0.35 * draws.normal(count, 1, 1, 1)
        along = x * torch.cos(angle) + y * torch.sin(angle)
        beyond = along - torch.minimum(along.clamp(min=0), draws.uniform(count, 0.15, 1.2) * side)
        beside = y * torch.cos(angle) - x * torch.sin(angle)
        mask = _drawn(mask, torch.hypot(beyond, beside) - width / 2, number < lines, draws)
    specks = draws.integers(count, 0, _MAX_SPECKS + 1)
    for number in range(_MAX_SPECKS):
        x, y = across - draws.uniform(count, 0, side), down - draws.uniform(count, 0, side)
        radius = draws.uniform(count, 0.3, 1.6) * scale(luma)
        mask = _drawn(mask, torch.hypot(x, y) - radius - 0.5, number < specks, draws)  # with its edge, as in Pillow
    return luma + mask * (draws.chance(count, 0.6).float() - luma)


def stains(luma: Tensor, draws: Draws) -> Tensor:
    """Lighten or darken some soft patches."""
    count, side = len(luma), luma.shape[-1]
    across = torch.arange(side, device=luma.device) + 0.5
    down = across[:, None]
    mask = torch.zeros_like(luma)
    patches = draws.integers(count, 1, _MAX_STAINS + 1)
    for number in range(_MAX_STAINS):
        x, y = across - draws.uniform(count, 0, side), down - draws.uniform(count, 0, side)
        wide, high = (draws.uniform(count, 0.04, 0.25) * side + 0.5 for _ in range(2))
        within = ((x / wide).square() + (y / high).square() <= 1) & (number < patches)
        mask = torch.where(within, draws.uniform(count, 60 / 255, 200 / 255), mask)
    soft = blurred(mask, draws.uniform(count, 1, 6) * scale(luma))
    strength = 0.15 + 0.1 * draws.chance(count, 0.5)
    return luma + soft * torch.where(draws.chance(count, 0.5), strength, -strength)


def border(luma: Tensor, rgb: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Add a border of bare or black paper, which has no colour."""
    count, side = len(luma), luma.shape[-1]
    place = torch.arange(side, device=luma.device)
    tone = torch.where(draws.chance(count, 0.7), draws.uniform(count, 0.8, 1), draws.uniform(count, 0, 0.15))
    top, bottom, left, right = ((draws.uniform(count, 0.015, 0.1) * side).round() for _ in range(4))
    inside = (place >= left) & (place < side - right) & (place[:, None] >= top) & (place[:, None] < side - bottom)
    paper = (tone + 0.01 * draws.normal(*luma.shape)).clamp(0, 1)
    return torch.where(inside, luma, paper), torch.where(inside, rgb, paper)


def scale(luma: Tensor) -> float:
    """Return the ratio of the side to ``REFERENCE_SIDE``, for which widths are given."""
    return luma.shape[-1] / REFERENCE_SIDE


_BATCH_EFFECTS: dict[ageing.Effect, Effect] = {
    ageing.uneven_light: uneven_light,
    ageing.blur: blur,
    ageing.gamma: gamma,
    ageing.contrast: contrast,
    ageing.fade: fade,
    ageing.stains: stains,
    ageing.grain: grain,
    ageing.scratches: scratches,
    ageing.jpeg: jpeg,
}
EFFECTS = tuple((_BATCH_EFFECTS[effect], share) for effect, share in ageing.EFFECTS)
"""Effects in the order in which they are applied, each with its share of the aged pictures."""


def _drawn(mask: Tensor, distance: Tensor, exists: Tensor, draws: Draws) -> Tensor:
    """Return ``mask`` with one more shape if it exists; ``distance`` to its edge is in pixels, negative inside."""
    strength = draws.uniform(len(mask), 90 / 255, 1) * exists
    return torch.maximum(mask, (distance <= 0) * strength)
