"""Cost and fidelity of ways to write a JPEG: ``python benchmarks/jpeg_luma.py``, with simplejpeg if it is installed.

The chroma of one grainy grey JPEG of 12 MP is predicted once; all ways then write the output, interleaved. The luma
that decoders return for grey is compared with that of the source.
"""

import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the command line sets it
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from run import SIDES, make_pictures

from colorbatch import open_model
from colorbatch.formats import decode, encode
from colorbatch.pixels.chroma import halved_chroma_planes

REPEATS = 7


def main() -> None:
    """Measure every way and print a line for each."""
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(Path(folder) / "in", SIDES[12], 1)
        source = (Path(folder) / "in" / "0.jpg").read_bytes()
    picture = open_model(threads=1).predict(decode(source))
    grey, chroma = picture.first.pixels.astype(np.uint8), picture.first.chroma
    assert chroma is not None

    def planes() -> NDArray[np.uint8]:
        return halved_chroma_planes(grey, chroma)

    ways: dict[str, Callable[[], bytes]] = {
        "--jpeg-luma exact": lambda: encode(picture, source),
        "--jpeg-luma reencoded": lambda: encode(picture),
    }
    for quality in (90, 95):
        ways[f"Pillow, YCbCr, quality {quality}"] = lambda quality=quality: of_pillow(grey, planes(), quality)  # type: ignore[misc]
    try:
        import simplejpeg  # type: ignore[import-not-found] # not a dependency: only for comparison
    except ImportError:
        print("simplejpeg is not installed, and left out")
    else:
        for quality in (90, 95):
            ways[f"simplejpeg, planes, quality {quality}"] = lambda quality=quality: simplejpeg.encode_jpeg_yuv_planes(  # type: ignore[misc]
                grey, *planes(), quality=quality
            )
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    outputs: dict[str, bytes] = {}
    for _ in range(REPEATS):
        for name, write in ways.items():
            began = time.process_time()
            outputs[name] = write()
            seconds[name].append(time.process_time() - began)
    for name, output in outputs.items():
        times = seconds[name]
        print(
            f"{name}: {1000 * statistics.median(times):.0f} ms ({1000 * min(times):.0f} to {1000 * max(times):.0f}), "
            f"{len(output) / len(source):.2f} of the source's bytes, luma {psnr(output, grey)}"
        )


def of_pillow(grey: NDArray[np.uint8], chroma: NDArray[np.uint8], quality: int) -> bytes:
    """Return a JPEG of luma and half-size chroma as written by Pillow: chroma is enlarged, and halved again."""
    size = grey.shape[::-1]
    cb, cr = (Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR) for plane in chroma)
    buffer = io.BytesIO()
    Image.merge("YCbCr", (Image.fromarray(grey), cb, cr)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def psnr(output: bytes, grey: NDArray[np.uint8]) -> str:
    """Return the PSNR in dB, and the largest difference in levels, of the luma of an output."""
    image = Image.open(io.BytesIO(output))
    image.draft("L", image.size)
    difference = np.asarray(image.convert("L")).astype(int) - grey
    if not difference.any():
        return "the same, bit for bit"
    return f"{10 * np.log10(255**2 / np.square(difference).mean()):.1f} dB, {np.abs(difference).max()} levels at most"


if __name__ == "__main__":
    main()
