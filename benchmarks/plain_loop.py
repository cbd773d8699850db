"""The loop that one would write in five minutes, one picture after another: seconds per picture on stdout.

Pillow opens, ONNX Runtime runs on all cores, Pillow enlarges, merges as YCbCr and saves. There is no metadata, no check
of the luma, no manifest, and no atomic write.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image

from colorbatch.inference.model_file import read_model_file


def main() -> None:
    """Colour the first pictures of a folder."""
    model = read_model_file("default")
    session = ort.InferenceSession(model.data, providers=["CPUExecutionProvider"])
    vividness = np.array(model.contract.vividness, np.float32)
    multiple, side = model.contract.size_multiple, model.contract.working_size
    paths = sorted(Path(sys.argv[1]).iterdir())[: int(sys.argv[2])]
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        for path in paths:
            luma = Image.open(path).convert("L")
            scale = side / min(luma.size)
            width, height = (round(length * scale / multiple) * multiple for length in luma.size)
            small = luma.resize((width, height), Image.Resampling.BICUBIC)
            unit = np.asarray(small, np.float32)[None, None] / 255
            (chroma,) = session.run(["chroma"], {"luma": unit, "vividness": vividness})
            levels = np.clip(chroma[0] * 255 + 128, 0, 255).astype(np.uint8)
            planes = [Image.fromarray(plane).resize(luma.size, Image.Resampling.BICUBIC) for plane in levels]
            Image.merge("YCbCr", (luma, *planes)).save(Path(out) / path.name, quality=90)
        print((time.perf_counter() - began) / len(paths))


if __name__ == "__main__":
    main()
