import numpy as np
import torch
from torch import Tensor

from colorbatch.training.edge_aware import RANGE, smoothed

ORANGE, BLUE = (-0.1, 0.08), (0.1, -0.08)


def two_halves(left: tuple[float, float], right: tuple[float, float]) -> Tensor:
    """Chroma ``[1, 2, 12, 16]``."""
    halves = [torch.tensor(each)[:, None, None].expand(2, 12, 8) for each in (left, right)]
    return torch.cat(halves, dim=2)[None]


def certain(chroma: Tensor) -> Tensor:
    return torch.full_like(chroma[:, :1], 1e-3)


def test_an_even_colour_stays_as_it_is() -> None:
    chroma = two_halves(ORANGE, ORANGE)
    found = smoothed(chroma, certain(chroma), torch.rand(1, 1, 12, 16, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(found, chroma, atol=1e-4, rtol=0)


def test_colours_that_contradict_each_other_on_even_ground_lose_most_of_themselves() -> None:
    chroma = two_halves(ORANGE, BLUE)
    found = smoothed(chroma, certain(chroma), torch.full((1, 1, 12, 16), 0.5))
    assert found.norm() < 0.1 * chroma.norm()


def test_an_edge_of_luma_keeps_two_colours_apart() -> None:
    chroma = two_halves(ORANGE, BLUE)
    luma = torch.cat([torch.full((1, 1, 12, 8), 0.3), torch.full((1, 1, 12, 8), 0.7)], dim=3)
    torch.testing.assert_close(smoothed(chroma, certain(chroma), luma), chroma, atol=0.01, rtol=0)


def test_the_surer_of_two_colours_counts_more() -> None:
    chroma = two_halves(ORANGE, (0.0, 0.1))
    variance = certain(chroma)
    variance[..., 8:] *= 100
    found = smoothed(chroma, variance, torch.full((1, 1, 12, 16), 0.5))
    right = found[0, :, 6, 15]
    assert torch.dot(right, torch.tensor(ORANGE)) > 0.8 * right.norm() * torch.tensor(ORANGE).norm()


def test_rows_and_columns_are_treated_alike() -> None:
    random = torch.Generator().manual_seed(1)
    chroma, luma = torch.rand(2, 2, 9, 9, generator=random) - 0.5, torch.rand(2, 1, 9, 9, generator=random) * 0.02
    found = smoothed(chroma, certain(chroma), luma)
    turned = smoothed(chroma.transpose(2, 3), certain(chroma), luma.transpose(2, 3)).transpose(2, 3)
    torch.testing.assert_close(found, turned, atol=0.02, rtol=0)


def test_the_kernel_is_that_of_the_paper() -> None:
    """One row of even luma, a single colourful place: the mean is a weighted one, whose weights can be told."""
    width, at = 40, 20
    chroma = torch.full((1, 2, 1, width), 0.05)
    chroma[0, :, 0, at] = torch.tensor([0.05, -0.05])
    found = smoothed(chroma, torch.full((1, 1, 1, width), 1e9), torch.full((1, 1, 1, width), 0.5)).numpy()[0, 1, 0]
    # Gastal and Oliveira 2011, equation 14 for two iterations, in which columns of one place change nothing.
    places = np.arange(width)
    apart = np.abs(places[:, None] - places)
    weights = np.eye(width)
    for iteration in (1, 2):
        sigma = RANGE * np.sqrt(3) * 2 ** (2 - iteration) / np.sqrt(4**2 - 1)
        kernel = np.exp(-apart / sigma)
        weights = kernel / kernel.sum(axis=1, keepdims=True) @ weights
    share = weights[:, at]
    mean = np.stack([np.full(width, 0.05), 0.05 - 0.1 * share])
    length = (mean**2).sum(axis=0)
    spread = 2 * 0.05**2 - length
    np.testing.assert_allclose(found, mean[1] * length / (length + spread + 1e-6), atol=1e-5)
