"""Blur and JPEG for batches of luma, each picture with its own strength, as matrix products.

With a convolution kernel for each picture, the search for the fastest algorithm would be repeated for each number of
pictures.
"""

import math

import torch
from torch import Tensor

from colorbatch.training.planes import constant

_BLOCK = 8
_MIN_SIGMA = 0.05
_MAX_EXPONENT = 30.0
"""Exponent of the smallest weight, 1e-13: products of smaller ones are denormal numbers, which are slow."""
LUMINANCE_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Luminance quantization table of ITU-T T.81 (JPEG), table K.1."""


def blurred(planes: Tensor, sigma: Tensor) -> Tensor:
    """Return planes ``[N, 1, S, S]`` blurred by a Gaussian, which near an edge is normalised over the inside.

    Args:
        planes: planes of any range.
        sigma: standard deviation in pixels, ``[N, 1, 1, 1]``; below 0.05 nothing is blurred.

    """
    place = torch.arange(planes.shape[-1], device=planes.device, dtype=planes.dtype)
    distance = (place - place[:, None]) / sigma.clamp(min=_MIN_SIGMA)
    weights = torch.exp(-(distance.square() / 2).clamp(max=_MAX_EXPONENT))  # [N, 1, S, S]
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights @ planes @ weights.transpose(2, 3)


def recompressed(luma: Tensor, quality: Tensor) -> Tensor:
    """Return luma after compression as a grey JPEG, accurate to one or two 8-bit levels.

    The table is scaled with the quality as libjpeg does (jcparam.c, ``jpeg_quality_scaling``).

    Args:
        luma: float32 ``[N, 1, S, S]``; clipped to 0..1. S is a multiple of 8.
        quality: 1..100, ``[N, 1, 1, 1]``.

    Returns:
        float32 ``[N, 1, S, S]`` in 0..1, in steps of 1/255.

    """
    count, _, height, width = luma.shape
    quality = quality.view(-1, 1, 1, 1, 1)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).floor()
    table = constant(LUMINANCE_TABLE, luma)
    steps = ((table * scale + 50) / 100).floor().clamp(1, 255)
    levels = (luma.clamp(0, 1) * 255).round() - 128
    blocks = levels.view(count, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(2, 3)
    cosines = _cosines(luma)
    stored = (cosines @ blocks @ cosines.T / steps).round() * steps
    blocks = cosines.T @ stored @ cosines
    levels = blocks.transpose(2, 3).reshape(luma.shape).round() + 128
    return levels.clamp(0, 255) / 255


def _cosines(like: Tensor) -> Tensor:
    """Return the orthonormal matrix ``[8, 8]`` of the discrete cosine transform (ITU-T T.81, A.3.3)."""
    place = torch.arange(_BLOCK, device=like.device, dtype=like.dtype)
    matrix = torch.cos((2 * place + 1) * place[:, None] * math.pi / (2 * _BLOCK)) / 2
    return matrix * (1 - (1 - math.sqrt(0.5)) * (place[:, None] == 0))
