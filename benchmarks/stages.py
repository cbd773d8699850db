"""Cost of each stage of one picture, one after another in one thread: CPU seconds as JSON on stdout."""

import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the command line sets it

import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from colorbatch import open_model
from colorbatch.formats import decode, encode
from colorbatch.store import atomic

_T = TypeVar("_T")


def main() -> None:
    """Colour some of the pictures of a folder as in a run."""
    times: dict[str, list[float]] = {}

    def timed(stage: str, work: Callable[[], _T]) -> _T:
        began = time.process_time()
        result = work()
        times.setdefault(stage, []).append(time.process_time() - began)
        return result

    model = open_model(threads=1)
    pictures = sorted(Path(sys.argv[1]).iterdir())[:6]
    with tempfile.TemporaryDirectory() as out:
        for number, path in enumerate([pictures[0], *pictures]):  # the first warms up
            data = timed("read", path.read_bytes)
            picture = timed("decode", lambda data=data: decode(data))
            coloured = timed("network", lambda picture=picture: model.predict(picture))
            encoded = timed("encode", lambda picture=coloured, data=data: encode(picture, data))
            timed("hash", lambda data=data, encoded=encoded: [hashlib.sha256(each) for each in (data, encoded)])
            output = Path(out, f"{number}.jpg")  # a new file, as in a run: overwriting one takes a third of the time
            timed("write", lambda output=output, encoded=encoded: atomic.write_bytes(output, encoded))
    print(json.dumps({stage: statistics.median(each[1:]) for stage, each in times.items()}))


if __name__ == "__main__":
    main()
