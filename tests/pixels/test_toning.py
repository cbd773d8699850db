import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from colorbatch.pixels.own_color import find_own_color
from colorbatch.pixels.toning import measure_tone, shrunk_planes

Levels = NDArray[np.uint8]
TONES = {  # Pillow's colorize draws the tone from black through the middle to white
    "sepia": ("#140a00", "#96734b", "#fff5e1"),
    "selenium": ("#0f080c", "#786973", "#f5f0f0"),
    "cyanotype": ("#050f2d", "#4678a0", "#e6f5fa"),
    "faded": ("#463228", "#a08769", "#ebdcbe"),
}


@pytest.fixture
def photograph() -> Image.Image:
    """A grey scene of soft blobs, ``600 x 400``, with grain."""
    random = np.random.default_rng(3)
    image = Image.new("L", (600, 400), 150)
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, r = random.integers(0, 600), random.integers(0, 400), random.integers(10, 90)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=int(random.integers(10, 245)))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(3)), float)
    return Image.fromarray(np.clip(soft + random.normal(0, 6, soft.shape), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("tone", TONES)
def test_a_toned_photograph_is_not_in_colour(photograph: Image.Image, tone: str) -> None:
    black, middle, white = TONES[tone]
    toned = ImageOps.colorize(photograph, black, white, middle)
    assert not find_own_color(np.asarray(toned)).is_widespread
    buffer = io.BytesIO()
    toned.save(buffer, "JPEG", quality=60)
    assert not find_own_color(np.asarray(Image.open(buffer))).is_widespread


def test_nor_is_one_whose_tone_has_faded_on_one_side(photograph: Image.Image) -> None:
    black, middle, white = TONES["sepia"]
    toned = np.asarray(ImageOps.colorize(photograph, black, white, middle), float)
    grey = np.repeat((toned @ [0.299, 0.587, 0.114])[..., None], 3, axis=2)
    share = np.linspace(0, 0.4, 600)[None, :, None]
    faded = toned * (1 - share) + grey * share
    assert not find_own_color(faded.astype(np.uint8)).is_widespread


def test_grey_is_not_in_colour_at_any_depth(photograph: Image.Image) -> None:
    grey = np.asarray(photograph)
    for pixels in (grey, np.dstack([grey] * 3), np.dstack([grey.astype(np.uint16) * 257] * 3), grey[:1, :1]):
        assert not find_own_color(pixels).is_widespread


def test_two_colours_of_one_luma_are_colour(photograph: Image.Image) -> None:
    """A red and a green of equal luma: no curve from luma to chroma gives both."""
    luma = np.asarray(photograph, float)[..., None]
    red, green = np.array([40.0, -20.4, 0.0]), np.array([-40.0, 20.4, 0.0])  # 0.299 R + 0.587 G = 0
    left = (np.arange(600) < 300)[None, :, None]
    pixels = np.clip(luma + np.where(left, red, green), 0, 255).astype(np.uint8)
    assert find_own_color(pixels).is_widespread
    assert find_own_color(pixels.astype(np.uint16) * 257).is_widespread


def test_a_hand_coloured_photograph_is_in_colour(photograph: Image.Image) -> None:
    black, middle, white = TONES["sepia"]
    toned = np.asarray(ImageOps.colorize(photograph, black, white, middle)).astype(int)
    toned[100:200, 100:250] += [30, -10, -10]  # a rosy cheek
    toned[:80] += [-30, 0, 40]  # a sky
    toned[320:, 200:] += [-20, 20, -20]  # grass
    assert find_own_color(np.clip(toned, 0, 255).astype(np.uint8)).is_widespread


def test_the_measures_of_a_picture_worked_by_hand() -> None:
    """Half of one luma is Cb +10, half Cb -10 (in levels): the mean is 0, and 10 is left, all along one line."""
    up = 128 + np.array([0.0, -0.344136 * 10, 1.772 * 10])
    down = 128 - np.array([0.0, -0.344136 * 10, 1.772 * 10])
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32], pixels[32:] = np.round(up), np.round(down)
    luma, chroma = shrunk_planes(pixels)
    found = measure_tone(luma.ravel(), chroma.reshape(2, -1))
    assert found.along == pytest.approx(10, abs=0.5)
    assert found.across == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize(
    ("cb", "expected"),
    [(4.2, (False, False)), (4.7, (False, True)), (5.4, (True, False))],  # the limits are 4.5 and 5
)
def test_a_picture_near_the_limit_is_doubtful(cb: float, expected: tuple[bool, bool]) -> None:
    """Half of one luma is Cb +x, half Cb -x (in levels): x is left, all along one line."""
    offset = np.array([0.0, -0.344136 * cb, 1.772 * cb])
    pixels = np.full((64, 64, 3), 128 * 257.0)
    pixels[:32] += offset * 257
    pixels[32:] -= offset * 257
    found = find_own_color(np.round(pixels).astype(np.uint16))
    assert (found.is_widespread, found.is_doubtful) == expected


def test_a_second_direction_of_chroma_makes_a_picture_doubtful_sooner() -> None:
    """Four quarters of one luma: Cb +2 or -2, Cr +x or -x: x across, below 1.1, up to 1.5, and beyond."""
    for cr, expected in ((1.0, (False, False)), (1.3, (False, True)), (1.7, (True, False))):
        pixels = np.full((64, 64, 3), 128 * 257.0)
        for rows, sign in ((slice(32), 1), (slice(32, 64), -1)):
            pixels[rows] += sign * np.array([0.0, -0.344136 * 2, 1.772 * 2]) * 257
        for columns, sign in ((slice(32), 1), (slice(32, 64), -1)):
            pixels[:, columns] += sign * np.array([1.402 * cr, -0.714136 * cr, 0.0]) * 257
        found = find_own_color(np.round(pixels).astype(np.uint16))
        assert (found.is_widespread, found.is_doubtful) == expected


@pytest.mark.parametrize("tone", TONES)
def test_an_evenly_toned_photograph_is_not_doubtful(photograph: Image.Image, tone: str) -> None:
    black, middle, white = TONES[tone]
    assert not find_own_color(np.asarray(ImageOps.colorize(photograph, black, white, middle))).is_doubtful
