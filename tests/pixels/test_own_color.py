"""Something in colour on or beside a black-and-white photograph, and photographs in colour."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from colorbatch.pixels.chroma import merged
from colorbatch.pixels.own_color import FINE_SIDE, find_own_color

SEPIA = ("#140a00", "#fff5e1", "#96734b")  # black, white and middle, of Pillow's colorize
PATCHES = ("#627a9d", "#d67e2c", "#383d96", "#469449", "#af363c", "#e7c71f", "#bb5695", "#0885a1")


def photograph(*, is_toned: bool = False, size: tuple[int, int] = (600, 400)) -> Image.Image:
    """Soft blobs with grain, in grey or sepia."""
    random = np.random.default_rng(3)
    image = Image.new("L", size, 150)
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, r = random.integers(0, size[0]), random.integers(0, size[1]), random.integers(10, 90)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=int(random.integers(10, 245)))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(3)), float)
    grainy = Image.fromarray(np.clip(soft + random.normal(0, 6, soft.shape), 0, 255).astype(np.uint8))
    return ImageOps.colorize(grainy, SEPIA[0], SEPIA[1], SEPIA[2]) if is_toned else grainy.convert("RGB")


def with_chart(image: Image.Image, high: int) -> Image.Image:
    sheet = Image.new("RGB", (image.width, image.height + 3 * high), (240, 240, 240))
    sheet.paste(image)
    draw = ImageDraw.Draw(sheet)
    wide = image.width // 10
    for number, color in enumerate(PATCHES):
        draw.rectangle((wide * (number + 1), image.height + high, wide * (number + 2), image.height + 2 * high), color)
    return sheet


def with_ink(image: Image.Image, ink: str) -> Image.Image:
    """Return the image with a stamp: a ring through which it shows."""
    sheet = Image.new("RGB", image.size, "white")
    ImageDraw.Draw(sheet).ellipse((40, 40, 180, 150), outline=ink, width=9)
    return ImageChops.multiply(image, sheet)


@pytest.mark.parametrize("is_toned", [False, True])
@pytest.mark.parametrize("high", [8, 16, 32])  # 2, 4 and 8 % of the height
def test_a_colour_chart_beside_a_photograph_is_an_object(high: int, is_toned: bool) -> None:  # noqa: FBT001
    found = find_own_color(np.asarray(with_chart(photograph(is_toned=is_toned), high)))
    assert not found.is_widespread
    assert found.objects is not None
    assert found.objects.shape == (400 + 3 * high, 600)
    patches = [found.objects[400 + high + high // 2, 60 * number + 90] for number in range(8)]
    assert min(patches) == 1
    assert found.objects[:390].max() == 0, "nothing of the photograph is kept"


@pytest.mark.parametrize("ink", ["#c02830", "#283c9e", "#6a2f86"])
@pytest.mark.parametrize("is_toned", [False, True])
def test_a_stamp_on_a_photograph_is_an_object(ink: str, is_toned: bool) -> None:  # noqa: FBT001
    before = photograph(is_toned=is_toned)
    stamped = np.asarray(with_ink(before, ink))
    found = find_own_color(stamped)
    assert not found.is_widespread
    assert found.objects is not None
    is_ink = np.any(stamped != np.asarray(before), axis=2)
    is_light = np.asarray(before.convert("L")) > 140  # on dark grounds ink has hardly any colour
    assert np.mean(found.objects[is_ink & is_light] > 0.9) > 0.9
    assert found.objects[200:].max() == 0


def test_a_ruler_along_the_edge_is_an_object() -> None:
    image = photograph()
    ImageDraw.Draw(image).rectangle((0, 384, 400, 400), "#dcb950")
    found = find_own_color(np.asarray(image))
    assert not found.is_widespread
    assert found.objects is not None
    assert found.objects[392, 200] == 1


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_a_coloured_thing_in_the_middle_of_a_grey_scene_is_a_colour_photograph(share: float) -> None:
    image = photograph()
    half = [side * np.sqrt(share / np.pi) for side in image.size]
    box = (300 - half[0], 200 - half[1], 300 + half[0], 200 + half[1])
    ImageDraw.Draw(image).ellipse(box, "#c83c28")
    found = find_own_color(np.asarray(image))
    assert found.is_widespread
    assert found.objects is None


@pytest.mark.parametrize("is_toned", [False, True])
def test_there_is_no_object_in_a_photograph_alone(is_toned: bool) -> None:  # noqa: FBT001
    image = photograph(is_toned=is_toned)
    for each in (image, ImageOps.expand(image, 60, (128, 128, 128)), ImageOps.expand(image, 20, (255, 255, 255))):
        found = find_own_color(np.asarray(each))
        assert found.objects is None
        assert not found.is_widespread


def test_a_stain_is_none() -> None:
    image = np.asarray(photograph(is_toned=True), float)
    y, x = np.mgrid[:400, :600]
    stain = np.exp(-(np.hypot(x - 150, y - 150) ** 2) / 60**2)[..., None]
    assert find_own_color(np.clip(image - stain * [8, 16, 24], 0, 255).astype(np.uint8)).objects is None


def test_a_chart_beside_a_colour_photograph_changes_nothing() -> None:
    image = photograph()
    colored = np.asarray(image).astype(int)
    colored[:, :300] += [60, -10, -40]
    colored[:200, 300:] += [-40, 0, 50]
    found = find_own_color(np.asarray(with_chart(Image.fromarray(np.clip(colored, 0, 255).astype(np.uint8)), 16)))
    assert found.is_widespread
    assert found.objects is None


def test_sixteen_bits_are_judged_as_eight() -> None:
    pixels = np.asarray(with_chart(photograph(), 16))
    eight, sixteen = find_own_color(pixels), find_own_color(pixels.astype(np.uint16) * 257)
    assert eight.objects is not None
    np.testing.assert_array_equal(eight.objects, sixteen.objects)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 4000)])
@pytest.mark.parametrize("level", [(90, 90, 90), (200, 30, 30)])
def test_small_and_narrow_pictures_are_judged_too(shape: tuple[int, int], level: tuple[int, ...]) -> None:
    found = find_own_color(np.full((*shape, 3), level, np.uint8))
    assert not found.is_widespread  # of one tone
    assert found.objects is None


def test_the_weights_of_a_large_picture_are_small() -> None:
    image = with_chart(photograph(), 16).resize((2400, 1792))
    found = find_own_color(np.asarray(image))
    assert found.objects is not None
    assert found.objects.shape == (FINE_SIDE, round(2400 * FINE_SIDE / 1792))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_where_the_weight_is_1_pixels_keep_their_colours_and_their_luma_everywhere(
    dtype: type[np.unsignedinteger[Any]],
) -> None:
    random = np.random.default_rng(0)
    pixels: NDArray[Any] = random.integers(0, np.iinfo(dtype).max, (60, 80, 3), dtype=dtype, endpoint=True)
    weights = np.zeros((60, 80), np.float32)
    weights[:, :30], weights[:, 30:50] = 1, np.linspace(1, 0, 20, dtype=np.float32)
    chroma = random.random((2, 4, 5), dtype=np.float32) - np.float32(0.5)
    result, without = merged(pixels, chroma, weights), merged(pixels, chroma)
    np.testing.assert_array_equal(result[:, :30], pixels[:, :30])
    np.testing.assert_array_equal(result[:, 50:], without[:, 50:])
    luma, expected = (image.astype(float) @ [0.299, 0.587, 0.114] for image in (result, pixels))
    assert np.abs(luma - expected).max() <= 1
    share = weights[:, 30:50, None]
    mean = share * pixels[:, 30:50] + (1 - share) * without[:, 30:50].astype(float)
    assert np.abs(result[:, 30:50] - mean).max() <= 1
