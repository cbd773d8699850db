"""The effects do to batches what those of ``ageing`` do to single pictures, as far as can be told of hundreds."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from colorbatch.pixels import ageing
from colorbatch.pixels.color import luma_of
from colorbatch.training import batch_ageing
from colorbatch.training.draws import Draws

COUNT = 300
SIDE = 128
Rows = NDArray[np.float64]


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Squares of colour on a grey slope with fine stripes, ``[128, 128, 3]``: smooth places, edges and detail."""
    image = np.repeat(np.tile(np.linspace(30, 220, SIDE), (SIDE, 1))[..., None], 3, axis=2)
    image[80:] += 25 * (np.indices((48, SIDE)).sum(axis=0) % 4 < 2)[..., None]
    for number in range(3):
        image[16:56, 8 + 40 * number : 36 + 40 * number] = np.eye(3)[number] * 200 + 20
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def rgb(picture: NDArray[np.uint8]) -> Tensor:
    return torch.tensor(picture / np.float32(255)).permute(2, 0, 1).repeat(COUNT, 1, 1, 1)


@pytest.fixture(scope="module")
def luma(picture: NDArray[np.uint8]) -> Tensor:
    return torch.tensor(luma_of(picture))[None, None].repeat(COUNT, 1, 1, 1)


def measured(changes: NDArray[np.float32]) -> Rows:
    """Return for changes of luma ``[n, S, S]`` of each picture: mean, strength, share touched, roughness."""
    flat = changes.reshape(len(changes), -1).astype(np.float64)
    rough = np.abs(np.diff(changes, axis=2)).mean(axis=(1, 2))
    return np.stack([flat.mean(axis=1), np.sqrt((flat**2).mean(axis=1)), (np.abs(flat) > 0.02).mean(axis=1), rough])


def assert_alike(found: Rows, expected: Rows) -> None:
    """Compare mean and spread of each measure over all pictures."""
    for name, one, other in zip(("mean", "strength", "touched", "roughness"), found, expected, strict=True):
        spread = max(one.std(), other.std())
        error = spread * (2 / COUNT) ** 0.5  # of the difference of two means
        # Four errors, a twentieth and a tenth of a level, since Pillow draws, blurs and rounds in its own way.
        assert abs(one.mean() - other.mean()) < 4 * error + 0.05 * abs(other.mean()) + 4e-4, name
        if name != "touched":  # which hangs on a threshold
            assert one.std() == pytest.approx(other.std(), rel=0.2, abs=1e-3), name


def aged_singly(effect: ageing.Effect, luma: Tensor) -> NDArray[np.float32]:
    plane = luma[0, 0].numpy()
    return np.stack([effect(plane, np.random.default_rng(seed)) - plane for seed in range(COUNT)])


def test_the_same_effects_befall_the_same_shares() -> None:
    def named(
        effects: tuple[tuple[ageing.Effect, float], ...] | tuple[tuple[batch_ageing.Effect, float], ...],
    ) -> object:
        return [(effect.__name__, share) for effect, share in effects]

    assert named(batch_ageing.EFFECTS) == named(ageing.EFFECTS)


@pytest.mark.parametrize("effect", [effect for effect, _ in batch_ageing.EFFECTS])
def test_an_effect_changes_luma_as_that_of_single_pictures(effect: batch_ageing.Effect, luma: Tensor) -> None:
    found = (effect(luma, Draws((1,))) - luma)[:, 0].numpy()
    assert_alike(measured(found), measured(aged_singly(getattr(ageing, effect.__name__), luma)))


def test_red_blind_film_is_that_of_single_pictures(rgb: Tensor) -> None:
    found = batch_ageing.orthochromatic(rgb, Draws((1,)))[:, 0].numpy()
    plane = rgb[0].permute(1, 2, 0).numpy()
    expected = [ageing.orthochromatic(plane, np.random.default_rng(seed)) for seed in range(COUNT)]
    assert_alike(measured(found), measured(np.stack(expected)))


def test_a_border_is_that_of_single_pictures_and_grey(luma: Tensor, rgb: Tensor) -> None:
    aged, colors = batch_ageing.border(luma, rgb, Draws((1,)))
    single, plane = luma[0, 0].numpy(), rgb[0].permute(1, 2, 0).numpy()
    expected = [ageing.border(single, plane, np.random.default_rng(seed))[0] - single for seed in range(COUNT)]
    assert_alike(measured((aged - luma)[:, 0].numpy()), measured(np.stack(expected)))
    changed = (aged != luma).expand(-1, 3, -1, -1)
    assert torch.equal(colors[changed], aged.expand(-1, 3, -1, -1)[changed])
    assert torch.equal(colors[:, :, 14:114, 14:114], rgb[:, :, 14:114, 14:114])  # a tenth of the side at most


def test_aged_pictures_are_those_of_single_pictures(luma: Tensor, rgb: Tensor) -> None:
    aged, colors = batch_ageing.age(luma, rgb, Draws((1,)))
    assert 0 <= aged.min() <= aged.max() <= 1
    single, plane = luma[0, 0].numpy(), rgb[0].permute(1, 2, 0).numpy()
    pairs = [ageing.age(single, plane, np.random.default_rng(seed)) for seed in range(COUNT)]
    assert_alike(measured((aged - luma)[:, 0].numpy()), measured(np.stack([pair[0] - single for pair in pairs])))
    bordered = (colors != rgb).flatten(1).any(dim=1).float().mean()
    assert bordered == pytest.approx(ageing.BORDER_SHARE, abs=0.0034)  # a fixed number of a batch, but for rounding


def test_pictures_of_a_batch_age_each_in_a_way_of_its_own(luma: Tensor, rgb: Tensor) -> None:
    few = slice(0, 40)
    before = luma[few].clone()
    first, again = (batch_ageing.age(luma[few], rgb[few], Draws((1, 2)))[0] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, batch_ageing.age(luma[few], rgb[few], Draws((1, 3)))[0])
    changed = first[(first != before).flatten(1).any(dim=1)]
    assert len(changed) > 30
    assert len(np.unique(changed.flatten(1), axis=0)) == len(changed)
    assert torch.equal(luma[few], before)
