"""An adopted DDColor in `colorbatch run`, compared with its own script: ``python benchmarks/adopt.py CHECKPOINT``.

Needs the extra ``adopt`` and opencv-python-headless. Without a checkpoint, the tiny network with random weights: its
time does not depend on them. Both ways are measured in turn, each in its own process: seconds per picture include
opening the model, but no imports; memory is the sampled peak of all processes.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from run import HERE, SIDES, make_pictures, measured_command
from spandrel_extra_arches.architectures.DDColor import DDColor

from colorbatch_export.adapters.adopting import adopt_model


def main() -> None:
    """Measure both ways at each size, and print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", nargs="?", type=Path, help="of DDColor, with its weights under params")
    parser.add_argument("--sizes", type=float, nargs="+", choices=SIDES, default=[1, 12], help="megapixels")
    parser.add_argument("--pictures", type=int, default=8, help="of each size")
    parser.add_argument("--repeats", type=int, default=3, help="of both ways, in turn; medians count")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = arguments.checkpoint or random_checkpoint(Path(folder) / "tiny.pth")
        model = adopt_model(checkpoint, Path(folder) / "model.onnx").path
        for size in arguments.sizes:
            source = Path(folder) / f"{size:g} MP"
            make_pictures(source, SIDES[size], arguments.pictures)
            pairs = [(of_script(checkpoint, source), of_run(model, source)) for _ in range(arguments.repeats)]
            script, run = ([each[way] for each in pairs] for way in (0, 1))
            ratio = statistics.median(one[0] / other[0] for one, other in pairs)
            print(f"{size:g} MP: script {shown(script)}; run {shown(run)}; {ratio:.2f} times as fast", flush=True)


def random_checkpoint(path: Path) -> Path:
    """Write a checkpoint of the tiny network, with random weights."""
    torch.manual_seed(0)
    network = DDColor(
        encoder_name="convnext-t",
        num_output_channels=2,
        last_norm="Spectral",
        num_queries=100,
        num_scales=3,
        dec_layers=9,
    ).train()
    with torch.no_grad():
        for _ in range(12):  # lets the vectors of its spectral norms converge
            network(torch.rand(1, 3, 64, 64))
    torch.save({"params": network.state_dict()}, path)
    return path


def of_script(checkpoint: Path, source: Path) -> tuple[float, float]:
    """Return seconds per picture and peak memory in MB of the network's own script."""
    answer, megabytes = measured_command(
        [sys.executable, str(HERE / "ddcolor_script.py"), str(checkpoint), str(source)]
    )
    return float(answer), megabytes


def of_run(model: Path, source: Path) -> tuple[float, float]:
    """Return the same of ``colorbatch run``."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "colorbatch", "run", "-q", "--json", "--model", str(model), str(source), out]
        answer, megabytes = measured_command(command)
    summary = json.loads(answer)
    return summary["seconds"] / summary["done"], megabytes


def shown(found: list[tuple[float, float]]) -> str:
    """Return the medians of seconds and megabytes."""
    seconds, megabytes = (statistics.median(each[way] for each in found) for way in (0, 1))
    return f"{seconds:.2f} s, {megabytes:.0f} MB"


if __name__ == "__main__":
    main()
