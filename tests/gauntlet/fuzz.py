"""A fuzz target: whatever bytes are decoded, the outcome is a picture that is encoded and decoded again, or a refusal.

Run it by hand, for ten minutes: pip install atheris, then

    PYTHONPATH=tests python tests/gauntlet/fuzz.py CORPUS -max_total_time=600

CORPUS is a folder, which is filled with the tiny pictures of the gauntlet where it is empty. Without atheris, bytes of
those pictures are changed at random, which finds less: PYTHONPATH=tests python tests/gauntlet/fuzz.py --plain 600
"""

import logging
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from gauntlet import kinds

from colorbatch.errors import PictureError
from colorbatch.formats import decode, decoded_bytes, encode
from colorbatch.formats.mark import Origin, marked

_MEGAPIXELS = 4.0
_ORIGIN = Origin("a.png", "0" * 64, "small", "0" * 64, "0" * 64, "compositeWithTrainedAlgorithmicMedia")


def target(data: bytes) -> None:
    """Decode, colour, mark, encode and decode again; only a ``PictureError`` or too little memory may come of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counted = decoded_bytes(data)
        for salvage in (False, True):
            try:
                picture = decode(data, _MEGAPIXELS, salvage=salvage)
                pixels = [frame.width * frame.height for frame in picture.frames]
                assert max(pixels) <= _MEGAPIXELS * 1e6, "larger than is allowed"
                assert sum(pixels) * 3 <= counted, "larger than its memory was counted"
                frames = tuple(
                    replace(frame, chroma=np.full((2, 4, 4), 0.1, np.float32), metadata=frame.metadata)
                    for frame in picture.frames
                )
                encoded = encode(replace(picture, frames=frames), data)
            except (PictureError, MemoryError):
                continue
            again = decode(encoded, float("inf"))
            sizes = [[(frame.width, frame.height, frame.bits) for frame in each.frames] for each in (picture, again)]
            assert sizes[0] == sizes[1], sizes
            with suppress(ValueError):  # damaged XMP is a warning
                marked(picture.first.metadata.xmp, _ORIGIN)


def fill(corpus: Path) -> None:
    """Write the tiny pictures of the gauntlet into an empty folder."""
    corpus.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        for name, data in {**kinds.whole(), **kinds.refused()}.items():
            (corpus / name).write_bytes(data)


def plain(seconds: float, seed: int, check: Callable[[bytes], None] = target) -> list[bytes]:
    """Change bytes of the pictures at random for some time; return what the target did not bear."""
    random = np.random.default_rng(seed)
    sources = list({**kinds.whole(), **kinds.refused()}.values())
    crashes: dict[str, bytes] = {}
    tried, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = bytearray(sources[int(random.integers(len(sources)))])
        for _ in range(int(random.integers(1, 9))):
            start = int(random.integers(len(data)))
            match int(random.integers(4)):
                case 0:
                    data[start] ^= int(random.integers(1, 256))
                case 1:
                    data[start : start + 4] = random.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
                case 2:
                    del data[start : start + int(random.integers(1, 20))]
                case _:
                    other = sources[int(random.integers(len(sources)))]
                    data[start:start] = other[: int(random.integers(1, 200))]
            data = data or bytearray(b"x")
        tried += 1
        try:
            check(bytes(data))
        except Exception:  # noqa: BLE001 (that is what is looked for)
            crashes.setdefault(traceback.format_exc().splitlines()[-1][:120], bytes(data))
            traceback.print_exc()
    print(f"{tried} files tried, {len(crashes)} kinds of crashes")
    return list(crashes.values())


def main() -> int:
    """Fuzz, and leave what crashed in the working folder."""
    logging.disable()
    if sys.argv[1:2] == ["--plain"]:
        seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
        crashes = plain(float(sys.argv[2]), seed)
        for number, data in enumerate(crashes):
            Path(f"crash-{seed}-{number}").write_bytes(data)
        return len(crashes)
    import atheris

    fill(Path(sys.argv[1]))
    atheris.instrument_all()
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
