"""Measure how far ONNX Runtime is from PyTorch on the same luma."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import product
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from colorbatch import color, contract
from colorbatch.color import Plane
from colorbatch.contract import Parity, ParityFigure, Precision
from colorbatch.errors import ModelRefusedError
from colorbatch.job import ProviderName
from colorbatch.provider import open_inference_session
from colorbatch.training.network import ColorNetwork

if TYPE_CHECKING:
    import onnxruntime

TOLERANCES: dict[Precision, float] = {"fp32": 1e-4, "fp16-weights": 2e-3, "fp16": 2e-2, "int8": 3.0}
"""What is accepted at most. Of ``int8`` the mean difference of all coloured photographs in 8-bit levels of RGB: single
places may change their mind between two colours, and noise is nothing that it was calibrated for. Of the others the
absolute difference of any chroma, in units of chroma (1/255 is one 8-bit level)."""

VIVIDNESS_LEVELS: tuple[float | None, ...] = (0.0, 0.5, 1.0)
_SIZES = ((2, 2), (3, 5), (5, 5), (8, 6))
"""Height and width in size multiples."""
_BATCHES = (1, 2, 5)


@dataclass(frozen=True)
class Comparison:
    """PyTorch against ONNX Runtime on one input."""

    content: str
    """``pictures`` or ``noise``."""
    vividness: float | None
    """``None`` for a model without it."""
    shape: tuple[int, ...]
    """Of the input, ``(N, 1, H, W)``."""
    max_abs: float
    """Largest absolute difference of chroma."""
    mean_abs: float
    max_rgb_levels: int
    """Largest difference of the two coloured 8-bit RGB pictures."""
    mean_rgb_levels: float
    """Mean absolute difference of them."""


@dataclass(frozen=True)
class ParityReport:
    """All comparisons, and what they had to stay within."""

    comparisons: Sequence[Comparison]
    tolerance: float
    provider: str
    tolerance_of: ParityFigure = "max_abs"

    @property
    def passed(self) -> bool:
        """Whether every chroma is a number, and the figure that counts within the tolerance."""
        found = getattr(self.summary, self.tolerance_of)
        return all(math.isfinite(each.max_abs) for each in self.comparisons) and found <= self.tolerance

    @property
    def summary(self) -> Parity:
        """The worst of each figure, as the contract holds it."""
        return Parity(
            max_abs=max(each.max_abs for each in self.comparisons),
            mean_abs=max(each.mean_abs for each in self.comparisons),
            max_rgb_levels=max(each.max_rgb_levels for each in self.comparisons),
            tolerance=self.tolerance,
            tolerance_of=self.tolerance_of,
            mean_rgb_levels=fmean(each.mean_rgb_levels for each in self.comparisons if each.content == "pictures"),
        )


def measure_parity(
    network: ColorNetwork, model: bytes, precision: Precision, provider: ProviderName = "cpu"
) -> ParityReport:
    """Run both on pictures and noise, at several sizes and batches, and from careful to vivid.

    Args:
        network: in evaluation mode, on the CPU.
        model: the ONNX file made from it.
        precision: chooses the tolerance.
        provider: where ONNX Runtime runs the model.

    Raises:
        EnvironmentFailure, ModelRefusedError: as :func:`colorbatch.provider.open_inference_session`.

    """
    session, actual = open_inference_session(model, provider)
    comparisons = []
    levels = VIVIDNESS_LEVELS if network.has_vividness else (None,)
    for (content, luma), vividness in product(_inputs(network.size_multiple), levels):
        expected = _expected(network, luma, vividness)
        found = _run(session, luma, vividness)
        if found.shape != expected.shape:
            raise ModelRefusedError(f"the model gives {list(found.shape)} for {list(luma.shape)}")
        comparisons.append(_compare(content, vividness, luma, expected, found))
    return ParityReport(
        comparisons, TOLERANCES[precision], actual, "mean_rgb_levels" if precision == "int8" else "max_abs"
    )


def _expected(network: ColorNetwork, luma: Plane, vividness: float | None) -> Plane:
    with torch.inference_mode():
        level = None if vividness is None else torch.tensor(vividness)
        chroma: Plane = network.chroma(network(torch.from_numpy(luma)), level).numpy()
    return chroma


def _run(session: "onnxruntime.InferenceSession", luma: Plane, vividness: float | None) -> Plane:
    inputs = {contract.INPUT_NAME: luma}
    if vividness is not None:
        inputs[contract.VIVIDNESS_NAME] = np.array(vividness, np.float32)
    try:
        (found,) = session.run([contract.OUTPUT_NAME], inputs)
    except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
        raise ModelRefusedError(f"ONNX Runtime fails on the model: {error}") from error
    chroma: Plane = found
    return chroma


def _compare(content: str, vividness: float | None, luma: Plane, expected: Plane, found: Plane) -> Comparison:
    difference = np.abs(expected - found)
    levels = [
        np.abs(_rgb_levels(planes[0], one) - _rgb_levels(planes[0], other))
        for planes, one, other in zip(luma, expected, found, strict=True)
    ]
    return Comparison(
        content,
        vividness,
        luma.shape,
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        max_rgb_levels=max(int(each.max()) for each in levels),
        mean_rgb_levels=float(np.mean(levels)),
    )


def _rgb_levels(luma: Plane, chroma: Plane) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    return color.to_levels(color.merge(luma, color.offsets_of(chroma))).astype(np.int16)


def _inputs(size_multiple: int) -> Iterator[tuple[str, Plane]]:
    """Yield luma ``[N, 1, H, W]`` of every size and batch, from pictures and from noise."""
    pictures = [Image.open(path) for path in _picture_files()]
    random = np.random.default_rng(0)
    for down, across in _SIZES:
        height, width = down * size_multiple, across * size_multiple
        resized = [color.luma_of(np.asarray(picture.resize((width, height)))) for picture in pictures]
        for batch in _BATCHES:
            chosen = [resized[index % len(resized)] for index in range(batch)]
            yield "pictures", np.stack(chosen)[:, None]
            yield "noise", random.random((batch, 1, height, width), dtype=np.float32)


def _picture_files() -> list[str]:
    folder = resources.files("colorbatch_export") / "pictures"
    return sorted(str(file) for file in folder.iterdir() if file.name.endswith(".png"))
