"""Cost of keeping the coded luma of a JPEG stored in YCbCr: ``python benchmarks/jpeg_in_color.py``.

One grainy picture of 1, 12 and 50 MP is saved with halved chroma. Decoding and encoding it with its coded luma, which
is separated from chroma by a process of its own, is compared with encoding luma again, interleaved. Chroma is predicted
once. Times are those of the clock; memory is the peak of the transcoder.
"""

import io
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the command line sets it

import numpy as np
from PIL import Image

from colorbatch import open_model
from colorbatch.formats import decode, encode, with_coded_luma
from colorbatch.pixels.picture import Picture

SIZES = {1: (1155, 866), 12: (4000, 3000), 50: (8165, 6124)}
"""Width and height, by megapixels."""
REPEATS = 5


def main() -> None:
    """Measure every size and print a line for each."""
    model = open_model(threads=1)
    for megapixels, size in SIZES.items():
        source = stored_in_color(*size)
        chroma = model.predict(decode(source)).first.chroma

        def decoded(source: bytes = source, chroma: np.ndarray = chroma) -> Picture:
            picture = decode(source)
            return replace(picture, frames=(replace(picture.first, chroma=chroma),))

        ways: dict[str, Callable[[], bytes]] = {
            "encoded again": lambda decoded=decoded: encode(decoded()),
            "copied": lambda decoded=decoded, source=source: encode(with_coded_luma(decoded(), source)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        outputs: dict[str, bytes] = {}
        for _ in range(REPEATS):
            for name, write in ways.items():
                began = time.perf_counter()
                outputs[name] = write()
                seconds[name].append(time.perf_counter() - began)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        ratio = medians["copied"] / medians["encoded again"]
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
        sizes = ", ".join(f"{len(output) / len(source):.2f} of the bytes {name}" for name, output in outputs.items())
        times = ", ".join(f"{1000 * median:.0f} ms {name}" for name, median in medians.items())
        print(f"{megapixels} MP: {times}, {ratio:.2f} times; {sizes}; transcoder {memory:.0f} MB", flush=True)


def stored_in_color(width: int, height: int) -> bytes:
    """Return a JPEG of grey content in YCbCr: smooth shapes with film grain."""
    random = np.random.default_rng(0)
    shapes = Image.fromarray(random.integers(0, 256, (24, 32), dtype=np.uint8))
    smooth = np.asarray(shapes.resize((width, height), Image.Resampling.BICUBIC)).astype(np.float32)
    grey = np.clip(smooth + random.normal(0, 4, smooth.shape).astype(np.float32), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).convert("RGB").save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
