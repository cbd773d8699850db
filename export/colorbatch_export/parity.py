"""Measure the difference between ONNX Runtime and PyTorch on the same luma."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from colorbatch.errors import ModelRefusedError
from colorbatch.inference import contract
from colorbatch.inference.contract import Precision
from colorbatch.inference.provider import open_inference_session
from colorbatch.job import ProviderName
from colorbatch.pixels.color import Plane
from colorbatch.training.network import ColorNetwork
from colorbatch_export.comparison import ParityReport, compare, pictures

if TYPE_CHECKING:
    import onnxruntime

TOLERANCES: dict[Precision, float] = {"fp32": 1e-4, "fp16-weights": 2e-3, "fp16": 2e-2, "int8": 3.0}
"""Maximum differences. For ``int8`` the mean difference of all coloured photographs in 8-bit levels of RGB: single
places may switch between two colours, and it is not calibrated for noise. For the others the absolute difference of any
chroma, in units of chroma (1/255 is one 8-bit level)."""

VIVIDNESS_LEVELS: tuple[float | None, ...] = (0.0, 0.5, 1.0)
_HINT_SIDE = 5
"""Side in pixels of the square hint in each quarter of a picture."""
_SIZES = ((2, 2), (3, 5), (5, 5), (8, 6))
"""Heights and widths in multiples of ``size_multiple``."""
_BATCHES = (1, 2, 5)


def measure_parity(
    network: ColorNetwork, model: bytes, precision: Precision, provider: ProviderName = "cpu"
) -> ParityReport:
    """Run both on pictures and noise, at several sizes, batch sizes and levels of vividness, with and without hints.

    Args:
        network: network in evaluation mode, on the CPU.
        model: content of the ONNX file made from it.
        precision: precision, which determines the tolerance.
        provider: where ONNX Runtime runs the model.

    Raises:
        EnvironmentFailure, ModelRefusedError: as :func:`colorbatch.inference.provider.open_inference_session`.

    """
    session, actual = open_inference_session(model, provider)
    comparisons = []
    levels = VIVIDNESS_LEVELS if network.has_vividness else (None,)
    for (content, luma), hinted in product(
        _inputs(network.size_multiple), (False, True) if network.has_hints else (False,)
    ):
        hints = _hints(luma.shape) if hinted else None
        for vividness, expected in zip(levels, _expected(network, luma, levels, hints), strict=True):
            found = _run(session, luma, vividness, hints)
            if found.shape != expected.shape:
                raise ModelRefusedError(f"the model gives {list(found.shape)} for {list(luma.shape)}")
            comparisons.append(compare((content, vividness, hinted), luma, expected, found))
    return ParityReport(
        comparisons, TOLERANCES[precision], actual, "mean_rgb_levels" if precision == "int8" else "max_abs"
    )


def _expected(
    network: ColorNetwork, luma: Plane, levels: Sequence[float | None], hints: Plane | None
) -> Iterator[Plane]:
    """Yield PyTorch's chroma for each vividness."""
    with torch.inference_mode():
        placed = None if hints is None else torch.from_numpy(hints)
        grey = torch.from_numpy(luma)
        prediction = network(grey, placed)
        for vividness in levels:
            level = None if vividness is None else torch.tensor(vividness)
            yield network.decode(prediction, grey, level, placed).chroma.numpy()


def _run(session: "onnxruntime.InferenceSession", luma: Plane, vividness: float | None, hints: Plane | None) -> Plane:
    inputs = {contract.INPUT_NAME: luma}
    if hints is not None:
        inputs[contract.HINTS_NAME] = hints
    if vividness is not None:
        inputs[contract.VIVIDNESS_NAME] = np.array(vividness, np.float32)
    try:
        (found,) = session.run([contract.OUTPUT_NAME], inputs)
    except Exception as error:  # ONNX Runtime's exceptions have no common base class but Exception
        raise ModelRefusedError(f"ONNX Runtime fails on the model: {error}") from error
    chroma: Plane = found
    return chroma


def _inputs(size_multiple: int) -> Iterator[tuple[str, Plane]]:
    """Yield luma ``[N, 1, H, W]`` of every size and batch size, from pictures and from noise."""
    random = np.random.default_rng(0)
    for down, across in _SIZES:
        height, width = down * size_multiple, across * size_multiple
        resized = pictures(height, width)
        for batch in _BATCHES:
            chosen = [resized[index % len(resized)] for index in range(batch)]
            yield "pictures", np.stack(chosen)[:, None]
            yield "noise", random.random((batch, 1, height, width), dtype=np.float32)


def _hints(shape: tuple[int, ...]) -> Plane:
    """Return hints ``[N, 3, H, W]``: one in the middle of each quarter, with different colours and weights."""
    batch, _, height, width = shape
    hints = np.zeros((batch, 3, height, width), np.float32)
    random = np.random.default_rng(1)
    for down, across in product((1, 3), (1, 3)):
        top, left = (side * part // 4 - _HINT_SIDE // 2 for side, part in ((height, down), (width, across)))
        rows, columns = slice(top, top + _HINT_SIDE), slice(left, left + _HINT_SIDE)
        hints[:, :2, rows, columns] = random.uniform(-0.2, 0.2, (batch, 2, 1, 1))
        hints[:, 2, rows, columns] = random.uniform(0.25, 1, (batch, 1, 1))
    return hints
