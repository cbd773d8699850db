"""Pictures of any shape take memory by their area, however long and narrow they are."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import small_model

AREA = 100_000
SHAPES = 200
MEGABYTES = 300
"""Beyond what the process takes before its first picture."""
PROGRAM = """
import resource, sys
from pathlib import Path
import numpy as np
from colorbatch.formats import decode, encode
from colorbatch.inference.colorizer import open_model
from colorbatch.pixels.picture import Frame, Picture

model, area, shapes, megabytes = sys.argv[1], *map(int, sys.argv[2:])
colorizer = open_model(Path(model), provider="cpu", threads=1)

def colored(height, width):
    pixels = (np.arange(height * width, dtype=np.uint32) // 7).astype(np.uint8).reshape(height, width)
    source = Picture((Frame(pixels),), "PNG")
    decoded = decode(encode(colorizer.predict(source))).first
    assert decoded.pixels.shape == (height, width, 3)

colored(300, 300)
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + megabytes * 2**20,) * 2)
for exponent in np.linspace(0, 1, shapes):
    height = max(1, round(area**exponent))
    try:
        colored(height, max(1, area // height))
    except MemoryError:
        sys.exit(f"{height} x {area // height} takes too much memory")
print("all", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a limit of the address space, and /proc")
def test_two_hundred_shapes_of_one_area_take_little_memory(tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(small_model().SerializeToString())
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "small.onnx"), *map(str, (AREA, SHAPES, MEGABYTES))]
    environment = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PATH": ""}
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (found.returncode, found.stdout, found.stderr) == (0, "all\n", "")
