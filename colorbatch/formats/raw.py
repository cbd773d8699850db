"""Raw files of cameras, developed by LibRaw in a process of its own: a damaged file can crash or stop such a decoder.

The white balance is the camera's, so that a black-and-white print under lamp light is grey. Nothing depends on what a
picture shows: no automatic brightness, and the same white level in all pictures of a camera.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from io import BufferedIOBase
from pathlib import Path
from threading import Timer
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from colorbatch.environment import environment_of_children
from colorbatch.errors import MissingExtraError, PictureError, UnreadablePictureError, UnsupportedPictureError
from colorbatch.formats.image import refuse_too_large
from colorbatch.pixels.picture import Pixels

_CONVERT = "Develop it in a raw converter, and colour the result."
_START = "import runpy, sys; script, *sys.path[:] = sys.argv[1:]; runpy.run_path(script, run_name='__main__')"
"""Runs a script without adding its folder to ``sys.path``, whose modules have names of others."""
_SCRIPT = Path(__file__).with_name("raw_process.py")
_SECONDS = 300
"""Time after which a process is stopped; it takes 4 seconds for 24 MP of a Bayer sensor, more for others."""
_ORIENTATIONS = {0: 1, 1: 2, 3: 3, 2: 4, 4: 5, 6: 6, 7: 7, 5: 8}
"""Orientations (EXIF 2.32, table 6) by LibRaw's flip: 1 mirrors, 2 turns upside down, 4 exchanges rows and columns."""
_LONGEST_LINE = 2**16


@dataclass(frozen=True)
class Developed:
    """A developed raw file."""

    pixels: Pixels
    """RGB ``[H, W, 3]`` in sRGB, or grey ``[H, W]`` of a sensor without colours; uint16, not turned upright."""
    orientation: int
    """Orientation of the pixels, 1 to 8."""


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height of a raw file, from its header alone; the larger of sensor and picture.

    Raises:
        PictureError: it cannot be read.

    """
    with _developing(data) as answer:
        size = _next_line(answer)
        return int(size["width"]), int(size["height"])


def develop(data: bytes, max_megapixels: float) -> Developed:
    """Develop a raw file.

    Raises:
        UnreadablePictureError: damaged or truncated.
        UnsupportedPictureError: larger than allowed, of a kind that LibRaw does not know, or the extra ``raw`` is
            missing.

    """
    with _developing(data) as answer:
        size = _next_line(answer)
        refuse_too_large(int(size["width"]), int(size["height"]), max_megapixels)
        shape = _next_line(answer)["shape"]
        pixels: NDArray[np.uint16] = np.empty(shape, np.uint16)
        if answer.readinto(pixels.data.cast("B")) != pixels.nbytes:
            raise _stopped()
    return Developed(pixels[..., 0] if shape[2] == 1 else pixels, _ORIENTATIONS.get(size["flip"], 1))


@contextmanager
def _developing(data: bytes) -> Iterator[BufferedIOBase]:
    """Yield the answer of a process that develops a raw file; it is stopped at the end."""
    if find_spec("rawpy") is None:
        missing = MissingExtraError("rawpy", "raw")
        raise UnsupportedPictureError(
            f"it is a raw file of a camera or scanner, and {missing}", advice=f"{missing.advice}. Or d{_CONVERT[1:]}"
        )
    if not sys.executable or getattr(sys, "frozen", False):  # a frozen executable would run the whole program again
        raise UnsupportedPictureError("no Python interpreter was found to develop this raw file", advice=_CONVERT)
    process = subprocess.Popen(  # noqa: S603 (our own code)
        [sys.executable, "-c", _START, str(_SCRIPT), *filter(None, sys.path)],  # without the working folder
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment_of_children(OMP_NUM_THREADS="1"),  # several pictures are in progress
        start_new_session=True,  # Ctrl-C reaches only this process
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    watch = Timer(_SECONDS, process.kill)
    watch.start()
    try:
        with process:
            try:
                assert process.stdin is not None
                process.stdin.write(data)
                process.stdin.close()
                yield cast("BufferedIOBase", process.stdout)
            except BrokenPipeError as error:
                raise _stopped() from error
            finally:
                process.kill()
    finally:
        watch.cancel()


def _next_line(answer: BufferedIOBase) -> dict[str, Any]:
    line = answer.readline(_LONGEST_LINE)
    if not line:
        raise _stopped()
    found: dict[str, Any] = json.loads(line)
    match found.get("error"):
        case None:
            return found
        case "unknown":
            raise UnsupportedPictureError(
                f"a raw file of a kind that LibRaw does not know: {found['message']}", advice=_CONVERT
            )
        case "not importable":
            advice = "Install it again with: pip install --force-reinstall 'colorbatch[raw]'"
            raise UnsupportedPictureError(f"the package rawpy does not import: {found['message']}", advice=advice)
        case "too large":
            raise UnsupportedPictureError(
                f"a raw file that is too large for LibRaw: {found['message']}", advice=_CONVERT
            )
        case _:
            raise UnreadablePictureError(f"damaged or truncated: {found['message']}")


def _stopped() -> PictureError:
    return UnreadablePictureError("damaged or truncated: LibRaw crashed, or took too long")
