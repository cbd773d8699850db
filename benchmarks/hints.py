"""How well hints work: whether one wins at its place, how far it reaches, and how much it mends and spoils.

``python benchmarks/hints.py FOLDER``, of colour photographs that the model was not trained on.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colorbatch.inference.colorizer import Colorizer, open_model
from colorbatch.job import ColorOptions
from colorbatch.pixels import color, resize
from colorbatch.pixels.color import Plane
from colorbatch.pixels.hint import DEFAULT_RADIUS, Hint

NEAR = 4.0
"""Largest error, in 8-bit levels of chroma, of a hint that wins."""
OTHER = (25.0, -25.0)
"""Cb and Cr, in levels, that a hint adds to what the model chose: a colour that is plainly another."""
REACHES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Distances from a hint, as shares of the short side."""


def hex_of(chroma: NDArray[np.floating], luma: float = 0.5) -> str:
    """Return the colour of Cb and Cr, as 8-bit RGB without clipping where that is possible."""
    rgb = np.clip(luma + color.offsets_of(chroma.astype(np.float32)[:, None, None])[:, 0, 0], 0, 1)
    return "#" + "".join(f"{round(float(each) * 255):02x}" for each in rgb)


def true_hints(chroma: Plane, count: int, random: np.random.Generator) -> list[Hint]:
    """Return hints of the true colours at random places."""
    height, width = chroma.shape[1:]
    hints = []
    for x, y in random.uniform(0.03, 0.97, (count, 2)):
        row, column = int(y * height), int(x * width)
        hints.append(Hint(float(x), float(y), hex_of(chroma[:, row, column])))
    return hints


def errors_at(hints: list[Hint], chroma: Plane) -> NDArray[np.floating]:
    """Return the difference of chroma from each hint at its centre, in 8-bit levels."""
    height, width = chroma.shape[1:]
    found = np.array([chroma[:, int(each.y * height), int(each.x * width)] for each in hints])
    return np.hypot(*((found - np.array([each.chroma for each in hints])) * 255).T)


def changes_of_another(colorizer: Colorizer, grey: NDArray[np.uint8], place: tuple[float, float]) -> list[float]:
    """Return the mean change of chroma, in levels, in rings around a hint of another colour than the model's."""
    x, y = place
    before = colorizer.predict_pixels(grey).chroma
    height, width = before.shape[1:]
    wanted = before[:, int(y * height), int(x * width)] + np.array(OTHER) / 255
    found = colorizer.predict_hinted(grey, [Hint(x, y, hex_of(wanted))])
    change = np.hypot(*(found.chroma - before)) * 255
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows + 0.5 - y * height, columns + 0.5 - x * width) / min(height, width)
    rings = zip((DEFAULT_RADIUS, *REACHES), REACHES, strict=False)
    return [float(change[(distance >= low) & (distance < high)].mean()) for low, high in rings] + [
        float((change > NEAR).mean())
    ]


def effect_of_true_ones(colorizer: Colorizer, grey: NDArray[np.uint8], truth: Plane, hints: list[Hint]) -> list[float]:
    """Return what true hints do: share of places nearer to the truth, and further from it, by ``NEAR``; gain in dB."""
    before, after = colorizer.predict_pixels(grey).chroma, colorizer.predict_hinted(grey, hints).chroma
    nearer = (np.hypot(*(before - truth)) - np.hypot(*(after - truth))) * 255
    gain = 10 * np.log10(((before - truth) ** 2).mean() / ((after - truth) ** 2).mean())
    return [float((nearer > NEAR).mean()), float((nearer < -NEAR).mean()), float(gain)]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=8, help="use every Nth photograph")
    parser.add_argument("--vividness", type=float, default=None)
    arguments = parser.parse_args()
    colorizer = open_model(provider="cpu", options=ColorOptions(vividness=arguments.vividness))
    paths = sorted(path for path in arguments.folder.rglob("*") if path.is_file())[:: arguments.every]
    errors: list[NDArray[np.floating]] = []
    changes: list[list[float]] = []
    effects: dict[int, list[list[float]]] = {count: [] for count in (1, 3, 10, 30)}
    for number, path in enumerate(paths):
        with Image.open(path) as image:
            truth = np.asarray(image.convert("RGB"))
        grey = np.asarray(Image.fromarray(truth).convert("L"))
        random = np.random.default_rng(number)
        size = colorizer.network_size(*grey.shape)
        chroma = color.chroma_of(resize.shrink_levels(truth, size, Image.Resampling.BOX))
        hints = true_hints(chroma, int(random.choice([1, 3, 10, 30])), random)
        found = colorizer.predict_hinted(grey, hints)
        errors.append(errors_at(hints, found.chroma))
        changes.append(changes_of_another(colorizer, grey, (0.5, 0.5)))
        for count, found_ones in effects.items():
            found_ones.append(effect_of_true_ones(colorizer, grey, chroma, true_hints(chroma, count, random)))
    at_hints = np.concatenate(errors)
    print(f"{len(paths)} photographs, {len(at_hints)} true hints of radius {DEFAULT_RADIUS}")
    print(f"within {NEAR:g} levels at its place: {np.mean(at_hints <= NEAR):.1%}; median {np.median(at_hints):.2f}")
    *rings, share = np.array(changes).T
    print("one hint of another colour; mean change in levels, median photograph:")
    for low, high, values in zip((DEFAULT_RADIUS, *REACHES), REACHES, rings, strict=False):
        print(f"  {low:g} to {high:g} of the short side away: {np.median(values):.1f}")
    print(f"share of the picture changed by more than {NEAR:g} levels: median {np.median(share):.0%}")
    print(
        f"true hints at random places: share of the picture that comes nearer to the truth, or gets further from it, by"
        f" more than {NEAR:g} levels; gain in dB (means)"
    )
    for count, each in effects.items():
        better, worse, gain = np.mean(each, axis=0)
        print(f"  {count} hints: {better:.1%} nearer, {worse:.1%} further, {gain:+.2f} dB")


if __name__ == "__main__":
    main()
