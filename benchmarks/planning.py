"""Time and memory of a plan of many files: ``python benchmarks/planning.py [FILES]``.

The target is 100,000 files in under 30 s, with under 100 MB more memory than 1,000. Each count is planned in its own
process, from a tree with 1,000 files per folder.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GREY_PNG_1X1 = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6360000000020001e221bc33"
    "0000000049454e44ae426082"
)


def main() -> None:
    """Plan 1,000 files and the given number of files."""
    if sys.argv[1:2] == ["--plan"]:
        plan(Path(sys.argv[2]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        for files in (1000, count):
            root = Path(folder) / str(files)
            for number in range(files):
                path = root / f"box {number // 1000:03}" / f"scan {number:06}.png"
                if number % 1000 == 0:
                    path.parent.mkdir(parents=True)
                path.write_bytes(GREY_PNG_1X1)
            subprocess.run([sys.executable, __file__, "--plan", root], check=True)


def plan(root: Path) -> None:
    """Plan one tree and print time and memory."""
    from colorbatch.run.plan import plan_batch
    from colorbatch.store import open_store

    started = time.perf_counter()
    planned = plan_batch(open_store(root), open_store(root.with_name("out")))
    seconds = time.perf_counter() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(planned)} files planned in {seconds:.2f} s, {megabytes:.0f} MB at most")


if __name__ == "__main__":
    main()
