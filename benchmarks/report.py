"""Cost of a report: seconds and megabytes for 1,000 pictures, ``python benchmarks/report.py [--help]``.

The first report makes all previews; the second reuses them. The source is given, so each picture is decoded twice. The
pictures are those of benchmarks/run.py, which are smoother than photographs, so their previews are smaller.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from run import SIDES, make_pictures


def main() -> None:
    """Colour some pictures, and report on them twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, choices=SIDES, default=12, help="megapixels")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--json", type=Path, help="where the figures go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "in", Path(folder) / "out"
        make_pictures(source, SIDES[arguments.size], arguments.pictures)
        _colorbatch("run", source, output)
        first, again = (_colorbatch("report", output, "--source", source) for _ in range(2))
        report = output / "colorbatch-report"
        previews = sum(path.stat().st_size for path in report.rglob("*.webp"))
        page = (report / "index.html").stat().st_size
    thousands = arguments.pictures / 1000
    figures = {
        "cores": os.cpu_count(),
        "megapixels": arguments.size,
        "pictures": arguments.pictures,
        "seconds for 1,000": round(first / thousands, 2),
        "seconds for 1,000 again": round(again / thousands, 2),
        "MB of previews for 1,000": round(previews / 1e6 / thousands, 1),
        "MB of page for 1,000": round(page / 1e6 / thousands, 3),
    }
    for name, figure in figures.items():
        print(f"{name:25} {figure}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def _colorbatch(*arguments: str | Path) -> float:
    """Run a command; return the seconds that it took."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "colorbatch", *arguments, "-q"], check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
