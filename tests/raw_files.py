"""DNG files of what a camera would have recorded of a known picture, written with tifffile."""

import io
import struct
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

Mosaic = NDArray[np.uint16]
TOP = 65535
SRGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""IEC 61966-2-1, section 5.2."""
RGGB = bytes((0, 1, 1, 2))
D65 = 21
"""A light source of EXIF."""


def mosaic_of(light: NDArray[np.floating]) -> Mosaic:
    """Return what a sensor behind the pattern RGGB records of light RGB ``[H, W, 3]`` in 0..1."""
    seen = light[..., 1].copy()
    seen[0::2, 0::2], seen[1::2, 1::2] = light[0::2, 0::2, 0], light[1::2, 1::2, 2]
    recorded: Mosaic = np.round(seen * TOP).astype(np.uint16)
    return recorded


def dng(sensor: Mosaic, *, neutral: tuple[float, float, float] = (1, 1, 1), tags: tuple[Any, ...] = ()) -> bytes:
    """Return a DNG of a camera whose colours are those of sRGB.

    Args:
        sensor: what it recorded behind RGGB ``[H, W]``, or of all channels ``[H, W, 3]``.
        neutral: what it records of white under the light of the scene.
        tags: more of them.

    """
    pattern = ((33421, "H", 2, (2, 2), True), (33422, "B", 4, RGGB, True)) if sensor.ndim == 2 else ()
    colors = (
        (50721, "2i", 9, _fractions(np.linalg.inv(SRGB_TO_XYZ)), True),
        (50728, "2I", 3, _fractions(neutral), True),
        (50778, "H", 1, D65, True),
    )
    return _written(sensor, "cfa" if pattern else "linear_raw", (*pattern, *colors, *tags))


def monochrome_dng(sensor: Mosaic) -> bytes:
    """Return a DNG of a camera without colour filters, ``[H, W]``."""
    data = bytearray(_written(sensor, "minisblack", ()))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        place = file.pages.first.tags["PhotometricInterpretation"].valueoffset
    struct.pack_into("<H", data, place, tifffile.PHOTOMETRIC.LINEAR_RAW)
    return bytes(data)


def _written(sensor: Mosaic, photometric: str, tags: tuple[Any, ...]) -> bytes:
    extra = (
        (50706, "B", 4, bytes((1, 4, 0, 0)), True),
        (50707, "B", 4, bytes((1, 1, 0, 0)), True),
        (50708, "s", 0, "Camera of the tests", True),
        (50717, "I", 1, TOP, True),
        *tags,
    )
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(sensor, photometric=photometric, metadata=None, extratags=extra)
    return buffer.getvalue()


def srgb(light: Any) -> NDArray[np.float64]:  # noqa: ANN401 (a number or an array)
    """Return levels in 0..65535 of linear light in 0..1 (IEC 61966-2-1, section 5.2)."""
    linear = np.asarray(light, np.float64)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    levels: NDArray[np.float64] = curve * TOP
    return levels


def _fractions(values: Any) -> tuple[int, ...]:  # noqa: ANN401 (numbers)
    return tuple(number for value in np.ravel(values) for number in (round(float(value) * 10_000), 10_000))
