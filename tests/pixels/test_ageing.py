import io

import numpy as np
import pytest
from PIL import Image

from colorbatch.pixels import ageing
from colorbatch.pixels.color import Plane, luma_of


@pytest.fixture
def rgb() -> Plane:
    """A grey slope to the right, with a red, a green and a blue square on it, ``[96, 128, 3]`` in 0..1."""
    image = np.repeat(np.tile(np.linspace(0.1, 0.9, 128), (96, 1))[..., None], 3, axis=2)
    for number in range(3):
        image[20:60, 10 + 40 * number : 35 + 40 * number] = np.eye(3)[number] * 0.8
    return image.astype(np.float32)


@pytest.fixture
def luma(rgb: Plane) -> Plane:
    return luma_of(np.round(rgb * 255).astype(np.uint8))


def test_the_same_random_numbers_age_the_same_way_and_others_another(luma: Plane, rgb: Plane) -> None:
    aged = [ageing.age(luma, rgb, np.random.default_rng(seed))[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(aged[0], aged[1])
    assert not np.array_equal(aged[0], aged[2])


def test_aged_luma_keeps_its_shape_type_and_range(luma: Plane, rgb: Plane) -> None:
    before = luma.copy()
    for seed in range(60):
        aged, colors = ageing.age(luma, rgb, np.random.default_rng(seed))
        assert aged.shape == luma.shape
        assert aged.dtype == colors.dtype == np.float32
        assert 0 <= aged.min() <= aged.max() <= 1
    np.testing.assert_array_equal(luma, before)


def test_only_a_border_changes_the_colours_and_it_is_grey(luma: Plane, rgb: Plane) -> None:
    aged, colors = ageing.border(luma, rgb, np.random.default_rng(0))
    changed = (colors != rgb).any(axis=2)
    assert 0 < changed.mean() < 0.5
    assert changed[0].all()
    assert changed[:, -1].all()
    assert not changed[48, 64]
    np.testing.assert_array_equal(colors[changed], np.repeat(aged[changed][:, None], 3, axis=1))
    np.testing.assert_array_equal(aged[~changed], luma[~changed])
    for seed in range(60):
        np.testing.assert_array_equal(ageing.age(luma, rgb, np.random.default_rng(seed), with_border=False)[1], rgb)


def test_red_blind_film_sees_red_darker_and_blue_lighter_and_grey_the_same(luma: Plane, rgb: Plane) -> None:
    for seed in range(20):
        seen = luma + ageing.orthochromatic(rgb, np.random.default_rng(seed))
        assert seen[40, 20] < luma[40, 20], "red"
        assert seen[40, 100] > luma[40, 100], "blue"
        np.testing.assert_allclose(seen[80], luma[80], atol=0.003)  # rgb is rounded to 8 bits for luma


def test_fading_narrows_the_range_and_keeps_the_order(luma: Plane) -> None:
    faded = ageing.fade(luma, np.random.default_rng(3))
    assert faded.max() - faded.min() < luma.max() - luma.min()
    assert faded.min() >= 0
    assert (np.argsort(faded[80]) == np.argsort(luma[80])).all()


def test_gamma_keeps_black_and_white() -> None:
    ends = np.array([[0.0, 1.0, 0.5]], np.float32)
    curved = [ageing.gamma(ends, np.random.default_rng(seed))[0] for seed in range(20)]
    assert all(each[0] == 0 and each[1] == 1 for each in curved)
    middles = [each[2] for each in curved]
    assert min(middles) < 0.45
    assert max(middles) > 0.55


def test_grain_is_noise_around_the_picture() -> None:
    flat = np.full((128, 128), 0.5, np.float32)
    for seed in range(10):
        noise = ageing.grain(flat, np.random.default_rng(seed)) - flat
        assert abs(noise.mean()) < 0.01
        assert 0.005 < noise.std() < 0.07


def test_blur_takes_away_detail_and_keeps_the_mean() -> None:
    checks = (np.indices((64, 64)).sum(axis=0) % 2).astype(np.float32)
    blurred = ageing.blur(checks, np.random.default_rng(0))
    assert blurred.std() < 0.7 * checks.std()
    assert blurred.mean() == pytest.approx(0.5, abs=0.02)


def test_jpeg_is_what_a_jpeg_of_low_quality_gives(luma: Plane) -> None:
    levels = Image.fromarray(np.round(luma * 255).astype(np.uint8))
    candidates = []
    for quality in range(12, 55):
        buffer = io.BytesIO()
        levels.save(buffer, "JPEG", quality=quality)
        candidates.append(np.asarray(Image.open(buffer), np.float32) / 255)
    found = ageing.jpeg(luma, np.random.default_rng(0))
    assert any(np.array_equal(found, each) for each in candidates)


@pytest.mark.parametrize("effect", [ageing.scratches, ageing.stains])
def test_damage_is_local(luma: Plane, effect: ageing.Effect) -> None:
    shares = [(np.abs(effect(luma, np.random.default_rng(seed)) - luma) > 0.02).mean() for seed in range(20)]
    assert max(shares) > 0.005
    assert np.median(shares) < 0.4


def test_a_picture_of_one_pixel_ages_too() -> None:
    for seed in range(60):
        aged, _ = ageing.age(np.ones((1, 1), np.float32), np.ones((1, 1, 3), np.float32), np.random.default_rng(seed))
        assert aged.shape == (1, 1)
