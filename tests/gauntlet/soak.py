"""Colour many pictures of mixed kinds, with stops and restarts, and watch what a run holds: memory, files, threads.

What is counted is the process of the command with all below it.

Run it by hand: PYTHONPATH=tests python tests/gauntlet/soak.py --pictures 5000 --stops 6 PLACE
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import numpy as np
from gauntlet import kinds
from helpers import descendants, small_model
from PIL import Image

_SECONDS_BETWEEN_LOOKS = 0.5
_LARGEST_GROWTH = 1.15
"""Of memory, from the second to the last third of the looks at one run: in the first, it is still filled, or a run that
goes on looks at what is there already, which takes little."""

_FEWEST_LOOKS = 30
"""In a third of a run: in fewer, a few large pictures weigh more than what grows."""


@dataclass
class Watched:
    """One run: how it ended, and what it held while it lasted."""

    code: int = 0
    seconds: float = 0.0
    megabytes: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Memory in the last third of the run, as a multiple of that in the second; 1 where it was too short to say."""
        third = len(self.megabytes) // 3
        return (
            _middle(self.megabytes[-third:]) / _middle(self.megabytes[-2 * third : -third])
            if third >= _FEWEST_LOOKS
            else 1.0
        )

    @property
    def files_grew_by(self) -> int:
        """Files more in the last third than in the second, of those that are open all the while."""
        third = len(self.files) // 3
        return min(self.files[-third:]) - min(self.files[-2 * third : -third]) if third >= _FEWEST_LOOKS else 0


def _middle(values: Sequence[float]) -> float:
    """Return the mean of what is left when the tenth that is lowest and the tenth that is highest are taken away."""
    cut = len(values) // 10
    return mean(sorted(values)[cut : len(values) - cut])


def pictures(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield files: most of them ordinary scans of many sizes, some of every other kind, some broken."""
    random_ = np.random.default_rng(seed)
    whole, broken = kinds.whole(), dict(kinds.flips(kinds.whole(), 60, seed))
    rare = [*whole.items(), *broken.items(), *kinds.refused().items()]
    for number in range(count):
        folder = f"{number // 500:02}/{number % 7}"
        if number % 10 == 0:
            name, data = rare[number // 10 % len(rare)]
            yield f"{folder}/{number:05}-{name}", data
            continue
        side = int(random_.choice([150, 400, 900, 1800], p=[0.4, 0.4, 0.15, 0.05]))
        slope = np.add.outer(np.linspace(0, 120, side), np.linspace(0, 80, side * 4 // 3))
        image = Image.fromarray((slope + random_.integers(0, 40, slope.shape)).astype(np.uint8))
        ending = ("jpg", "jpg", "jpg", "tif", "png", "webp")[number % 6]
        picture_format = {"jpg": "JPEG", "tif": "TIFF", "png": "PNG", "webp": "WEBP"}[ending]
        yield f"{folder}/{number:05}.{ending}", kinds.saved(image, picture_format)


def watched(command: list[str], stop_after: float | None, number: signal.Signals) -> Watched:
    """Run the command, stop it if asked to, and look at it all the while."""
    found, started = Watched(), time.monotonic()
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            seconds = time.monotonic() - started
            if stop_after is not None and seconds > stop_after:
                process.send_signal(number)
                stop_after = None
            look(process.pid, found)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    found.code, found.seconds = process.returncode, time.monotonic() - started
    return found


def look(process: int, found: Watched) -> None:
    """Note what a process and all below it hold, memory that several share once in all."""
    held = [each for each in map(held_by, (process, *descendants(process))) if each is not None]
    if held:
        megabytes, files, threads = zip(*held, strict=True)
        found.megabytes.append(sum(megabytes))
        found.files.append(sum(files))
        found.threads.append(sum(threads))


def held_by(process: int) -> tuple[float, int, int] | None:
    """Return megabytes, open files and threads of a process; ``None`` where it has just ended."""
    place = Path(f"/proc/{process}")
    try:
        memory = dict(line.split(":", 1) for line in (place / "smaps_rollup").read_text().splitlines()[1:])
        return (
            int(memory["Pss"].split()[0]) / 1000,  # its share of what is shared
            sum(1 for _ in (place / "fd").iterdir()),
            sum(1 for _ in (place / "task").iterdir()),
        )
    except (OSError, KeyError):
        return None


def main() -> int:
    """Print a line for each run, and return how many things were not as they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place", nargs="?", type=Path, help="folder for pictures and outputs; by default a new one")
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--stops", type=int, default=6, help="signals and kills before the last run")
    parser.add_argument("--every", type=float, default=20.0, help="seconds after which a run is stopped, about")
    parser.add_argument("--model", default="", help="of colorbatch run; by default one that is almost nothing")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    place = asked.place or Path(tempfile.mkdtemp(prefix="colorbatch-soak-"))
    source, output, model = place / "in", place / "out", place / "small.onnx"
    place.mkdir(exist_ok=True)
    model.write_bytes(small_model().SerializeToString())
    for name, data in pictures(asked.pictures, asked.seed):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    print(f"{asked.pictures} pictures in {source}")
    base = [sys.executable, "-m", "colorbatch"]
    command = [*base, "run", "-q", "--model", asked.model or str(model), str(source), str(output)]
    chance = random.Random(asked.seed)  # noqa: S311 (no secret)
    print("run  ended by  exit  seconds  MB median  MB most  memory last/second third  files most  more files  threads")
    faults: int = 0
    for number in range(asked.stops + 1):
        how = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[number % 3]
        is_last = number == asked.stops
        run = watched(command, None if is_last else asked.every * chance.uniform(0.5, 1.5), how)
        print(
            f"{number + 1:3}  {'itself' if is_last else how.name:8}  {run.code:4}  {run.seconds:7.1f}  "
            f"{median(run.megabytes or [0]):9.0f}  {max(run.megabytes, default=0):7.0f}  {run.growth:24.2f}  "
            f"{max(run.files, default=0):10}  {run.files_grew_by:10}  {max(run.threads, default=0):7}",
            flush=True,
        )
        faults += run.growth > _LARGEST_GROWTH
        faults += run.files_grew_by > 0
        faults += run.code not in {0, 1, 130, 143, -signal.SIGKILL}
    lines = (output / "colorbatch-manifest.jsonl").read_bytes().splitlines()
    inputs = {json.loads(line)["input"] for line in lines}
    faults += len(lines) != asked.pictures
    faults += len(inputs) != asked.pictures
    faults += any(output.rglob("*.tmp"))
    audit = subprocess.run([*base, "audit", str(output), "--source", str(source), "-q"], check=False)
    faults += audit.returncode != 0
    print(f"{len(inputs)} sources in the manifest, audit ended with {audit.returncode}; {faults} faults")
    return faults


if __name__ == "__main__":
    sys.exit(main())
