"""The way of DDColor's own script, for every picture of a folder: seconds per picture on stdout.

OpenCV and PyTorch, as its authors use them: Lab in float32 at full size, a and b enlarged without interpolation.
"""

import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from spandrel_extra_arches import EXTRA_REGISTRY
from torch.nn import functional

SIDE = 512


def main() -> None:
    """Load the checkpoint, the first argument, and colour the folder, the second one."""
    checkpoint, folder = sys.argv[1:]
    paths = sorted(Path(folder).iterdir())
    began = time.perf_counter()
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["params"]
    network = EXTRA_REGISTRY.load(weights).model.eval()
    with tempfile.TemporaryDirectory() as out, torch.inference_mode():
        for path in paths:
            cv2.imwrite(str(Path(out) / path.name), colored(network, cv2.imread(str(path))))
    print((time.perf_counter() - began) / len(paths))


def colored(network: torch.nn.Module, levels: np.ndarray) -> np.ndarray:
    """Return BGR in colour, uint8 ``[H, W, 3]``, of BGR in grey."""
    height, width = levels.shape[:2]
    picture = (levels / 255.0).astype(np.float32)
    lightness = cv2.cvtColor(picture, cv2.COLOR_BGR2Lab)[:, :, :1]
    small = cv2.cvtColor(cv2.resize(picture, (SIDE, SIDE)), cv2.COLOR_BGR2Lab)[:, :, :1]
    grey = cv2.cvtColor(np.concatenate([small, 0 * small, 0 * small], axis=-1), cv2.COLOR_LAB2RGB)
    ab = network(torch.from_numpy(grey.transpose(2, 0, 1))[None])
    large = functional.interpolate(ab, size=(height, width))[0].numpy().transpose(1, 2, 0)
    result = cv2.cvtColor(np.concatenate([lightness, large], axis=-1), cv2.COLOR_LAB2BGR)
    return (result * 255.0).round().astype(np.uint8)


if __name__ == "__main__":
    main()
