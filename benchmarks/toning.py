"""How often pictures are told apart: in colour, toned, or black and white beside something in colour.

``python benchmarks/toning.py --ordinary FOLDER --pale FOLDER``: colour photographs, and ones of very little colour.
Black-and-white and toned ones are made of the former; so are all coloured objects.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from colorbatch.pixels.own_color import OwnColor, find_own_color
from colorbatch.pixels.toning import ToneMeasure, measure_tone, shrunk_planes

Make = Callable[[Image.Image, Generator], Image.Image]

TONES = {  # black, middle and white of Pillow's colorize
    "sepia": ("#140a00", "#96734b", "#fff5e1"),
    "selenium": ("#0f080c", "#786973", "#f5f0f0"),
    "cyanotype": ("#050f2d", "#4678a0", "#e6f5fa"),
    "gold": ("#0f0a14", "#827369", "#faf5eb"),
    "faded brown": ("#463228", "#a08769", "#ebdcbe"),
}
CHART = (
    *("#735244", "#c29682", "#627a9d", "#576c43", "#8580b1", "#67bdaa", "#d67e2c", "#505ba6", "#c15a63", "#5e3c6c"),
    *("#9dbc40", "#e0a32e", "#383d96", "#469449", "#af363c", "#e7c71f", "#bb5695", "#0885a1"),
)
"""Colours of a ColorChecker (Pascale 2006, "RGB coordinates of the ColorChecker")."""
INKS = ("#c02830", "#283c9e", "#6a2f86", "#1d6b4a")
"""Red, blue, violet and green, of stamps and pens."""
SIDE = 640
"""Short side to which photographs are enlarged before something is drawn on them."""


def grey(photograph: Image.Image, random: Generator) -> Image.Image:
    """Return it in black and white."""
    return ImageOps.autocontrast(photograph.convert("L"), cutoff=random.uniform(0, 2)).convert("RGB")


def toned(photograph: Image.Image, random: Generator) -> Image.Image:
    """Return it toned, unevenly faded, stained, with colour noise, as a JPEG."""
    black, middle, white = TONES[str(random.choice(list(TONES)))]
    luma = photograph.convert("L")
    levels = np.asarray(ImageOps.colorize(luma, black, white, middle), float)
    neutral = np.repeat(np.asarray(luma, float)[..., None], 3, axis=2)
    height, width = levels.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle = random.uniform(0, 2 * np.pi)
    fading = random.uniform(0, 0.4) * (1 + np.cos(angle) * x + np.sin(angle) * y) / 2
    strength = np.clip(random.uniform(0.5, 1) - fading, 0, 1)[..., None]
    levels = neutral + (levels - neutral) * strength
    for _ in range(random.integers(0, 5)):
        place = np.hypot(x - random.uniform(-1, 1), y - random.uniform(-1, 1))
        levels -= (
            np.exp(-((place / random.uniform(0.1, 0.5)) ** 2))[..., None]
            * random.uniform(0, 40)
            * np.array([0.2, 0.6, 1])
        )
    levels += random.normal(0, random.uniform(0, 6), levels.shape)
    return as_jpeg(Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)), random)


def as_jpeg(image: Image.Image, random: Generator) -> Image.Image:
    """Return it after compression with a quality of 60 to 95."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(random.integers(60, 96)))
    return Image.open(buffer).convert("RGB")


def print_of(photograph: Image.Image, random: Generator) -> Image.Image:
    """Return a large black-and-white or toned photograph."""
    scale = SIDE / min(photograph.size)
    large = photograph.resize((round(photograph.width * scale), round(photograph.height * scale)), 3)
    return (grey if random.random() < 0.5 else toned)(large, random)


def mounted(photograph: Image.Image, random: Generator) -> Image.Image:
    """Return a photograph on a grey mount."""
    return as_jpeg(ImageOps.expand(print_of(photograph, random), 80, (128, 128, 128)), random)


def chart(share: float) -> Make:
    """Return a maker of photographs above a colour chart of this share of the height."""

    def make(photograph: Image.Image, random: Generator) -> Image.Image:
        image = print_of(photograph, random)
        high = round(image.height * share)
        level = int(random.choice([20, 128, 240]))
        sheet = Image.new("RGB", (image.width, image.height + 3 * high), (level, level, level))
        sheet.paste(image, (0, 0))
        wide = image.width * random.uniform(0.5, 0.95) / 6
        draw = ImageDraw.Draw(sheet)
        for number, color in enumerate(CHART):
            left, top = wide * (number % 6), image.height + high + high / 3 * (number // 6)
            draw.rectangle((left + 8, top, left + 8 + wide, top + high / 3), color)
        return as_jpeg(sheet, random)

    return make


def ruler(photograph: Image.Image, random: Generator) -> Image.Image:
    """Return a photograph with a yellow ruler along an edge."""
    image = print_of(photograph, random)
    draw = ImageDraw.Draw(image)
    high = round(image.height * random.uniform(0.02, 0.05))
    draw.rectangle((0, image.height - high, image.width * random.uniform(0.4, 1), image.height), "#dcb950")
    for left in range(0, image.width, 12):
        draw.line((left, image.height - high, left, image.height - high // 2), "#302010")
    return as_jpeg(image, random)


def stamp(share: float) -> Make:
    """Return a maker of photographs with a stamp whose diameter is this share of the short side."""

    def make(photograph: Image.Image, random: Generator) -> Image.Image:
        image = print_of(photograph, random)
        side = share * min(image.size)
        left, top = random.uniform(0, image.width - side), random.uniform(0, image.height - side)

        def draw_stamp(draw: ImageDraw.ImageDraw, ink: str) -> None:
            draw.ellipse((left, top, left + side, top + side * 0.8), outline=ink, width=max(3, int(side / 16)))
            draw.text((left + side * 0.2, top + side * 0.3), "ARCHIV", ink, font_size=side * 0.2)

        return as_jpeg(printed(image, draw_stamp, random), random)

    return make


def writing(photograph: Image.Image, random: Generator) -> Image.Image:
    """Return a photograph with a line of writing, or crop marks, of a pen or pencil."""
    image = print_of(photograph, random)

    def draw_lines(draw: ImageDraw.ImageDraw, ink: str) -> None:
        width = int(random.integers(2, 6))
        if random.random() < 0.5:
            x = np.linspace(0.1, random.uniform(0.4, 0.9), 120) * image.width
            y = image.height * random.uniform(0.1, 0.9) + np.cumsum(random.normal(0, 1, 120)) + 14 * np.sin(x / 5)
            draw.line([*zip(x.tolist(), y.tolist(), strict=True)], ink, width)
        else:
            box = image.width * 0.1, image.height * 0.1, image.width * 0.9, image.height * 0.85
            draw.rectangle(box, outline=ink, width=width)

    return as_jpeg(printed(image, draw_lines, random), random)


def printed(
    image: Image.Image, draw_with: Callable[[ImageDraw.ImageDraw, str], None], random: Generator
) -> Image.Image:
    """Return the image with something drawn on it in ink, through which it shows."""
    sheet = Image.new("RGB", image.size, "white")
    draw_with(ImageDraw.Draw(sheet), str(random.choice(INKS)))
    return ImageChops.multiply(image, sheet.filter(ImageFilter.GaussianBlur(0.7)))


def spotlit(share: float) -> Make:
    """Return a maker of colour photographs in which all but an ellipse of this share of the area is grey."""

    def make(photograph: Image.Image, random: Generator) -> Image.Image:
        mask = Image.new("L", photograph.size)
        half = [side * np.sqrt(share / np.pi) for side in photograph.size]
        x, y = (random.uniform(0.35, 0.65) * side for side in photograph.size)
        ImageDraw.Draw(mask).ellipse((x - half[0], y - half[1], x + half[0], y + half[1]), 255)
        plain = ImageOps.autocontrast(photograph.convert("L")).filter(ImageFilter.GaussianBlur(6)).convert("RGB")
        return Image.composite(photograph, plain, mask.filter(ImageFilter.GaussianBlur(2)))

    return make


def as_it_is(photograph: Image.Image, random: Generator) -> Image.Image:
    """Return it unchanged."""
    del random
    return photograph


KINDS: dict[str, Make] = {
    "as it is": as_it_is,
    "toned": toned,
    "large, grey or toned": lambda photograph, random: as_jpeg(print_of(photograph, random), random),
    "on a grey mount": mounted,
    **{f"chart of {share:.0%} of the height": chart(share) for share in (0.02, 0.04, 0.08)},
    "ruler": ruler,
    **{f"stamp of {share:.0%} of the side": stamp(share) for share in (0.12, 0.25, 0.4)},
    "pen or pencil": writing,
    **{f"colour in {share:.0%} of the area": spotlit(share) for share in (0.05, 0.1, 0.2, 0.3)},
}


def examine(kind: str, numbered: tuple[int, Path]) -> tuple[ToneMeasure, OwnColor]:
    """Return the measure of tone, and the colours found, of one photograph made into a kind."""
    number, path = numbered
    with Image.open(path) as image:
        pixels = np.asarray(KINDS[kind](image.convert("RGB"), np.random.default_rng(number)))
    luma, chroma = shrunk_planes(pixels)
    return measure_tone(luma.ravel(), chroma.reshape(2, -1)), find_own_color(pixels)


def paths_in(folder: Path, limit: int) -> list[Path]:
    """Return some files of a folder, spread evenly."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return paths[:: max(1, len(paths) // limit)][:limit]


def rows(arguments: argparse.Namespace) -> Iterator[tuple[str, str, list[Path]]]:
    """Yield name, kind and photographs of each row of the table."""
    for folder in arguments.color:
        yield folder.name, "as it is", paths_in(folder, arguments.limit)
    made_of = arguments.color[0]
    for kind in list(KINDS)[1:]:
        yield kind, kind, paths_in(made_of, arguments.limit if kind == "toned" else arguments.limit // 4)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "color", type=Path, nargs="+", help="folders of colour photographs; the rest is made of the first"
    )
    parser.add_argument("--limit", type=int, default=800, help="photographs per row; a quarter with objects")
    arguments = parser.parse_args()
    print(f"{'':32} pictures  by tone alone  in colour  might be  objects kept")
    with Pool() as pool:
        for name, kind, paths in rows(arguments):
            found = pool.map(partial(examine, kind), enumerate(paths))
            by_tone = np.mean([measure.is_color for measure, _ in found])
            in_color = np.mean([own.is_widespread for _, own in found])
            kept = np.mean([own.objects is not None for _, own in found])
            doubtful = np.mean([own.is_doubtful for _, own in found])
            shares = f"{by_tone:14.1%} {in_color:10.1%} {doubtful:9.1%} {kept:13.1%}"
            print(f"{name:32} {len(found):8} {shares}", flush=True)


if __name__ == "__main__":
    main()
