"""Measure a model: convert colour pictures to grey, colour them as in a run, and compare with the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from colorbatch.errors import UsageError
from colorbatch.formats.kinds import evenly, picture_files
from colorbatch.inference import contract
from colorbatch.inference.colorizer import Colorizer
from colorbatch.inference.reliability import Reliability, ReliabilityTable
from colorbatch.pixels import ageing, color, metrics, resize
from colorbatch.pixels.chroma import merged
from colorbatch.pixels.color import Plane
from colorbatch.pixels.metrics import Blotches
from colorbatch.pixels.picture import Pixels
from colorbatch.progress import ProgressReporter, SilentProgress

HINT_SIDE = 5
"""Side of a true hint in pixels, at the size at which the network sees a picture."""


@dataclass(frozen=True)
class Scores:
    """Means over all pictures."""

    psnr: float
    """dB, over RGB."""
    ssim: float
    ciede2000: float
    colourfulness: float
    colourfulness_difference: float
    """Mean absolute difference from the colourfulness of the truth, picture by picture."""
    blotches: float
    """Root mean square departure of chroma from the mean of its flat region, in levels of 8 bits."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model, and of the baseline "leave it grey"."""

    pictures: int
    left_out: int
    """Number of pictures that were excluded: unreadable, or grey and therefore no truth for colours."""
    size: int
    model: Scores
    grey: Scores
    truth_colourfulness: float
    truth_blotches: float
    expected_ciede2000: float | None
    """Mean of the model's own estimates; ``None``: it makes none."""
    reliability: Reliability | None
    """Reliability of the distribution of colours; ``None``: the model has none."""


def evaluate(
    colorizer: Colorizer,
    color_dir: Path,
    *,
    size: int = 256,
    limit: int | None = None,
    aged: bool = False,
    hints: int = 0,
    progress: ProgressReporter | None = None,
) -> Evaluation:
    """Evaluate a model on every colour picture below ``color_dir``, each resized to ``size`` x ``size``.

    Args:
        colorizer: the opened model.
        color_dir: folder of the pictures, searched recursively.
        size: side in pixels; the aspect ratio is not kept, as is usual in the literature.
        limit: maximum number of pictures, spread evenly over the sorted names.
        aged: age and damage the pictures before the model sees them, each differently, but the same every time; its
            colours are still merged with the undamaged luma, so that only colour is measured.
        hints: number of random places whose true colour the model is given, the same every time.
        progress: receives an update for each picture.

    Raises:
        UsageError: no picture can be used, or the model takes no hints.
        MissingExtraError: scikit-image is not installed.
        InferenceError: the model failed on a picture.

    """
    progress = progress or SilentProgress()
    if hints and not colorizer.session.contract.hints:
        raise UsageError(
            f"the model {colorizer.session.contract.name} does not support hints", advice="Remove --hints."
        )
    paths = evenly(picture_files(color_dir), limit)
    tally = _Tally(colorizer, aged=aged, hints=hints)
    left_out = 0
    progress.begin(len(paths), "Evaluating")
    for path in paths:
        progress.advance()
        try:
            truth = _read(path, size)
        except Exception as error:  # noqa: BLE001 (Pillow's plugins raise all kinds of exceptions for damaged files)
            left_out += 1
            progress.message(f"Skipped {path}: {error}")
            continue
        grey = np.asarray(Image.fromarray(truth).convert("L"))
        if (truth == grey[..., None]).all():
            left_out += 1
            progress.message(f"Skipped {path}: it has no colour")
            continue
        tally.add(truth, grey)
    progress.end()
    if not tally.of_model.pictures:
        raise UsageError(f"none of the {len(paths)} pictures in {color_dir} can be used")
    return Evaluation(
        pictures=len(tally.of_model.pictures),
        left_out=left_out,
        size=size,
        model=tally.of_model.scores(),
        grey=tally.of_grey.scores(),
        truth_colourfulness=float(np.mean(tally.truth_colourfulness)),
        truth_blotches=metrics.blotchiness(tally.truth_blotches),
        expected_ciede2000=float(np.mean(tally.expected)) if tally.expected else None,
        reliability=None if tally.reliability is None else tally.reliability.table(),
    )


@dataclass
class _ScoreTally:
    """Scores of all pictures so far."""

    pictures: list[tuple[float, ...]] = field(default_factory=list)
    blotches: list[Blotches] = field(default_factory=list)

    def add(self, result: Pixels, truth: Pixels, colourfulness: float, regions: NDArray[np.int32]) -> None:
        """Compare a picture with the truth, whose ``colourfulness`` and flat ``regions`` are given."""
        found = metrics.colourfulness(result)
        self.pictures.append(
            (
                metrics.psnr(result, truth),
                metrics.ssim(result, truth),
                metrics.mean_ciede2000(result, truth),
                found,
                abs(found - colourfulness),
            )
        )
        self.blotches.append(metrics.blotches(result, regions))

    def scores(self) -> Scores:
        """Return the means."""
        psnr, ssim, ciede2000, colourfulness, difference = (float(mean) for mean in np.mean(self.pictures, axis=0))
        return Scores(psnr, ssim, ciede2000, colourfulness, difference, metrics.blotchiness(self.blotches))


@dataclass
class _Tally:
    """Results of all pictures so far."""

    colorizer: Colorizer
    aged: bool
    hints: int
    of_model: _ScoreTally = field(default_factory=_ScoreTally)
    of_grey: _ScoreTally = field(default_factory=_ScoreTally)
    truth_colourfulness: list[float] = field(default_factory=list)
    truth_blotches: list[Blotches] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    reliability: ReliabilityTable | None = None

    def __post_init__(self) -> None:
        colors = self.colorizer.session.contract.colors
        if colors is not None:
            self.reliability = ReliabilityTable(colors)

    def add(self, truth: Pixels, grey: NDArray[np.uint8]) -> None:
        """Colour a picture and compare it with the truth."""
        number = len(self.of_model.pictures)
        seen = _aged(color.luma_of(grey), truth, number) if self.aged else grey
        size = self.colorizer.network_size(*grey.shape)
        small = color.chroma_of(resize.shrink_levels(truth, size, Image.Resampling.BOX))
        placed = _true_hints(small, self.hints, np.random.default_rng(number)) if self.hints else None
        found = self.colorizer.predict_pixels(seen, hints=placed)
        regions = metrics.flat_regions(grey)
        colourfulness = metrics.colourfulness(truth)
        self.of_model.add(merged(grey, found.chroma), truth, colourfulness, regions)
        self.of_grey.add(np.dstack([grey] * 3), truth, colourfulness, regions)
        self.truth_colourfulness.append(colourfulness)
        self.truth_blotches.append(metrics.blotches(truth, regions))
        if found.confidence is not None:
            self.expected.append(contract.expected_ciede2000(found.confidence))
        if self.reliability is not None:
            colors = self.colorizer.predict_colors(seen, hints=placed)
            self.reliability.add(colors, _shrunk(small, colors.shape[1:]))


def _true_hints(chroma: Plane, count: int, random: np.random.Generator) -> Plane:
    """Return hints ``[3, h, w]`` of the mean colour of ``count`` random squares of chroma ``[2, h, w]``."""
    _, height, width = chroma.shape
    hints = np.zeros((3, height, width), np.float32)
    for _ in range(count):
        top, left = (int(random.integers(0, max(1, side - HINT_SIDE + 1))) for side in (height, width))
        rows, columns = slice(top, top + HINT_SIDE), slice(left, left + HINT_SIDE)
        hints[:2, rows, columns] = chroma[:, rows, columns].mean(axis=(1, 2), keepdims=True)
        hints[2, rows, columns] = 1
    return hints


def _shrunk(chroma: Plane, size: Sequence[int]) -> Plane:
    """Return chroma ``[2, h, w]`` averaged over squares of ``COLORS_STRIDE`` pixels, as ``[2, *size]``."""
    height, width = size
    stride = contract.COLORS_STRIDE
    squares = chroma[:, : height * stride, : width * stride].reshape(2, height, stride, width, stride)
    mean: Plane = squares.mean(axis=(2, 4))
    return mean


def _aged(luma: Plane, truth: Pixels, number: int) -> Plane:
    rgb = truth.astype(np.float32) / np.float32(255)
    return ageing.age(luma, rgb, np.random.default_rng(number), with_border=False)[0]


def _read(path: Path, size: int) -> Pixels:
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return np.asarray(upright.resize((size, size), Image.Resampling.LANCZOS))
