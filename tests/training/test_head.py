import math

import pytest
import torch
from torch import Tensor

from colorbatch.errors import UsageError
from colorbatch.training.head import BINS, BinHead
from colorbatch.training.losses import bins, nearest_bins

ORANGE, BLUE = (-0.2, 0.16), (0.2, -0.08)


def flat(chroma: tuple[float, float], height: int = 8, width: int = 8) -> Tensor:
    return torch.tensor(chroma)[:, None, None].expand(2, height, width)


@pytest.fixture
def head() -> BinHead:
    head = BinHead(4)
    head.choose_bins([flat(ORANGE), flat(ORANGE), flat(ORANGE), flat(BLUE)])
    return head


def logits_of(*shares: float) -> Tensor:
    """Logits of one place whose first bins have these shares, ``[1, BINS, 1, 1]``."""
    logits = torch.full((1, BINS, 1, 1), -50.0)
    for index, share in enumerate(shares):
        logits[0, index] = math.log(share)
    return logits


def test_bins_are_the_most_frequent_colours(head: BinHead) -> None:
    torch.testing.assert_close(head.centers[:2], torch.tensor([ORANGE, BLUE]))
    torch.testing.assert_close(head.log_prior[:2].exp(), torch.tensor([0.75, 0.25]))
    assert len({tuple(center) for center in head.centers.tolist()}) == BINS


def test_pictures_without_colour_teach_nothing() -> None:
    with pytest.raises(UsageError, match="no colour"):
        BinHead(4).choose_bins([flat((0.0, 0.0))] * 3)


def test_the_mean_weighs_the_bins(head: BinHead) -> None:
    found = head.mean(logits_of(0.25, 0.75))[0, :, 0, 0]
    torch.testing.assert_close(found, torch.tensor([0.25 * -0.2 + 0.75 * 0.2, 0.25 * 0.16 - 0.75 * 0.08]))


def test_without_vividness_the_distribution_is_only_sharpened(head: BinHead) -> None:
    uneven = logits_of(0.25, 0.75)
    raised = [share**1.5 for share in (0.25, 0.75)]  # logits times 1.5 are shares to that power
    orange, blue = (share / sum(raised) for share in raised)
    found = head.vivid(uneven, torch.tensor(0.0))
    assert found.shares[0, 0, 0, :2].tolist() == pytest.approx([orange, blue], rel=1e-4)
    expected = torch.tensor([orange * -0.2 + blue * 0.2, orange * 0.16 - blue * 0.08])
    torch.testing.assert_close(found.chroma[0, :, 0, 0], expected)


def test_the_variance_is_the_mean_squared_distance_from_the_mean(head: BinHead) -> None:
    found = head.likely(logits_of(0.25, 0.75))
    apart = (0.4**2 + 0.24**2) ** 0.5  # of orange and blue; of two values it is p (1 - p) d^2
    assert found.variance.item() == pytest.approx(0.25 * 0.75 * apart**2, rel=1e-4)
    assert head.likely(logits_of(1.0)).variance.item() == pytest.approx(0, abs=1e-6)


def test_a_sure_colour_is_as_vivid_as_it_is_and_no_more(head: BinHead) -> None:
    sure = head.vivid(logits_of(1.0), torch.tensor(1.0)).chroma[0, :, 0, 0]
    torch.testing.assert_close(sure, torch.tensor(ORANGE), atol=1e-4, rtol=0)


def test_vividness_raises_the_rare(head: BinHead) -> None:
    even = logits_of(0.5, 0.5)
    shares = [head.vivid(even, torch.tensor(level)).shares[0, 0, 0, 1].item() for level in (0.0, 0.5, 1.0)]
    assert shares[0] == pytest.approx(0.5, abs=1e-4)
    assert shares[0] < shares[1] < shares[2], "blue is rarer than orange"


def test_vividness_decides_between_two_colours(head: BinHead) -> None:
    unsure = logits_of(0.35, 0.65)
    careful, vivid = (head.vivid(unsure, torch.tensor(level)) for level in (0.0, 1.0))
    assert vivid.chroma.norm() > 1.4 * careful.chroma.norm()
    decided = vivid.shares[0, 0, 0] @ head.centers  # without what vividness raises chroma by
    torch.testing.assert_close(decided, torch.tensor(BLUE), atol=0.08, rtol=0)


def test_a_true_colour_is_shared_by_its_nearest_bins() -> None:
    centers = torch.tensor([[0.0, 0.0], [0.04, 0.0], [0.0, 0.04], [0.04, 0.04], [0.08, 0.0], [0.4, 0.4]])
    shares, nearest = nearest_bins(torch.tensor([0.01, 0.0])[None, :, None, None], centers)
    squared = [0.01**2, 0.03**2, 0.01**2 + 0.04**2, 0.03**2 + 0.04**2, 0.07**2]
    weights = [math.exp(-each / (2 * 0.02**2)) for each in squared]
    assert nearest[0, :, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert shares[0, :, 0, 0].tolist() == pytest.approx([each / sum(weights) for each in weights], rel=1e-4)


def test_the_loss_is_cross_entropy_and_log_of_the_squared_error(head: BinHead) -> None:
    network = torch.nn.Module()
    network.head = head
    rgb = torch.full((1, 3, 8, 8), 0.5)
    rgb[:, 0] += 1.402 * ORANGE[1]  # JFIF: R = Y + 1.402 Cr, and so on
    rgb[:, 1] -= 0.344136 * ORANGE[0] + 0.714136 * ORANGE[1]
    rgb[:, 2] += 1.772 * ORANGE[0]
    logits = logits_of(0.5, 0.5).expand(1, BINS, 2, 2)
    found = bins(network, logits, rgb)  # type: ignore[arg-type]
    cb, cr = 0.2, -0.12  # the mean of the two is (0, 0.04)
    squared = ((1.402 * cr) ** 2 + (0.344136 * cb + 0.714136 * cr) ** 2 + (1.772 * cb) ** 2) / 3
    shares, nearest = nearest_bins(torch.tensor(ORANGE)[None, :, None, None], head.centers)
    log_shares = torch.tensor([math.log(0.5) if index < 2 else -50.0 for index in nearest.flatten().tolist()])
    expected = -(shares.flatten() * log_shares).sum().item() + 0.5 * math.log(squared + 1e-4)
    assert found.item() == pytest.approx(expected, rel=1e-3)
