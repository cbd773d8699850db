"""Develop a raw file with LibRaw: a script of its own, which :mod:`colorbatch.formats.raw` runs in another process.

It reads the file from stdin, and writes a line of JSON with its size, which may be all that is wanted, then one with
the shape of the pixels, and the pixels, uint16 in the byte order of the machine. A line with ``error`` ends it.
"""

import io
import json
import sys
from typing import Any, BinaryIO

import numpy as np

_SRGB_CURVE = 2.4, 12.92
"""Power and slope of its tone curve (IEC 61966-2-1, section 5.2)."""
_KINDS = {
    "ImportError": "not importable",
    "LibRawFileUnsupportedError": "unknown",
    "LibRawNotImplementedError": "unknown",
    "NotSupportedError": "unknown",
    "LibRawUnsufficientMemoryError": "too large",
    "LibRawTooBigError": "too large",
    "MemoryError": "too large",
}
"""Kinds of errors by the names of their types; any other is damage."""


def main() -> None:
    """Answer on stdout."""
    answer, data = sys.stdout.buffer, sys.stdin.buffer.read()
    try:
        pixels = _developed(data, answer)
    except Exception as error:  # noqa: BLE001 (on damaged files, LibRaw and rawpy raise errors of many kinds)
        names = [each.__name__ for each in type(error).__mro__]
        kind = next((_KINDS[name] for name in names if name in _KINDS), "damaged")
        _say(answer, error=kind, message=_text_of(error))
    else:
        _say(answer, shape=pixels.shape)
        answer.write(np.ascontiguousarray(pixels).data.cast("B"))


def _developed(data: bytes, answer: BinaryIO) -> Any:  # noqa: ANN401 (rawpy has no types)
    """Return the pixels of a file, ``[H, W, 1]`` or RGB ``[H, W, 3]``, not turned upright."""
    try:
        import rawpy
    except Exception as error:  # a ValueError if it was built for another NumPy
        raise ImportError(str(error)) from error
    with rawpy.imread(io.BytesIO(data)) as raw:
        sizes = raw.sizes
        sides = [(sizes.iwidth, sizes.iheight), (sizes.raw_width, sizes.raw_height)]
        width, height = max(sides, key=lambda side: side[0] * side[1])
        _say(answer, width=width, height=height, flip=sizes.flip)
        return raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            adjust_maximum_thr=0,
            gamma=_SRGB_CURVE,
            output_color=rawpy.ColorSpace.sRGB,
            output_bps=16,
            user_flip=0,
        )


def _say(answer: BinaryIO, **values: Any) -> None:  # noqa: ANN401 (JSON)
    answer.write(json.dumps(values).encode() + b"\n")
    answer.flush()


def _text_of(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return (text.decode(errors="replace") if isinstance(text, bytes) else str(text)) or type(error).__name__


if __name__ == "__main__":
    main()
