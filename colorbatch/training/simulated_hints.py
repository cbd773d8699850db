"""Simulated hints of a person, made from the true colours, so that a network learns to use them.

After Zhang et al. 2017, "Real-Time User-Guided Image Colorization with Learned Deep Priors", section 3.2: some small
squares, each with the mean colour around its place.
"""

import torch
from torch import Tensor, nn

from colorbatch.training.draws import Draws

MOST_PLACES = 24
LARGEST_SIDE = 9
AROUND = 5
"""Side in pixels of the square whose mean colour is that of the hint."""


def simulated_hints(chroma: Tensor, share: float, draws: Draws) -> Tensor:
    """Return hints for some of the pictures: 1 to 24 places each, few more often than many.

    The probability of a number of places is proportional to the logarithm of (number + 1) / number. Squares have sides
    of 1 to 9 pixels; where two overlap, one covers the other.

    Args:
        chroma: the truth, float32 ``[N, 2, S, S]``.
        share: share of the pictures that get hints; the others have none.
        draws: source of all random numbers.

    Returns:
        float32 ``[N, 3, S, S]``: Cb, Cr and weight, which is 1 at a hint; all 0 elsewhere.

    """
    hints = chroma.new_zeros(len(chroma), 3, *chroma.shape[2:])
    chosen = draws.some(len(chroma), share)
    if len(chosen):
        hints[chosen] = _hints(chroma[chosen], draws)
    return hints


def _hints(chroma: Tensor, draws: Draws) -> Tensor:
    """Return hints ``[n, 3, S, S]`` for every picture."""
    count, _, height, width = chroma.shape
    row = torch.floor(draws.shares(count, MOST_PLACES) * height).long()
    column = torch.floor(draws.shares(count, MOST_PLACES) * width).long()
    mean = nn.functional.avg_pool2d(chroma, AROUND, stride=1, padding=AROUND // 2, count_include_pad=False)
    colors = mean.flatten(2).gather(2, (row * width + column)[:, None].expand(-1, 2, -1))  # [n, 2, places]
    values = torch.cat([colors, torch.ones_like(colors[:, :1])], dim=1)
    values = nn.functional.pad(values, (1, 0))  # place 0 has no hint
    owner = _owners(row, column, height, width, draws)
    return values.gather(2, owner[:, None].expand(-1, 3, -1)).view(count, 3, height, width)


def _owners(row: Tensor, column: Tensor, height: int, width: int, draws: Draws) -> Tensor:
    """Return the place whose square each pixel is in, int64 ``[n, height * width]``: 1 to 24, 0 for none.

    Args:
        row: rows of the places, int64 ``[n, 24]``.
        column: columns of the places, int64 ``[n, 24]``.
        height: height of the pictures.
        width: width of the pictures.
        draws: source of the number of places and their sizes.

    """
    count = len(row)
    number = torch.arange(1, MOST_PLACES + 1, device=row.device)
    exists = number <= torch.floor((MOST_PLACES + 1) ** draws.shares(count, 1))  # [n, 24]
    side = 1 + torch.floor(draws.shares(count, MOST_PLACES) * LARGEST_SIDE).long()
    offset = torch.arange(LARGEST_SIDE, device=row.device)
    rows, columns = ((place - side // 2)[..., None] + offset for place in (row, column))  # [n, 24, 9]
    in_rows = (offset < side[..., None]) & (rows >= 0) & (rows < height) & exists[..., None]
    in_columns = (offset < side[..., None]) & (columns >= 0) & (columns < width)
    inside = in_rows[..., :, None] & in_columns[..., None, :]  # [n, 24, 9, 9]
    pixels = rows.clamp(0, height - 1)[..., :, None] * width + columns.clamp(0, width - 1)[..., None, :]
    values = number[:, None, None] * inside
    owners = torch.zeros(count, height * width, dtype=torch.long, device=row.device)
    return owners.scatter_reduce(1, pixels.flatten(1), values.flatten(1), "amax")
