"""Measure a model: make colour pictures grey, colour them as a run does, and compare with the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from colorbatch import color, metrics
from colorbatch.color import Plane
from colorbatch.colorizer import Colorizer
from colorbatch.discovery import evenly, picture_files
from colorbatch.errors import UsageError
from colorbatch.merging import merged
from colorbatch.picture import Pixels
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.training import ageing


@dataclass(frozen=True)
class Scores:
    """Means over all pictures."""

    psnr: float
    """dB, over RGB."""
    ssim: float
    ciede2000: float
    colourfulness: float


@dataclass(frozen=True)
class Evaluation:
    """A model beside the baseline "leave it grey"."""

    pictures: int
    left_out: int
    """Pictures that could not be read, or that are grey and teach nothing of colour."""
    size: int
    model: Scores
    grey: Scores
    truth_colourfulness: float


def evaluate(
    colorizer: Colorizer,
    color_dir: Path,
    *,
    size: int = 256,
    limit: int | None = None,
    aged: bool = False,
    progress: ProgressReporter | None = None,
) -> Evaluation:
    """Evaluate a model on every colour picture below ``color_dir``, each resized to ``size`` x ``size``.

    Args:
        colorizer: the opened model.
        color_dir: searched through all its subfolders.
        size: in pixels; the aspect ratio is not kept, as is usual in the literature.
        limit: use only this many pictures, spread evenly over the sorted names.
        aged: show the model the pictures as if they were old and damaged, each in its own way, the same every time;
            its colours are still laid over the undamaged luma, so that only colour is measured.
        progress: hears of each picture.

    Raises:
        UsageError: there is no picture that can be read.
        MissingExtraError: scikit-image is not installed.
        InferenceError: the model failed on a picture.

    """
    progress = progress or SilentProgress()
    paths = evenly(picture_files(color_dir), limit)
    of_model: list[tuple[float, float, float, float]] = []
    of_grey: list[tuple[float, float, float, float]] = []
    colourfulness: list[float] = []
    left_out = 0
    progress.begin(len(paths), "Evaluating")
    for path in paths:
        progress.advance()
        try:
            truth = _read(path, size)
        except Exception as error:  # noqa: BLE001 (Pillow's plugins raise whatever a damaged file makes them stumble over)
            left_out += 1
            progress.message(f"Left out {path}: {error}")
            continue
        grey = np.asarray(Image.fromarray(truth).convert("L"))
        if (truth == grey[..., None]).all():
            left_out += 1
            progress.message(f"Left out {path}: it has no colour")
            continue
        seen = _aged(color.luma_of(grey), truth, len(of_model)) if aged else grey
        result = merged(grey, colorizer.predict_chroma(seen))
        of_model.append(_score(result, truth))
        of_grey.append(_score(np.dstack([grey] * 3), truth))
        colourfulness.append(metrics.colourfulness(truth))
    progress.end()
    if not of_model:
        raise UsageError(f"none of the {len(paths)} pictures in {color_dir} can be used")
    return Evaluation(len(of_model), left_out, size, _mean(of_model), _mean(of_grey), float(np.mean(colourfulness)))


def _aged(luma: Plane, truth: Pixels, number: int) -> Plane:
    rgb = truth.astype(np.float32) / np.float32(255)
    return ageing.age(luma, rgb, np.random.default_rng(number), with_border=False)[0]


def _read(path: Path, size: int) -> Pixels:
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return np.asarray(upright.resize((size, size), Image.Resampling.LANCZOS))


def _score(result: Pixels, truth: Pixels) -> tuple[float, float, float, float]:
    return (
        metrics.psnr(result, truth),
        metrics.ssim(result, truth),
        metrics.mean_ciede2000(result, truth),
        metrics.colourfulness(result),
    )


def _mean(scores: Sequence[tuple[float, float, float, float]]) -> Scores:
    return Scores(*(float(mean) for mean in np.mean(scores, axis=0)))
