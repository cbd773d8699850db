"""Parts of pictures, chosen at random and resized to squares.

Resizing is linear and separable, so that it is a product with one matrix for rows and one for columns, for parts of
any place and size: one product for a whole batch.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from colorbatch.training.draws import Draws
from colorbatch.training.packed import Canvas

SMALLEST_PART = 0.35
"""Minimum area of a part, as a share of the picture's."""
LARGEST_STRETCH = 4 / 3
"""Maximum change of the aspect ratio, in either direction."""
_TRIES = 10


class Parts(NamedTuple):
    """A rectangle of each picture, in whole pixels: float32 ``[N]`` each."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    mirrored: Tensor
    """Whether the part is mirrored, bool ``[N]``."""


def whole(heights: Tensor, widths: Tensor) -> Parts:
    """Return the whole of each picture, of ``heights`` and ``widths`` float32 ``[N]``."""
    nothing = torch.zeros_like(heights)
    return Parts(nothing, nothing, heights, widths, nothing.bool())


def random_parts(heights: Tensor, widths: Tensor, draws: Draws) -> Parts:
    """Return a random part of each picture, mirrored half of the time.

    It is chosen like that of torchvision's ``RandomResizedCrop``: the first of ten rectangles that fits into the
    picture, otherwise a square.

    Args:
        heights: heights of the pictures, float32 ``[N]``.
        widths: widths of the pictures, float32 ``[N]``.
        draws: source of all random numbers.

    """
    count = len(heights)
    area = (heights * widths)[:, None] * (SMALLEST_PART + (1 - SMALLEST_PART) * draws.shares(count, _TRIES))
    stretch = torch.exp((2 * draws.shares(count, _TRIES) - 1) * math.log(LARGEST_STRETCH))
    across, down = torch.sqrt(area * stretch).round(), torch.sqrt(area / stretch).round()
    fits = (across > 0) & (across <= widths[:, None]) & (down > 0) & (down <= heights[:, None])
    first = fits.int().argmax(dim=1, keepdim=True)
    found, square = fits.any(dim=1), torch.minimum(heights, widths)
    height = torch.where(found, down.gather(1, first)[:, 0], square)
    width = torch.where(found, across.gather(1, first)[:, 0], square)
    top = torch.floor((heights - height + 1) * draws.shares(count))
    left = torch.floor((widths - width + 1) * draws.shares(count))
    return Parts(top, left, height, width, draws.shares(count) < 0.5)


def resized(canvas: Canvas, parts: Parts, side: int) -> Tensor:
    """Return the parts as squares: luma, red, green and blue, float32 ``[N, 4, side, side]`` in 0..1.

    The result is that of PyTorch's bilinear ``interpolate`` with ``antialias`` for each part alone.
    """
    count, height, width, channels = canvas.levels.shape
    rows = _weights(parts.top, parts.height, height, side)  # [N, side, H]
    columns = _weights(parts.left, parts.width, width, side)
    columns = torch.where(parts.mirrored[:, None, None], columns.flip(1), columns)
    down = rows @ canvas.levels.view(count, height, width * channels).float()  # [N, side, W * 4]
    turned = down.view(count, side, width, channels).permute(0, 3, 1, 2).reshape(count, channels * side, width)
    across = turned @ columns.transpose(1, 2)  # [N, 4 * side, side]
    return across.view(count, channels, side, side) / 255


def _weights(start: Tensor, length: Tensor, pixels: int, side: int) -> Tensor:
    """Return the weight of each of ``pixels`` pixels in each of ``side`` places, ``[N, side, pixels]``.

    Args:
        start: first pixel of each part, ``[N]``.
        length: length of each part, ``[N]``; pixels outside have no weight.
        pixels: side of the canvas.
        side: side of the square.

    """
    places, levels = (torch.arange(each, device=start.device) + 0.5 for each in (side, pixels))
    scale = (length / side)[:, None, None]
    distance = levels - start[:, None, None] - scale * places[:, None]
    weights = (1 - distance.abs() / scale.clamp(min=1)).clamp(min=0)
    within = levels - start[:, None, None]
    weights = weights * ((within > 0) & (within < length[:, None, None]))
    return weights / weights.sum(dim=2, keepdim=True)
