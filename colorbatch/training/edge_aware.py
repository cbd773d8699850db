"""Edge-aware smoothing: one colour for each object, and less of it where the network contradicts itself.

Chroma is averaged along rows and columns by the domain transform of Gastal and Oliveira 2011, "Domain Transform for
Edge-Aware Image and Video Processing", with an exponential kernel: the distance of two places grows with the changes of
luma between them. The kernel is a matrix for each row and column, and all are multiplied at once; rows are short, since
chroma is small.
"""

import math

import torch
from torch import Tensor, nn

RANGE = 20.0
"""Standard deviation of the smoothing, in places of the map, where luma does not change."""
EDGE = 3 / 255
"""Difference of luma between neighbours from which on it is an edge."""
_MAX_EXPONENT = 6.0
"""Limit of the exponent of an edge, which then separates two places as much as 400 steps without one."""
_MAX_DISTANCE = 30.0
"""Limit of distances, in reaches: the weight is then 1e-13, and never a denormal number, which is slow."""
_FAINT = 6 / 255
"""Length of chroma below which all colours have about the same weight."""
_EPSILON = 1e-6


def smoothed(chroma: Tensor, variance: Tensor, luma: Tensor) -> Tensor:
    """Return chroma averaged within regions that edges of luma enclose, weaker where a region has several colours.

    The weight of a place grows with its colourfulness and certainty. With x the mean of a region and D the variance of
    the chroma in it, the result is x |x|^2 / (|x|^2 + D): a region of one colour keeps it, one of contradicting
    colours becomes greyer.

    Args:
        chroma: ``[N, 2, h, w]``.
        variance: variance of the distribution whose mean each chroma is, ``[N, 1, h, w]``.
        luma: ``[N, 1, h, w]`` in 0..1.

    """
    squared = _squared_length(chroma)
    weight = (squared + _FAINT**2) / (variance + _EPSILON)
    sums = _average(torch.cat([weight, weight * chroma, weight * squared], dim=1), luma)
    total = sums[:, :1]
    mean = sums[:, 1:3] / total
    length = _squared_length(mean)
    spread = (sums[:, 3:] / total - length).clamp(min=0)
    shrunk: Tensor = mean * (length / (length + spread + _EPSILON))
    return shrunk


def _squared_length(chroma: Tensor) -> Tensor:
    return chroma.square().sum(dim=1, keepdim=True)


def _average(planes: Tensor, luma: Tensor) -> Tensor:
    """Return ``planes`` ``[N, C, h, w]`` averaged twice along rows and columns, the second time with half the reach."""
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

    The unit is the reach of the first round: sqrt(3) * 2 / sqrt(15) of ``RANGE``, by equation 14 of the paper.
    """
    step = luma[..., 1:] - luma[..., :-1]
    distance = torch.exp((step / (2 * EDGE)).square().clamp(max=_MAX_EXPONENT))
    reach = RANGE * math.sqrt(3) * 2 / math.sqrt(15)
    place = nn.functional.pad((distance / reach).cumsum(dim=-1), (1, 0))
    return (place[..., :, None] - place[..., None, :]).abs().neg().clamp(min=-_MAX_DISTANCE)
