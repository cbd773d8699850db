import numpy as np
import torch

from colorbatch.training.draws import Draws


def test_the_stream_alone_decides_the_numbers() -> None:
    def numbers(*stream: int) -> torch.Tensor:
        draws = Draws(stream)
        return torch.cat([draws.some(10, 0.5).float(), draws.shares(5), draws.normal(5)])

    assert torch.equal(numbers(1, 2), numbers(1, 2))
    assert not torch.equal(numbers(1, 2)[-10:], numbers(1, 3)[-10:])
    assert not torch.equal(numbers(1, 2)[-10:], numbers(2, 2)[-10:])


def test_numbers_fill_their_range_evenly() -> None:
    draws = Draws((1,))
    values = draws.uniform(20_000, -1, 3)
    assert values.shape == (20_000, 1, 1, 1)
    shares, _ = np.histogram(values, bins=4, range=(-1, 3))
    np.testing.assert_allclose(shares / 20_000, 0.25, atol=0.015)  # five standard deviations
    whole, counts = np.unique(draws.integers(20_000, 2, 6), return_counts=True)
    assert whole.tolist() == [2, 3, 4, 5]
    np.testing.assert_allclose(counts / 20_000, 0.25, atol=0.015)


def test_nothing_befalls_a_picture_twice_and_everybody_is_as_likely() -> None:
    draws = Draws((1,))
    chosen = [draws.some(8, 0.25) for _ in range(4000)]
    assert all(len(each) == len(set(each.tolist())) == 2 for each in chosen)
    counts = np.bincount(torch.cat(chosen))
    np.testing.assert_allclose(counts / 4000, 0.25, atol=0.035)
    assert len(draws.some(8, 0)) == 0
    assert sorted(draws.some(8, 1).tolist()) == list(range(8))


def test_a_share_is_right_in_the_mean_of_batches_too_small_for_it() -> None:
    draws = Draws((1,))
    numbers = [len(draws.some(3, 0.1)) for _ in range(4000)]
    assert set(numbers) == {0, 1}
    assert abs(np.mean(numbers) - 0.3) < 0.036
