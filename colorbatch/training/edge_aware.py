"""Edge-aware smoothing: one colour for what is one thing, and less of it where the network contradicts itself.

Chroma is averaged along rows and columns by the domain transform of Gastal and Oliveira 2011, "Domain Transform for
Edge-Aware Image and Video Processing", with an exponential kernel: two places are the further apart, the more luma
changes on the way between them. The kernel is written as a matrix for each row and column, of which all are multiplied
at once; rows are as short as chroma is small.
"""

import math

import torch
from torch import Tensor, nn

RANGE = 20.0
"""Standard deviation of the smoothing, in places of the map, where luma does not change."""
EDGE = 3 / 255
"""Difference of luma between neighbours that begins to part them."""
_LARGEST_EXPONENT = 6.0
"""An edge parts two places as much as 400 steps over even ground."""
_FARTHEST = 30.0
"""Reaches; places further apart count 1e-13, and no number is so small that processors are slow with it."""
_FAINT = 6 / 255
"""Length of chroma below which all colours count the same."""
_SMALLEST = 1e-6


def smoothed(chroma: Tensor, variance: Tensor, luma: Tensor) -> Tensor:
    """Return chroma averaged within what luma shows as one thing, weaker where that has several colours.

    A place counts the more, the more colourful and the surer it is. With x the mean of a region and D the variance of
    the chroma in it, the result is x |x|^2 / (|x|^2 + D): a region of one colour keeps it, one of contradicting
    colours goes towards grey.

    Args:
        chroma: ``[N, 2, h, w]``.
        variance: of the distribution that each chroma is the mean of, ``[N, 1, h, w]``.
        luma: ``[N, 1, h, w]`` in 0..1.

    """
    squared = _squared_length(chroma)
    weight = (squared + _FAINT**2) / (variance + _SMALLEST)
    sums = _average(torch.cat([weight, weight * chroma, weight * squared], dim=1), luma)
    total = sums[:, :1]
    mean = sums[:, 1:3] / total
    length = _squared_length(mean)
    spread = (sums[:, 3:] / total - length).clamp(min=0)
    shrunk: Tensor = mean * (length / (length + spread + _SMALLEST))
    return shrunk


def _squared_length(chroma: Tensor) -> Tensor:
    return chroma.square().sum(dim=1, keepdim=True)


def _average(planes: Tensor, luma: Tensor) -> Tensor:
    """Return ``planes`` ``[N, C, h, w]`` after two rounds along rows and columns, the second with half the reach."""
    along_rows = _nearness(luma[:, 0])  # [N, h, w, w]
    along_columns = _nearness(luma[:, 0].transpose(1, 2))  # [N, w, h, h]
    x = planes.permute(0, 2, 3, 1)  # [N, h, w, C]
    for part in (1, 2):
        # The exponential, normalised: ONNX Runtime's softmax is ten times as fast as its Exp.
        rows, columns = (torch.softmax(part * nearness, dim=-1) for nearness in (along_rows, along_columns))
        x = (columns @ (rows @ x).transpose(1, 2)).transpose(1, 2)
    return x.permute(0, 3, 1, 2)


def _nearness(luma: Tensor) -> Tensor:
    """Return the negative distance of each two of the K places in a row, ``[N, rows, K, K]``.

    It is told in reaches of the first round: sqrt(3) * 2 / sqrt(15) of ``RANGE``, by equation 14 of the paper.
    """
    step = luma[..., 1:] - luma[..., :-1]
    distance = torch.exp((step / (2 * EDGE)).square().clamp(max=_LARGEST_EXPONENT))
    reach = RANGE * math.sqrt(3) * 2 / math.sqrt(15)
    place = nn.functional.pad((distance / reach).cumsum(dim=-1), (1, 0))
    return (place[..., :, None] - place[..., None, :]).abs().neg().clamp(min=-_FARTHEST)
