"""The photographs that a model of 8 bits is calibrated with, as a run would show them to the network."""

import logging
from pathlib import Path

from colorbatch import resize
from colorbatch.color import Plane
from colorbatch.discovery import evenly, picture_files
from colorbatch.errors import PictureError, UsageError
from colorbatch.formats import decode

logger = logging.getLogger(__name__)

PICTURES = 100
"""At most so many are used, spread evenly over the sorted names. 20 to 200 made no difference worth the wait."""


def read_lumas(folder: Path, working_size: int, size_multiple: int) -> list[Plane]:
    """Return the luma ``[1, 1, H, W]`` of pictures below ``folder``, shrunk and padded as in a run.

    Raises:
        UsageError: the folder holds no picture that can be read.

    """
    paths = evenly(picture_files(folder), PICTURES)
    lumas = []
    for path in paths:
        try:
            frame = decode(path.read_bytes()).first
        except (PictureError, OSError) as error:
            logger.warning("Left out %s: %s", path, error)
            continue
        size = resize.network_size(frame.height, frame.width, working_size)
        luma = resize.pad_to_multiple(resize.shrink_luma(frame.pixels, size), size_multiple)
        lumas.append(luma[None, None])
    if not lumas:
        raise UsageError(f"none of the {len(paths)} pictures in {folder} can be read")
    return lumas
