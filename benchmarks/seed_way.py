"""The usual way of research code, on one picture: seconds on stdout.

PyTorch computes the chroma at the working size, scikit-image converts the full-size picture to Lab in float64 and back,
and the colours are enlarged in float64 between. The network is the published U-Net; its weights do not matter here.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from skimage import color, io, transform

from colorbatch.training.architectures import build_network


def main() -> None:
    """Colour the first picture of a folder."""
    network = build_network("unet").eval()
    path = min(Path(sys.argv[1]).iterdir())
    with tempfile.TemporaryDirectory() as out, torch.inference_mode():
        began = time.perf_counter()
        grey = io.imread(path)
        lab = color.rgb2lab(np.dstack([grey] * 3))
        small = transform.resize(grey / 255.0, (160, 160), anti_aliasing=True)
        rgb = network(torch.from_numpy(small[None, None].astype(np.float32)))[0].permute(1, 2, 0).numpy()
        colours = color.rgb2lab(rgb.astype(np.float64))[..., 1:]
        lab[..., 1:] = transform.resize(colours, (*grey.shape, 2))
        result = color.lab2rgb(lab)
        io.imsave(Path(out) / path.name, (result * 255).astype(np.uint8), quality=90, check_contrast=False)
        print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
