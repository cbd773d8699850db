"""Luma and chroma of torch tensors, with the weights of :mod:`colorbatch.pixels.color`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colorbatch.pixels.color import CB_SCALE, CHROMA_WEIGHTS, CR_SCALE, GREEN_OF_CB, GREEN_OF_CR

RGB_OF_CHROMA = ((0.0, CR_SCALE), (GREEN_OF_CB, GREEN_OF_CR), (CB_SCALE, 0.0))
"""Change of red, green and blue per unit of Cb and Cr, ``[3, 2]``."""


def constant(values: Sequence[Any] | NDArray[np.float64], like: Tensor) -> Tensor:
    """Return numbers as a tensor of the dtype and on the device of another, without waiting for that device."""
    return torch.tensor(values, dtype=like.dtype).to(like.device, non_blocking=True)


def chroma_of(rgb: Tensor) -> Tensor:
    """Return chroma ``[N, 2, H, W]`` of RGB ``[N, 3, H, W]`` in 0..1."""
    return nn.functional.conv2d(rgb, constant(CHROMA_WEIGHTS, rgb)[:, :, None, None])


def rgb_difference(chroma: Tensor) -> Tensor:
    """Return the difference of RGB from grey, ``[N, 3, H, W]``, for chroma ``[N, 2, H, W]``."""
    return nn.functional.conv2d(chroma, constant(RGB_OF_CHROMA, chroma)[:, :, None, None])


def merge(luma: Tensor, chroma: Tensor) -> Tensor:
    """Return RGB ``[N, 3, H, W]`` of luma ``[N, 1, H, W]`` and chroma ``[N, 2, H, W]``, clipped to 0..1."""
    return torch.clamp(luma + rgb_difference(chroma), 0, 1)
