"""What a network is shown of each picture: the whole, or a part of it, flipped, stretched and aged at random."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from colorbatch.training.ageing import age
from colorbatch.training.dataset import ColorizationDataset

SMALLEST_PART = 0.35
"""Of a picture's area."""
LARGEST_STRETCH = 4 / 3
"""Of the aspect ratio, either way."""
_TRIES = 10


@dataclass(frozen=True)
class Variation:
    """How pictures vary from one epoch to the next."""

    crop: bool = False
    """Show a random part of the picture, mirrored half of the time, instead of all of it."""
    aged: float = 0.0
    """Share of the pictures whose luma is aged."""


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Some pictures of a dataset, as luma float32 ``[1, side, side]`` and RGB float32 ``[3, side, side]`` in 0..1."""

    def __init__(
        self,
        dataset: ColorizationDataset,
        indices: Sequence[int],
        side: int,
        variation: Variation | None = None,
        stream: Sequence[int] = (),
    ) -> None:
        """``stream`` and a picture's index alone decide how it varies; without ``variation`` it is shown whole."""
        self.dataset = dataset
        self.indices = indices
        self.side = side
        self.variation = variation or Variation()
        self.stream = stream

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        index = self.indices[position]
        luma, rgb = (plane.to(torch.float32) / 255 for plane in self.dataset[index])
        random = np.random.default_rng([*self.stream, index])
        if self.variation.crop:
            luma, rgb = random_part(luma, rgb, random)
        luma, rgb = (_resized(plane, self.side) for plane in (luma, rgb))
        if random.random() < self.variation.aged:
            aged_luma, aged_rgb = age(luma[0].numpy(), rgb.permute(1, 2, 0).numpy(), random)
            luma, rgb = torch.from_numpy(aged_luma)[None], torch.from_numpy(aged_rgb).permute(2, 0, 1)
        return luma, rgb


def random_part(luma: Tensor, rgb: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return the same random part of both, mirrored half of the time.

    As torchvision's ``RandomResizedCrop`` chooses it, but before resizing; the random numbers are the caller's, so that
    a training that was stopped goes on bit for bit.
    """
    height, width = luma.shape[-2:]
    for _ in range(_TRIES):
        area = height * width * random.uniform(SMALLEST_PART, 1)
        stretch = math.exp(random.uniform(-math.log(LARGEST_STRETCH), math.log(LARGEST_STRETCH)))
        across, down = round(math.sqrt(area * stretch)), round(math.sqrt(area / stretch))
        if 0 < across <= width and 0 < down <= height:
            break
    else:
        across = down = min(height, width)
    top, left = random.integers(0, height - down + 1), random.integers(0, width - across + 1)
    mirrored = random.random() < 0.5
    luma, rgb = (plane[..., top : top + down, left : left + across] for plane in (luma, rgb))
    return (luma.flip(-1), rgb.flip(-1)) if mirrored else (luma, rgb)


def _resized(plane: Tensor, side: int) -> Tensor:
    if plane.shape[-2:] == (side, side):
        return plane
    return nn.functional.interpolate(plane[None], (side, side), mode="bilinear", antialias=True)[0]
