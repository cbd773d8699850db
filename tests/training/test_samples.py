import numpy as np
import pytest
import torch
from helpers import MakePictures
from PIL import Image

from colorbatch.progress import SilentProgress
from colorbatch.training.dataset import ColorizationDataset, find_pairs
from colorbatch.training.samples import Samples, Variation, random_part


@pytest.fixture
def dataset(make_pictures: MakePictures) -> ColorizationDataset:
    folder = make_pictures("color", "a.png", "b.png")
    Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 60).convert("RGB").save(folder / "c.png")
    return ColorizationDataset(find_pairs(folder), 96, SilentProgress(), keep_aspect=True)


def test_pictures_are_kept_with_their_aspect_ratio_and_never_enlarged(dataset: ColorizationDataset) -> None:
    assert [tuple(dataset[index][1].shape) for index in range(3)] == [(3, 66, 72), (3, 66, 72), (3, 96, 144)]


def test_without_variation_the_whole_picture_is_shown(dataset: ColorizationDataset) -> None:
    luma, rgb = Samples(dataset, [2], 64)[0]
    assert luma.shape == (1, 64, 64)
    assert rgb.shape == (3, 64, 64)
    expected = Image.fromarray(dataset[2][1].permute(1, 2, 0).numpy()).resize((64, 64), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(rgb.permute(1, 2, 0).numpy() * 255, np.asarray(expected), atol=1.5)


def test_stream_and_index_alone_decide_how_a_picture_varies(dataset: ColorizationDataset) -> None:
    def shown(indices: list[int], *stream: int) -> list[torch.Tensor]:
        samples = Samples(dataset, indices, 64, Variation(crop=True, aged=0.5), stream)
        return [samples[position][0] for position in range(len(indices))]

    first, second = shown([2, 0], 7, 1)
    assert torch.equal(shown([0, 2], 7, 1)[1], first)
    assert torch.equal(shown([0], 7, 1)[0], second)
    assert not torch.equal(shown([2], 7, 2)[0], first)


def test_luma_and_colour_are_the_same_part(dataset: ColorizationDataset) -> None:
    samples = Samples(dataset, [2] * 3, 64, Variation(crop=True), (1,))
    for position in range(3):
        luma, rgb = samples[position]
        weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        assert (luma - (rgb * weights).sum(dim=0)).abs().max() < 0.01


def test_parts_are_of_all_sizes_and_half_of_them_mirrored() -> None:
    ramp = torch.arange(120.0).repeat(80, 1)[None]
    random = np.random.default_rng(0)
    parts = [random_part(ramp, ramp, random)[0] for _ in range(300)]
    areas = np.array([part[0].numel() / ramp.numel() for part in parts])
    assert 0.33 < areas.min() < 0.4
    assert 0.8 < areas.max() < 0.89  # all of a 3:2 picture but what a 4:3 part leaves out
    mirrored = np.mean([bool(part[0, 0, 0] > part[0, 0, -1]) for part in parts])
    assert 0.4 < mirrored < 0.6


def test_aged_is_a_share(dataset: ColorizationDataset) -> None:
    whole = Samples(dataset, [2], 64)[0][0]
    changed = [
        not torch.equal(Samples(dataset, [2], 64, Variation(aged=0.3), (number,))[0][0], whole) for number in range(100)
    ]
    assert 0.15 < np.mean(changed) < 0.45
