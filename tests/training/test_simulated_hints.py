import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from colorbatch.training.draws import Draws
from colorbatch.training.simulated_hints import simulated_hints


@pytest.fixture
def chroma() -> Tensor:
    """Noise around another colour for each of 400 pictures, ``[400, 2, 64, 64]``."""
    random = torch.Generator().manual_seed(0)
    colors = torch.rand(400, 2, 1, 1, generator=random) * 0.4 + 0.05
    return colors + 0.01 * torch.randn(400, 2, 64, 64, generator=random)


def test_a_share_of_the_pictures_has_hints_and_the_others_have_none(chroma: Tensor) -> None:
    hints = simulated_hints(chroma, 0.3, Draws((1,)))
    assert hints.shape == (400, 3, 64, 64)
    hinted = (hints != 0).flatten(1).any(dim=1)
    assert hinted.sum() == 120
    assert not simulated_hints(chroma, 0, Draws((1,))).any()


def test_hints_are_squares_of_the_mean_colour_around_them(chroma: Tensor) -> None:
    hints = simulated_hints(chroma, 1, Draws((1,)))
    weight = hints[:, 2]
    assert set(np.unique(weight)) == {0, 1}
    assert not hints[:, :2][(weight == 0)[:, None].expand(-1, 2, -1, -1)].any()
    means = ndimage.uniform_filter(chroma.numpy(), (0, 0, 5, 5))
    squares, sides = 0, set()
    for each, mean in zip(hints.numpy(), means, strict=True):
        labels, _ = ndimage.label(each[2])
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            if len(np.unique(each[0][labels == number])) > 1:  # some that touch
                continue
            if min(rows.start, columns.start) < 5 or max(rows.stop, columns.stop) > 59:  # may be cut off
                continue
            squares += 1
            side = rows.stop - rows.start
            sides.add(side)
            assert columns.stop - columns.start == side
            row, column = rows.start + side // 2, columns.start + side // 2
            told = each[:2, rows, columns]
            np.testing.assert_allclose(told, np.broadcast_to(mean[:, row, column, None, None], told.shape), atol=1e-6)
    assert squares > 40
    assert sides == set(range(1, 10))


def test_few_hints_are_more_frequent_than_many(chroma: Tensor) -> None:
    """Counted by the distinct colours in a picture: the noise gives every place its own."""
    hints = simulated_hints(chroma, 1, Draws((1,)))
    counts = np.array([len(np.unique(each[0][each[2] > 0])) for each in hints.numpy()])
    assert counts.min() == 1
    assert 18 <= counts.max() <= 24
    # A log-uniform number of 1 to 24: ln 2 / ln 25 = 0.215 have one place, ln 6 / ln 25 = 0.557 at most five.
    assert np.mean(counts == 1) == pytest.approx(0.215, abs=0.07)
    assert np.mean(counts <= 5) == pytest.approx(0.557, abs=0.09)
