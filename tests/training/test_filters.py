import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.filters import gaussian
from torch import Tensor

from colorbatch.training.filters import blurred, recompressed


@pytest.fixture
def luma() -> Tensor:
    """Detail of many sizes and some noise, ``[2, 1, 64, 64]`` in 0..1."""
    image = np.asarray(Image.effect_mandelbrot((128, 64), (-2, -1, 1, 1), 60), np.float32)
    noisy = (image + np.random.default_rng(0).normal(0, 3, image.shape)).clip(0, 255) / 255
    return torch.tensor(noisy, dtype=torch.float32).view(64, 2, 64).transpose(0, 1)[:, None]


def test_each_picture_is_blurred_by_its_own_gaussian(luma: Tensor) -> None:
    found = blurred(luma, torch.tensor([0.7, 3.0]).view(-1, 1, 1, 1))
    for plane, each, sigma in zip(luma[:, 0].numpy(), found[:, 0].numpy(), (0.7, 3.0), strict=True):
        expected = gaussian(plane, sigma, truncate=8, preserve_range=True)
        np.testing.assert_allclose(each[28:36, 28:36], expected[28:36, 28:36], atol=1e-4)  # far from the edges


def test_blur_leaves_what_is_flat_and_what_has_no_width(luma: Tensor) -> None:
    flat = torch.full((1, 1, 32, 32), 0.3)
    torch.testing.assert_close(blurred(flat, torch.full((1, 1, 1, 1), 5.0)), flat)
    torch.testing.assert_close(blurred(luma, torch.zeros(2, 1, 1, 1)), luma)


@pytest.mark.parametrize("quality", [12, 33, 54, 75, 92])
def test_recompressing_is_what_pillow_does(luma: Tensor, quality: int) -> None:
    found = recompressed(luma, torch.full((2, 1, 1, 1), float(quality)))
    for plane, each in zip(luma[:, 0], found[:, 0], strict=True):
        levels = Image.fromarray((plane * 255).round().byte().numpy())

        def difference(given: int, levels: Image.Image = levels, each: Tensor = each) -> float:
            buffer = io.BytesIO()
            levels.save(buffer, "JPEG", quality=given)
            return float(np.abs(np.asarray(Image.open(buffer), np.float32) - each.numpy() * 255).mean())

        # libjpeg computes in integers, so that a coefficient between two steps may go the other way
        assert difference(quality) < 0.5
        assert difference(quality) < 0.5 * min(difference(quality - 2), difference(quality + 2))
