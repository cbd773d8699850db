"""Decoded pictures of unequal sizes in one tensor, from which batches are taken without a step for each picture."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

BYTES_PER_PIXEL = 4
"""Luma, red, green and blue."""


class Canvas(NamedTuple):
    """Some pictures, each in the top left corner of a sheet as large as the largest of them."""

    levels: Tensor
    """uint8 ``[N, H, W, 4]``: luma, red, green and blue; right of and below a picture its last pixels are repeated."""
    heights: Tensor
    """float32 ``[N]``."""
    widths: Tensor
    """float32 ``[N]``."""

    def to(self, device: torch.device) -> "Canvas":
        """Return the same on ``device``."""
        return Canvas(*(each.to(device, non_blocking=True) for each in self))


class PackedPictures:
    """Pictures whose pixels lie one after the other."""

    def __init__(self, pixels: Tensor, sizes: Tensor) -> None:
        """Take int32 ``[P]``, four bytes for each pixel, and heights and widths, int64 ``[n, 2]`` on the host."""
        self._pixels = pixels
        self._sizes = sizes
        areas = sizes.prod(dim=1)
        self._starts = areas.cumsum(0) - areas

    @classmethod
    def taking(cls, pictures: list[Tensor]) -> "PackedPictures":
        """Pack pictures, uint8 ``[H, W, 4]`` each.

        The list is emptied on the way, so that little more memory is needed than for one copy.
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
        """How many bytes of memory the pixels take."""
        return len(self._pixels) * BYTES_PER_PIXEL

    def to(self, device: torch.device) -> "PackedPictures":
        """Return the same with the pixels on ``device``."""
        return PackedPictures(self._pixels.to(device), self._sizes)

    def canvas(self, places: Sequence[int]) -> Canvas:
        """Return the pictures at ``places``, on the device of the pixels."""
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
