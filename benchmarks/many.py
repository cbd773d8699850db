"""Whether a picture costs the same in a small run and in a large one: ``python benchmarks/many.py [PICTURES]``.

Tiny pictures at a small working size show costs that grow with their number: planning, the journal, the manifest. The
small run of 1,000 is done before and after the large one, each in its own process; seconds are those of the run's own
clock, from the plan to the manifest.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from run import measured_command

SIDE = 64
FEW = 1000


def main() -> None:
    """Run few, many, and few again."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        grain = np.random.default_rng(0).normal(128, 40, (SIDE, SIDE))
        first = Path(folder) / "scan.png"
        Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8)).save(first)
        for count in (FEW, many):
            for number in range(count):
                path = Path(folder) / str(count) / f"box {number // FEW:03}" / f"scan {number:06}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(first.read_bytes())
        for turn, count in enumerate((FEW, many, FEW)):
            out = str(Path(folder) / f"out {turn}")
            command = ["-m", "colorbatch", "run", "-q", "--json", "--working-size", "32", f"{folder}/{count}", out]
            answer, megabytes = measured_command([sys.executable, *command])
            seconds = json.loads(answer)["seconds"]
            print(f"{count} pictures: {1000 * seconds / count:.2f} ms each, {megabytes:.0f} MB at most", flush=True)


if __name__ == "__main__":
    main()
