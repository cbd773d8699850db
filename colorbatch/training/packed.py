"""Decoded pictures of different sizes in one tensor, from which batches are taken without a loop over pictures."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

BYTES_PER_PIXEL = 4
"""One byte each for luma, red, green and blue."""


class Canvas(NamedTuple):
    """Several pictures, each in the top left corner of a canvas as high and wide as the largest ones."""

    levels: Tensor
    """uint8 ``[N, H, W, 4]``: luma, red, green and blue; right of and below a picture its last pixels are repeated."""
    heights: Tensor
    """Heights of the pictures, float32 ``[N]``."""
    widths: Tensor
    """Widths of the pictures, float32 ``[N]``."""

    def to(self, device: torch.device) -> "Canvas":
        """Return the same on ``device``."""
        return Canvas(*(each.to(device, non_blocking=True) for each in self))


class PackedPictures:
    """Pictures whose pixels are stored one picture after another."""

    def __init__(self, pixels: Tensor, sizes: Tensor) -> None:
        """Store pixels, int32 ``[P]`` of four bytes each, and heights and widths, int64 ``[n, 2]`` on the host."""
        self._pixels = pixels
        self._sizes = sizes
        areas = sizes.prod(dim=1)
        self._starts = areas.cumsum(0) - areas

    @classmethod
    def taking(cls, pictures: list[Tensor]) -> "PackedPictures":
        """Pack pictures, uint8 ``[H, W, 4]`` each.

        The list is emptied meanwhile, so that hardly more memory is needed than for one copy.
        """
        sizes = torch.tensor([picture.shape[:2] for picture in pictures]).view(-1, 2)
        end = int(sizes.prod(dim=1).sum())
        pixels = torch.empty(end, dtype=torch.int32)
        while pictures:
            picture = pictures.pop().contiguous().view(torch.int32).flatten()
            pixels[end - len(picture) : end] = picture
            end -= len(picture)
        return cls(pixels, sizes)

    @property
    def bytes(self) -> int:
        """Memory that the pixels take, in bytes."""
        return len(self._pixels) * BYTES_PER_PIXEL

    def to(self, device: torch.device) -> "PackedPictures":
        """Return the same with the pixels on ``device``."""
        return PackedPictures(self._pixels.to(device), self._sizes)

    def canvas(self, places: Sequence[int]) -> Canvas:
        """Return the pictures at the indices ``places``, on the device of the pixels."""
        chosen = torch.tensor(places)
        sizes = self._sizes[chosen]
        height, width = sizes.amax(dim=0).tolist()
        device = self._pixels.device
        starts = self._starts[chosen].to(device, non_blocking=True)[:, None, None]
        heights, widths = sizes.to(device, non_blocking=True).unbind(dim=1)
        rows = torch.minimum(torch.arange(height, device=device), heights[:, None] - 1)[:, :, None]
        columns = torch.minimum(torch.arange(width, device=device), widths[:, None] - 1)[:, None, :]
        pixels = self._pixels[starts + rows * widths[:, None, None] + columns]  # [N, H, W]
        return Canvas(pixels[..., None].view(torch.uint8), heights.float(), widths.float())
