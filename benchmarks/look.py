"""Whether ``run --dry-run --look`` decides like a run, and its CPU time relative to that of decoding in full.

``python benchmarks/look.py FOLDER...``: folders of pictures. Both are timed in one thread, one picture at a time, in
turn, with what decides whether a picture is in colour.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does

from colorbatch.errors import PictureError
from colorbatch.formats import decode
from colorbatch.job import BatchJob
from colorbatch.run.colorize import treatment_of
from colorbatch.run.look import seen_in

JOB = BatchJob(Path(), Path())


def in_full(content: bytes) -> str:
    """Return what a run does with a file."""
    return treatment_of([frame.pixels for frame in decode(content).frames], None, JOB).action


def by_look(content: bytes) -> str:
    """Return what a look finds."""
    return seen_in(content, None, JOB).action


def timed(decide: Callable[[bytes], str], content: bytes) -> tuple[str, float]:
    """Return a decision and the CPU seconds that it took."""
    started = time.process_time()
    try:
        decision = decide(content)
    except PictureError as error:
        decision = f"fail: {error}"
    return decision, time.process_time() - started


def main() -> None:
    """Print every disagreement and the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    seconds = [0.0, 0.0]
    decisions: Counter[str] = Counter()
    disagreements = 0
    for folder in parser.parse_args().folders:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            content = path.read_bytes()
            results = [timed(decide, content) for decide in (in_full, by_look)]
            seconds = [total + spent for total, (_, spent) in zip(seconds, results, strict=True)]
            (expected, _), (found, _) = results
            decisions[expected.partition(":")[0]] += 1
            if found != expected:
                disagreements += 1
                print(f"{path}: {expected}, a look finds {found}")
    print(dict(decisions), f"{disagreements} disagreements")
    print(f"CPU time: in full {seconds[0]:.1f} s, looks {seconds[1]:.1f} s: {seconds[1] / seconds[0]:.2f}")


if __name__ == "__main__":
    main()
