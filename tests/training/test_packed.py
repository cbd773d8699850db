import torch
from torch import Tensor

from colorbatch.training.packed import PackedPictures


def picture(height: int, width: int, seed: int) -> Tensor:
    return torch.randint(256, (height, width, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_a_canvas_holds_each_picture_in_its_corner() -> None:
    pictures = [picture(5, 7, 0), picture(3, 4, 1), picture(6, 2, 2)]
    packed = PackedPictures.taking(list(pictures))
    canvas = packed.canvas([2, 0, 2])
    assert canvas.levels.shape == (3, 6, 7, 4)
    assert canvas.levels.dtype == torch.uint8
    assert canvas.heights.tolist() == [6, 5, 6]
    assert canvas.widths.tolist() == [2, 7, 2]
    for levels, place in zip(canvas.levels, [2, 0, 2], strict=True):
        height, width, _ = pictures[place].shape
        assert torch.equal(levels[:height, :width], pictures[place])
    assert torch.equal(canvas.levels[0, :, 2:], pictures[2][:, -1:].expand(-1, 5, -1))  # repeated, not of a neighbour
    assert packed.canvas([1]).levels.shape == (1, 3, 4, 4)


def test_packing_takes_the_pictures_away_and_counts_their_bytes() -> None:
    pictures = [picture(5, 7, 0), picture(3, 4, 1)]
    assert PackedPictures.taking(pictures).bytes == (5 * 7 + 3 * 4) * 4
    assert pictures == []
