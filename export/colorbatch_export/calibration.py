"""The photographs that an 8-bit model is calibrated with, as a run would feed them to the network."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from colorbatch.errors import PictureError, UsageError
from colorbatch.formats import decode
from colorbatch.formats.kinds import evenly, picture_files
from colorbatch.pixels import color, resize
from colorbatch.pixels.color import Plane
from colorbatch.pixels.picture import Frame

logger = logging.getLogger(__name__)

PICTURES = 100
"""Maximum number of pictures, spread evenly over the sorted names. 20 to 200 made no difference worth the wait."""
_HINTS = 5
"""Number of hints in every second picture, so that the layers for hints have a range, too."""
_HINT_RADIUS = 2
"""Pixels from the centre of a hint to its edge."""


@dataclass(frozen=True, eq=False)
class CalibrationInput:
    """The inputs of the network for one picture."""

    luma: Plane
    """Luma, ``[1, 1, H, W]`` in 0..1."""
    hints: Plane
    """Hints, ``[1, 3, H, W]``: Cb, Cr and weight, of the picture's own colours; all zero in every second picture."""


def read_inputs(folder: Path, working_size: int, size_multiple: int) -> list[CalibrationInput]:
    """Return the network's inputs for pictures below ``folder``, reduced and padded as in a run.

    Raises:
        UsageError: the folder has no picture that can be read.

    """
    paths = evenly(picture_files(folder), PICTURES)
    inputs: list[CalibrationInput] = []
    for path in paths:
        try:
            frame = decode(path.read_bytes()).first
        except (PictureError, OSError) as error:
            logger.warning("Skipped %s: %s", path, error)
            continue
        size = resize.network_size(frame.height, frame.width, working_size)
        luma = resize.pad_to_multiple(resize.shrink_luma(frame.pixels, size), size_multiple)
        hints = np.zeros((3, *luma.shape), np.float32)
        if len(inputs) % 2:
            _place_hints(hints, frame, size, np.random.default_rng(len(inputs)))
        inputs.append(CalibrationInput(luma[None, None], hints[None]))
    if not inputs:
        raise UsageError(f"none of the {len(paths)} pictures in {folder} can be read")
    return inputs


def _place_hints(hints: Plane, frame: Frame, size: tuple[int, int], random: np.random.Generator) -> None:
    """Fill ``hints`` ``[3, H, W]`` with the colours of some places of a frame, which has ``size`` without padding."""
    levels = resize.shrink_levels(frame.pixels, size, Image.Resampling.BOX)
    if levels.ndim == 2:
        levels = np.dstack([levels] * 3)
    chroma = color.chroma_of(levels)
    for _ in range(_HINTS):
        row, column = (int(random.integers(side)) for side in size)
        rows, columns = (slice(max(0, at - _HINT_RADIUS), at + _HINT_RADIUS + 1) for at in (row, column))
        hints[:2, rows, columns] = chroma[:, row, column][:, None, None]
        hints[2, rows, columns] = 1
