"""Compare a model with the published network that it was adapted from, as its authors run that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from colorbatch.errors import ModelRefusedError
from colorbatch.inference import contract
from colorbatch.inference.contract import Fit
from colorbatch.pixels.color import Plane
from colorbatch_export.adapters.authors import chroma_by_authors
from colorbatch_export.adapters.foreign import Foreign
from colorbatch_export.comparison import Comparison, ParityReport, compare, picture

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MAX_LEVELS, MEAN_LEVELS = 3.0, 1.0
"""The largest and the mean difference of two coloured 8-bit RGB pictures of equal luma that pass."""
_LARGEST_SIDE = 256
"""Short side at which a network with dynamic sides is compared."""
_SHAPES = ((1.0, 1.0), (1.0, 1.5), (1.25, 1.0), (0.4, 0.7))
"""Heights and widths of the pictures, in terms of the side."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Photographs, and the colours that the original network gives them."""

    luma: Plane
    """``[N, 1, H, W]`` in 0..1."""
    hints: Plane | None
    """``[N, 3, H, W]``: Cb, Cr and weight."""
    chroma: Plane
    """``[N, 2, H, W]``: Cb and Cr of the authors' colours."""


def references_of(foreign: Foreign, fit: Fit) -> list[Reference]:
    """Run the original on photographs of several shapes, with and without hints, and on two photographs at once.

    Raises:
        ModelRefusedError: it fails.

    """
    references: list[Reference] = []
    for luma, hints in _inputs(foreign, fit):
        each_hints = [None] * len(luma) if hints is None else hints
        chroma = [chroma_by_authors(foreign, fit, one[0], own) for one, own in zip(luma, each_hints, strict=True)]
        references.append(Reference(luma, hints, np.stack(chroma)))
    return references


def measure_adapted(references: Sequence[Reference], session: "InferenceSession") -> ParityReport:
    """Compare the chroma of the authors' colours with that of the model, each joined with the luma to RGB in 8 bits.

    Args:
        references: what the original gives.
        session: the model in ONNX Runtime, on the CPU.

    Raises:
        ModelRefusedError: the model fails.

    """
    comparisons: list[Comparison] = []
    for each in references:
        inputs = {contract.INPUT_NAME: each.luma} | ({} if each.hints is None else {contract.HINTS_NAME: each.hints})
        try:
            (found,) = session.run([contract.OUTPUT_NAME], inputs)
        except Exception as error:  # ONNX Runtime's exceptions have no common base class but Exception
            raise ModelRefusedError(f"the adapted model failed: {error}") from error
        if found.shape != each.chroma.shape:
            raise ModelRefusedError(f"the adapted model gives {list(found.shape)} for {list(each.luma.shape)}")
        comparisons.append(compare(("pictures", None, each.hints is not None), each.luma, each.chroma, found))
    return ParityReport(
        comparisons,
        MAX_LEVELS,
        "cpu",
        "max_rgb_levels",
        mean_tolerance=MEAN_LEVELS,
        reference="The original network",
    )


def _inputs(foreign: Foreign, fit: Fit) -> Iterator[tuple[Plane, Plane | None]]:
    """Yield luma ``[N, 1, H, W]`` and hints: two photographs at once, where most would fail, and one of each shape."""
    side = min(foreign.size or (min(foreign.kind.working_size, _LARGEST_SIDE),))
    multiple = foreign.kind.size_multiple if foreign.size is None and fit == "pad" else 1
    sizes = [tuple(max(1, round(each * side / multiple)) * multiple for each in shape) for shape in _SHAPES]
    height, width = sizes[1]
    both = np.stack([picture(0, height, width), picture(-1, height, width)])[:, None]
    yield both, np.stack([_hints(height, width), 0 * _hints(height, width)]) if foreign.takes_hints else None

    for index, (height, width) in enumerate(sizes):
        luma = picture(index, height, width)[None, None]
        yield luma, None
        if foreign.takes_hints:
            yield luma, _hints(height, width)[None]


def _hints(height: int, width: int) -> Plane:
    """Return hints ``[3, H, W]`` of two colours in two places."""
    planes = np.zeros((3, height, width), np.float32)
    for chroma, (down, across) in (((-0.15, 0.12), (1, 2)), ((0.1, -0.08), (2, 1))):
        rows, columns = (
            slice(side * part // 3, side * part // 3 + side // 16 + 1)
            for side, part in ((height, down), (width, across))
        )
        planes[:, rows, columns] = np.array([*chroma, 1], np.float32)[:, None, None]
    return planes
