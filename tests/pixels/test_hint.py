"""Hints as planes for a network."""

import time

import numpy as np
import pytest
from PIL import Image

from colorbatch.pixels.color import Plane
from colorbatch.pixels.hint import Hint, hint_planes, kept_local


@pytest.mark.parametrize("color", ["#ff0000", "#00FF00", "#7a8b3c", "#808080", "#000000"])
def test_its_chroma_is_that_of_its_colour(color: str) -> None:
    """Pillow converts to the YCbCr of JFIF, in whole levels with an offset of 128."""
    _, blue, red = Image.new("RGB", (1, 1), color).convert("YCbCr").getpixel((0, 0))  # type: ignore[misc]
    found = np.array(Hint(0, 0, color).chroma) * 255
    assert np.abs(found - (np.array((blue, red)) - 128)).max() <= 1


def test_it_is_a_disc_around_its_centre() -> None:
    """A radius of 0.1 of a short side of 40 pixels is 4 pixels; the centre of a pixel is half a pixel from its edge."""
    planes = hint_planes([Hint(0.25, 0.5, "#ff0000", 0.1)], (40, 80))
    rows, columns = np.nonzero(planes[2])
    expected = {
        (row, column)
        for row in range(40)
        for column in range(80)
        if (row + 0.5 - 20) ** 2 + (column + 0.5 - 20) ** 2 <= 16
    }
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == expected
    inside = planes[2] == 1
    assert np.allclose(planes[:2, inside].T, Hint(0, 0, "#ff0000").chroma)
    assert not planes[:, ~inside].any()


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_the_smallest_one_is_one_place_even_at_a_corner(x: float, y: float) -> None:
    planes = hint_planes([Hint(x, y, "#ff0000", 1e-6)], (31, 33))
    assert planes[2].sum() == 1
    assert planes[2, min(int(y * 31), 30), min(int(x * 33), 32)] == 1


def test_of_two_that_overlap_the_later_one_counts() -> None:
    planes = hint_planes([Hint(0.5, 0.5, "#ff0000", 0.3), Hint(0.5, 0.5, "#0000ff", 0.1)], (20, 20))
    assert planes[0, 10, 10] == pytest.approx(0.5)  # blue has the largest Cb
    assert planes[1, 10, 5] == pytest.approx(0.5)  # red has the largest Cr


def test_colours_that_are_weakened_later_are_given_stronger() -> None:
    full, half = (hint_planes([Hint(0.5, 0.5, "#7a8b3c")], (9, 9), strength)[:2, 4, 4] for strength in (1.0, 0.5))
    assert np.allclose(half * 0.5, full)
    assert np.abs(hint_planes([Hint(0.5, 0.5, "#ff0000")], (9, 9), 0.0)).max() <= 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ((-0.1, 0.5, "#ffffff"), "x"),
        ((0.5, 1.1, "#ffffff"), "y"),
        ((float("nan"), 0.5, "#ffffff"), "x"),
        ((0.5, 0.5, "red"), "color"),
        ((0.5, 0.5, "#ffff"), "color"),
        ((0.5, 0.5, "#ffffff\n"), "color"),
        ((0.5, 0.5, "#ffffff", 0.0), "radius"),
        ((0.5, 0.5, "#ffffff", 0.6), "radius"),
    ],
)
def test_what_is_out_of_range_is_refused_with_the_name_of_the_field(values: tuple[object, ...], field: str) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: expected"):
        Hint(*values)  # type: ignore[arg-type]


def test_what_a_hint_changes_on_other_things_is_left_out() -> None:
    """The hint's own thing changes by 0.1; all else by 0.005, a twentieth of that; a thing beside it by a third."""
    plain = np.full((2, 30, 40), 0.02, np.float32)
    change = np.full((30, 40), 0.005, np.float32)
    change[5:25, 5:25] = 0.1
    change[5:25, 30:] = 0.033
    hinted = plain.copy()
    hinted[1] += change
    hint = Hint(15 / 40, 0.5, "#ff0000")
    nothing, grey = np.zeros((30, 40), np.float32), np.full((30, 40), 0.5, np.float32)
    found = kept_local(plain, hinted, [hint], nothing, grey) - plain
    assert np.allclose(found[1, 5:25, 5:25], 0.1)
    assert not found[:, :5].any()
    assert 0.01 < found[1, 10, 35] < 0.033
    assert not found[0].any()


def test_the_place_of_a_hint_keeps_all_of_its_change_whatever_others_do() -> None:
    plain, hinted = np.zeros((2, 20, 20), np.float32), np.zeros((2, 20, 20), np.float32)
    hinted[0, :, :10], hinted[0, :, 10:] = 0.3, 0.004
    hints = [Hint(0.45, 0.5, "#0000ff"), Hint(0.55, 0.5, "#888890")]
    weights = hint_planes(hints, (20, 20))[2]
    found = kept_local(plain, hinted, hints, weights, np.zeros((20, 20), np.float32))
    assert np.allclose(found[:, weights == 1], hinted[:, weights == 1])


def test_what_looks_unlike_the_place_of_every_hint_changes_less() -> None:
    """A dress, a wall that is lighter by 0.5, hair of another colour, and a second dress: the network changes all."""
    plain, luma = np.zeros((2, 20, 80), np.float32), np.full((20, 80), 0.3, np.float32)
    luma[:, 20:40] = 0.8
    plain[1, :, 40:60] = 30 / 255
    hinted = plain.copy()
    hinted[0] += 0.1
    nothing = np.zeros((20, 80), np.float32)
    dress, wall, hair, second = (slice(start, start + 20) for start in (0, 20, 40, 60))

    def changes(*hints: Hint) -> list[float]:
        found = kept_local(plain, hinted, hints, nothing, luma) - plain
        assert not found[1].any()
        return [float(found[0, :, each].mean()) for each in (dress, wall, hair, second)]

    one = Hint(0.125, 0.5, "#0000ff")
    unlike = 0.1 * (0.15 + 0.85 * np.exp(-2))  # by twice the spread
    assert changes(one) == pytest.approx([0.1, unlike, unlike, 0.1], rel=1e-3)
    assert changes(one, Hint(0.375, 0.5, "#0000ff")) == pytest.approx([0.1, 0.1, unlike, 0.1], abs=2e-3)


def test_hints_that_change_nothing_are_borne() -> None:
    plain = np.full((2, 8, 8), 0.1, np.float32)
    nothing = np.zeros((8, 8), np.float32)
    found = kept_local(plain, plain, [Hint(0.5, 0.5, "#ff0000")], nothing, nothing)
    assert np.array_equal(found, plain)


def changes(height: int, width: int, *, seed: int = 0) -> tuple[Plane, Plane]:
    """Return chroma without and with hints: smooth fields."""
    rng = np.random.default_rng(seed)
    fields = rng.normal(0, 0.1, (4, 9, 13)).astype(np.float32)
    large = [np.asarray(Image.fromarray(each).resize((width, height), Image.Resampling.BICUBIC)) for each in fields]
    return np.stack(large[:2]), np.stack(large[2:])


def scattered(count: int) -> list[Hint]:
    """Return hints, one of them in a corner and one at an edge."""
    places = np.random.default_rng(1).random((count, 2))
    places[0], places[1, 0] = (1, 1), 0
    return [Hint(float(x), float(y), "#a03060") for x, y in places]


@pytest.mark.parametrize(("height", "width", "tolerance"), [(300, 500, 0.001), (700, 1100, 0.02), (1300, 600, 0.02)])
def test_the_change_is_kept_as_by_the_formula_whatever_the_size(height: int, width: int, tolerance: float) -> None:
    """Expected: the formula for each pixel; the tolerance is in levels of 8 bits."""
    plain, hinted = changes(height, width)
    hints = scattered(6)
    y, x = np.mgrid[:height, :width] + 0.5
    amount = np.hypot(*(hinted - plain)).astype(np.float64)
    near, at, apart = [], [], []
    luma = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)
    for each in hints:
        squared = ((x - each.x * width) ** 2 + (y - each.y * height) ** 2) / min(height, width) ** 2
        near.append(1 / (squared + 0.02**2))
        row, column = np.unravel_index(squared.argmin(), squared.shape)
        at.append(amount[row, column])
        colors = ((plain - plain[:, row, column, None, None]) / (15 / 255)) ** 2
        apart.append(((luma - luma[row, column]) / 0.25) ** 2 + colors.sum(0))
    expected = np.tensordot(at, near, 1) / np.sum(near, axis=0)
    share = np.clip((amount / expected - 0.1) / 0.4, 0, 1)
    kept = plain + (hinted - plain) * share**2 * (3 - 2 * share) * (0.15 + 0.85 * np.exp(-np.min(apart, axis=0) / 2))
    found = kept_local(plain, hinted, hints, np.zeros((height, width), np.float32), luma)
    assert np.abs(found - kept).max() * 255 < tolerance


def test_many_hints_take_hardly_longer_than_a_few_on_a_large_picture() -> None:
    plain, hinted = changes(1500, 2000)

    def seconds(count: int) -> float:
        started = time.process_time()
        planes = hint_planes(scattered(count), (1500, 2000))
        kept_local(plain, hinted, scattered(count), planes[2], plain[0])
        return time.process_time() - started

    assert min(seconds(32) for _ in range(2)) < 4 * min(seconds(2) for _ in range(2))
