"""Compare an output with its source: luma, alpha, extra channels and masks must be the same."""

from dataclasses import dataclass, field

import numpy as np

from colorbatch.formats import decode, encode
from colorbatch.operations.second_reader import luma_of_file
from colorbatch.pixels import color
from colorbatch.pixels.picture import Frame, Picture, Pixels

_EXACT_TOLERANCE = 1.0
"""Maximum difference of luma in lossless formats, in levels: source and output are rounded to whole levels of RGB."""
_SECOND_TOLERANCES = {8: 2.0, 16: 5.0}
"""The same as the second reader finds it, whose transforms of profiles round to whole numbers, by bit depth."""
_JPEG_TOLERANCE = 0.5
"""A JPEG is encoded again, which changes even a grey one. The root mean square difference of its luma from the
source's, in levels, may exceed that of the source re-encoded in grey with its own table by a quarter and this much."""


@dataclass
class Comparison:
    """What the comparison of an output with its source found."""

    luma_difference: float | None = None
    """Largest difference of luma, in levels of the bit depth of the pages; ``None``: they have other sizes."""
    problems: list[str] = field(default_factory=list)


def compare(source: Picture, output: Picture) -> Comparison:
    """Compare an output with its source, both decoded by this package."""
    found = Comparison()
    sizes = [[(frame.height, frame.width, frame.bits) for frame in picture.frames] for picture in (source, output)]
    if sizes[0] != sizes[1]:
        found.problems.append(f"the pages are {sizes[1]}, those of the source {sizes[0]} (height, width, bits)")
        return found
    for before, after in zip(source.frames, output.frames, strict=True):
        differences = _luma_differences(before, after)
        largest = float(differences.max())
        found.luma_difference = max(found.luma_difference or 0.0, largest)
        if output.format == "JPEG":
            to_grey = _luma_differences(before, _reencoded(before, source))
            is_same = _root_mean_square(differences) <= 1.25 * _root_mean_square(to_grey) + _JPEG_TOLERANCE
        else:
            is_same = largest <= _EXACT_TOLERANCE
        if not is_same:
            found.problems.append(f"its luma is not the source's: it differs by up to {largest:.1f} levels")
        if not _is_same(before.alpha, after.alpha):
            found.problems.append("its alpha is not the source's")
        if not _is_same(before.unnamed, after.unnamed):
            found.problems.append("its extra channel is not the source's")
    if source.masks != output.masks:
        found.problems.append("its masks are not the source's")
    return found


def problem_of_second_reader(original: bytes, output: bytes, bits: int) -> str:
    """Compare the luma of two files as other libraries read it, in the formats that they read.

    Args:
        original: the source.
        output: the output.
        bits: bit depth of the output.

    Returns:
        What is wrong; empty if nothing is, or they read none of the two.

    """
    before, after = luma_of_file(original), luma_of_file(output)
    if before is None or after is None:
        return ""
    if before.shape != after.shape:
        return f"another reader finds {after.shape} pixels, and {before.shape} in the source"
    largest = float(np.abs(before - after).max()) * (2**bits - 1)
    if largest > _SECOND_TOLERANCES[bits]:
        return f"another reader finds a luma that is not the source's, by up to {largest:.1f} levels"
    return ""


def _is_same(before: Pixels | None, after: Pixels | None) -> bool:
    """Return whether a channel is the same bit for bit, or missing in both."""
    return before is after if before is None or after is None else np.array_equal(before, after)


def _luma_differences(before: Frame, after: Frame) -> color.Plane:
    """Return the absolute differences of luma, ``[H, W]``, in levels of the frames' bit depth."""
    top = np.float32(2**before.bits - 1)
    differences: color.Plane = np.abs(color.luma_of(before.pixels) - color.luma_of(after.pixels)) * top
    return differences


def _root_mean_square(differences: color.Plane) -> float:
    return float(np.sqrt(np.square(differences, dtype=np.float64).mean()))


def _reencoded(frame: Frame, source: Picture) -> Frame:
    """Return the luma of a frame, encoded as a grey JPEG with the source's own table and decoded again."""
    grey = Frame(color.to_levels(color.luma_of(frame.pixels), np.uint8))
    return decode(encode(Picture((grey,), "JPEG", jpeg=source.jpeg)), max_megapixels=float("inf")).first
