import pytest
import torch
from torch import Tensor

from colorbatch.training.hints import HintEncoder, pooled
from colorbatch.training.lite_unet import LiteUNet


@pytest.fixture(scope="module")
def network() -> LiteUNet:
    torch.manual_seed(5)
    network = LiteUNet("lite2", has_hints=True)
    network.head.choose_bins([torch.rand(2, 16, 16) - 0.5 for _ in range(50)])
    torch.nn.init.normal_(network.head.logits.weight, 0, 0.3)
    for layer in network.hints.out:
        torch.nn.init.normal_(layer.weight, 0, 0.3)  # type: ignore[arg-type]
    return network.eval()


def one_hint(chroma: tuple[float, float], weight: float = 1.0) -> Tensor:
    """Hints ``[1, 3, 64, 64]`` with one of 8 x 8 pixels."""
    hints = torch.zeros(1, 3, 64, 64)
    hints[0, :, 16:24, 32:40] = torch.tensor([*chroma, weight])[:, None, None]
    return hints


def test_hints_are_averaged_by_their_weight() -> None:
    hints = torch.zeros(1, 3, 4, 8)
    hints[0, :, 0, 0] = torch.tensor([0.3, -0.1, 1.0])
    hints[0, :, 3, 3] = torch.tensor([0.1, 0.1, 0.5])
    found = pooled(hints)
    # by hand: (0.3 * 1 + 0.1 * 0.5) / 1.5 and (-0.1 * 1 + 0.1 * 0.5) / 1.5
    torch.testing.assert_close(found.chroma[0, :, 0, 0], torch.tensor([0.2333, -0.0333]), atol=5e-4, rtol=0)
    assert found.share[0, 0, 0].tolist() == pytest.approx([1.5 / 16, 0])
    assert found.weight[0, 0, 0].tolist() == [1.0, 0.0]
    assert not found.chroma[0, :, 0, 1].any()


def test_without_a_hint_exactly_nothing_is_added() -> None:
    encoder = HintEncoder((8, 8, 8, 8))
    for layer in encoder.out:
        torch.nn.init.normal_(layer.weight)  # type: ignore[arg-type]
    assert not any(each.any() for each in encoder(pooled(torch.zeros(2, 3, 64, 96))))
    assert all(each.any() for each in encoder(pooled(one_hint((0.1, 0.1)))))


def test_the_maps_have_the_sizes_of_the_decoder() -> None:
    maps = HintEncoder((256, 192, 128, 96))(pooled(torch.zeros(2, 3, 64, 96)))
    assert [tuple(each.shape[1:]) for each in maps] == [(256, 2, 3), (192, 4, 6), (128, 8, 12), (96, 16, 24)]


def test_zero_hints_are_the_same_as_none_bit_for_bit(network: LiteUNet) -> None:
    luma, zeros = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 3, 64, 64)
    with torch.inference_mode():
        plain, zero = network(luma), network(luma, zeros)
        assert torch.equal(plain, zero)
        for one, other in zip(
            network.decode(plain, luma, torch.tensor(0.7)),
            network.decode(zero, luma, torch.tensor(0.7), zeros),
            strict=True,
        ):
            assert one is not None
            assert other is not None
            assert torch.equal(one, other)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_at_its_place_a_hint_is_the_colour(network: LiteUNet, level: float) -> None:
    luma, hints = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)), one_hint((0.15, -0.12))
    with torch.inference_mode():
        chroma = network.decode(network(luma, hints), luma, torch.tensor(level), hints).chroma
    torch.testing.assert_close(chroma[0, :, 20, 36], torch.tensor([0.15, -0.12]), atol=1e-3, rtol=0)


def test_confidence_is_ten_over_ten_plus_the_difference_expected() -> None:
    network = LiteUNet("lite2")
    orange, blue = torch.tensor([-0.2, 0.16]), torch.tensor([0.2, -0.08])
    network.head.choose_bins([each[:, None, None].expand(2, 8, 8) for each in (orange, blue)])
    logits = torch.full((2, 150, 8, 8), -50.0)
    logits[0, 0] = 0.0  # certain
    logits[1, :2] = 0.0  # half orange, half blue: each is half of their distance from the mean
    confidence = network.decode(logits, torch.full((2, 1, 32, 32), 0.5), torch.tensor(0.0)).confidence
    assert confidence is not None
    apart = (orange - blue).norm().item() / 2
    assert confidence.tolist() == pytest.approx([1.0, 10 / (10 + 123 * apart)], abs=0.02)
