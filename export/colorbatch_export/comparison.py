"""Comparisons of a model with the network that it was made from, and the report on them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import fmean

import numpy as np
from PIL import Image

from colorbatch.errors import ParityError
from colorbatch.inference.contract import Parity, ParityFigure
from colorbatch.pixels import color
from colorbatch.pixels.color import Plane


@dataclass(frozen=True)
class Comparison:
    """A comparison of a network with its model in ONNX Runtime, on one input."""

    content: str
    """Kind of the input: ``pictures`` or ``noise``."""
    vividness: float | None
    """Vividness of the input; ``None`` for a model without it."""
    hinted: bool
    """Whether the input had hints."""
    shape: tuple[int, ...]
    """Shape of the input, ``(N, 1, H, W)``."""
    max_abs: float
    """Largest absolute difference of chroma."""
    mean_abs: float
    max_rgb_levels: int
    """Largest difference of the two coloured 8-bit RGB pictures."""
    mean_rgb_levels: float
    """Mean absolute difference of these pictures."""


@dataclass(frozen=True)
class ParityReport:
    """All comparisons, and the tolerance."""

    comparisons: Sequence[Comparison]
    tolerance: float
    provider: str
    tolerance_of: ParityFigure = "max_abs"
    mean_tolerance: float = math.inf
    """Maximum of ``mean_rgb_levels``, besides."""
    reference: str = "PyTorch"
    """What the model was compared with."""

    @property
    def passed(self) -> bool:
        """Whether every chroma is finite, and the figure that ``tolerance_of`` names and the mean within tolerance."""
        is_finite = all(math.isfinite(each.max_abs) for each in self.comparisons)
        return is_finite and self._is_within_tolerance and self._is_within_mean_tolerance

    @property
    def finding(self) -> str:
        """How far the two are from each other, for a message about a report that did not pass."""
        found = {
            "max_abs": f"by up to {self.summary.max_abs:.3g} of chroma",
            "max_rgb_levels": f"by up to {self.summary.max_rgb_levels} levels of RGB",
            "mean_rgb_levels": f"by {self.summary.mean_rgb_levels:.3g} levels of RGB on average",
        }
        is_mean = self._is_within_tolerance and not self._is_within_mean_tolerance
        figure, tolerance = ("mean_rgb_levels", self.mean_tolerance) if is_mean else (self.tolerance_of, self.tolerance)
        return f"{found[figure]}; the tolerance is {tolerance:.3g}"

    @property
    def _is_within_tolerance(self) -> bool:
        found: float = getattr(self.summary, self.tolerance_of)
        return found <= self.tolerance

    @property
    def _is_within_mean_tolerance(self) -> bool:
        mean = self.summary.mean_rgb_levels
        return mean is None or mean <= self.mean_tolerance

    @property
    def summary(self) -> Parity:
        """The worst of each figure, for the contract."""
        return Parity(
            max_abs=max(each.max_abs for each in self.comparisons),
            mean_abs=max(each.mean_abs for each in self.comparisons),
            max_rgb_levels=max(each.max_rgb_levels for each in self.comparisons),
            tolerance=self.tolerance,
            tolerance_of=self.tolerance_of,
            mean_rgb_levels=fmean(each.mean_rgb_levels for each in self.comparisons if each.content == "pictures"),
        )


def compare(case: tuple[str, float | None, bool], luma: Plane, expected: Plane, found: Plane) -> Comparison:
    """Return the comparison of two chromas ``[N, 2, H, W]`` of luma ``[N, 1, H, W]``; ``case`` begins its fields."""
    difference = np.abs(expected - found)
    levels = [
        np.abs(_rgb_levels(planes[0], one) - _rgb_levels(planes[0], other))
        for planes, one, other in zip(luma, expected, found, strict=True)
    ]
    return Comparison(
        *case,
        luma.shape,
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        max_rgb_levels=max(int(each.max()) for each in levels),
        mean_rgb_levels=float(np.mean(levels)),
    )


def _rgb_levels(luma: Plane, chroma: Plane) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    return color.to_levels(color.merge(luma, color.offsets_of(chroma))).astype(np.int16)


def check(report: ParityReport, on_report: Callable[[ParityReport], None] | None, subject: str) -> None:
    """Pass a report to ``on_report``.

    Raises:
        ParityError: it did not pass.

    """
    if on_report is not None:
        on_report(report)
    if not report.passed:
        raise ParityError(f"{report.reference} and ONNX Runtime disagree {report.finding}: {subject}")


def pictures(height: int, width: int) -> list[Plane]:
    """Return the luma ``[height, width]`` of five photographs, resized."""
    return [picture(index, height, width) for index in range(len(picture_files()))]


def picture(index: int, height: int, width: int) -> Plane:
    """Return the luma ``[height, width]`` of one of them."""
    return color.luma_of(np.asarray(_photographs()[index].resize((width, height))))


@cache
def _photographs() -> list[Image.Image]:
    """Return them as they are, decoded once."""
    photographs: list[Image.Image] = [Image.open(path) for path in picture_files()]
    for each in photographs:
        each.load()
    return photographs


def picture_files() -> list[str]:
    """Return the paths of these photographs."""
    folder = resources.files("colorbatch_export") / "pictures"
    return sorted(str(file) for file in folder.iterdir() if file.name.endswith(".png"))
