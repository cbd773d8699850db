import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorbatch import resize


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (3000, 4000, (160, 213)),  # the short side becomes the working size
        (4000, 3000, (213, 160)),
        (50, 50, (160, 160)),  # small pictures are enlarged
        (1, 1, (160, 160)),
        (2000, 30000, (160, 2400)),  # a panorama goes in tiles
        (3, 5000, (3, 5000)),  # nothing is won by enlarging it
        (1, 300, (4, 1280)),
        (100, 200, (160, 320)),
        (1, 10**6, (1, 10240)),
    ],
)
def test_network_size(height: int, width: int, size: tuple[int, int]) -> None:
    assert resize.network_size(height, width, 160) == size


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 33))
def test_padding_repeats_the_edge_up_to_a_multiple(height: int, width: int, multiple: int) -> None:
    plane = np.arange(height * width, dtype=np.float32).reshape(height, width)
    padded = resize.pad_to_multiple(plane, multiple)
    assert padded.shape[0] % multiple == padded.shape[1] % multiple == 0
    assert padded.shape[0] - height < multiple
    assert padded.shape[1] - width < multiple
    np.testing.assert_array_equal(padded[:height, :width], plane)
    assert (padded[height:, :width] == plane[-1]).all()
    assert (padded[:, width:] == padded[:, width - 1 : width]).all()


def test_shrunk_luma_stays_in_range() -> None:
    checkers = np.indices((64, 64)).sum(axis=0) // 8 % 2
    small = resize.shrink_luma(checkers.astype(np.float32), (23, 23))
    assert small.shape == (23, 23)
    assert small.min() >= 0
    assert small.max() <= 1
    assert small.mean() == pytest.approx(0.5, abs=0.01)


def test_enlarged_chroma_follows_a_slope() -> None:
    slope = np.linspace(-0.3, 0.3, 16, dtype=np.float32)
    chroma = np.stack([np.tile(slope, (16, 1)), np.tile(slope[:, None], (1, 16))])
    large = resize.enlarge_chroma(chroma, (160, 80))
    assert large.shape == (2, 160, 80)
    across = np.interp((np.arange(80) + 0.5) / 5 - 0.5, np.arange(16), slope)
    np.testing.assert_allclose(large[0, 80, 10:70], across[10:70], atol=1e-3)
