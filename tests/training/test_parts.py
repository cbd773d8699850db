import numpy as np
import pytest
import torch
from torch import Tensor, nn

from colorbatch.training.draws import Draws
from colorbatch.training.packed import Canvas, PackedPictures
from colorbatch.training.parts import Parts, random_parts, resized, whole

SIZES = [(66, 72), (90, 40), (128, 200)]


@pytest.fixture
def pictures() -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randint(256, (*size, 4), dtype=torch.uint8, generator=random) for size in SIZES]


@pytest.fixture
def canvas(pictures: list[Tensor]) -> Canvas:
    return PackedPictures.taking(list(pictures)).canvas(range(3))


def by_pytorch(part: Tensor, side: int) -> Tensor:
    """Resize levels ``[h, w, 4]`` as torchvision does."""
    planes = part.permute(2, 0, 1)[None].float() / 255
    return nn.functional.interpolate(planes, (side, side), mode="bilinear", antialias=True)[0]


@pytest.mark.parametrize("side", [32, 64, 160])  # smaller than all, larger than some, larger than nearly all
def test_a_part_is_resized_as_pytorch_resizes_it_alone(pictures: list[Tensor], canvas: Canvas, side: int) -> None:
    parts = Parts(
        torch.tensor([0.0, 30, 7]),
        torch.tensor([1.0, 0, 120]),
        torch.tensor([66.0, 45, 100]),
        torch.tensor([50.0, 40, 80]),
        torch.tensor([False, True, True]),
    )
    found = resized(canvas, parts, side)
    expected = [
        by_pytorch(pictures[0][:, 1:51], side),
        by_pytorch(pictures[1][30:75], side).flip(-1),
        by_pytorch(pictures[2][7:107, 120:200], side).flip(-1),
    ]
    torch.testing.assert_close(found, torch.stack(expected), atol=2e-5, rtol=0)


def test_a_whole_picture_of_the_right_size_stays_as_it_is_to_the_bit() -> None:
    levels = torch.arange(64 * 64 * 4).remainder(256).to(torch.uint8).view(64, 64, 4)
    canvas = PackedPictures.taking([levels.clone()]).canvas([0])
    found = resized(canvas, whole(canvas.heights, canvas.widths), 64)
    assert torch.equal(found[0], levels.permute(2, 0, 1) / 255)


def test_parts_lie_within_their_pictures() -> None:
    heights, widths = (torch.tensor(each, dtype=torch.float32).repeat(300) for each in zip(*SIZES, strict=True))
    parts = random_parts(heights, widths, Draws((1,)))
    for start, length, whole_length in ((parts.top, parts.height, heights), (parts.left, parts.width, widths)):
        assert (start >= 0).all()
        assert (length >= 1).all()
        assert (start + length <= whole_length).all()
        assert torch.equal(start, start.round())
        assert torch.equal(length, length.round())
        room = (whole_length - length) > 10
        places = (start / (whole_length - length))[room]
        assert places.mean() == pytest.approx(0.5, abs=0.06)
        assert places.std() == pytest.approx(12**-0.5, abs=0.04)


def test_parts_are_of_all_sizes_and_shapes_and_half_of_them_mirrored() -> None:
    parts = random_parts(torch.full((900,), 80.0), torch.full((900,), 120.0), Draws((1,)))
    areas = (parts.height * parts.width / (80 * 120)).numpy()
    assert 0.33 < areas.min() < 0.37
    assert 0.8 < areas.max() < 0.9  # all of a 3:2 picture but what a 4:3 part leaves out
    stretch = (parts.width / parts.height).numpy()
    assert 0.72 < stretch.min() < 0.8
    assert 1.28 < stretch.max() < 1.4
    assert abs(parts.mirrored.float().mean() - 0.5) < 0.07


def test_where_no_part_fits_it_is_a_square() -> None:
    parts = random_parts(torch.full((5,), 10.0), torch.full((5,), 1000.0), Draws((1,)))
    assert parts.height.tolist() == parts.width.tolist() == [10] * 5
    assert len(np.unique(parts.left)) == 5
