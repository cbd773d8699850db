"""Variants of the files of published networks, and the colours that they give in the way of their authors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign_files as files
import numpy as np
import onnx
import onnxruntime
from helpers import SAMPLES
from numpy.typing import NDArray
from PIL import Image
from skimage import color as skimage_color

Array = NDArray[Any]


PICTURES = (SAMPLES / "portraits" / "grace_hopper.png", SAMPLES / "still_life" / "coffee.png")


TO_RGB = np.array([[0, 1.402], [-0.344136, -0.714136], [1.772, 0]])  # ITU-T T.871, section 7


NEWEST = 23


VARIANTS: dict[str, tuple[str, Callable[[], onnx.ModelProto]]] = {
    "ddcolor, fixed, opset 12": ("ddcolor", files.ddcolor),
    "ddcolor, fixed, opset 17": ("ddcolor", lambda: files.ddcolor(opset=17)),
    "ddcolor, fixed, newest opset": ("ddcolor", lambda: files.ddcolor(opset=NEWEST)),
    "ddcolor, fixed, fp16": ("ddcolor", lambda: files.ddcolor(opset=17, kind=files.HALF)),
    "ddcolor, dynamic": ("ddcolor", lambda: files.ddcolor(None)),
    "ddcolor, batch of one": ("ddcolor", files.one_at_a_time),
    "ddcolor, mixing its batch": ("ddcolor", files.mixing),
    "deoldify, fixed": ("deoldify", files.deoldify),
    "deoldify, fixed, fp16": ("deoldify", lambda: files.deoldify(kind=files.HALF, opset=17)),
    "deoldify, dynamic": ("deoldify", lambda: files.deoldify(None, opset=11)),
    "zhang2016, L inside": ("zhang2016", files.zhang),
    "zhang2016, L inside, quarter": ("zhang2016", lambda: files.zhang(None, quarter=True)),
    "zhang2016, centred": ("zhang2016", lambda: files.zhang(is_centred=True)),
    "zhang2016, centred, divided": ("zhang2016", lambda: files.zhang(None, is_centred=True, divides=True, opset=18)),
    "zhang2016, fp16": ("zhang2016", lambda: files.zhang(kind=files.HALF)),
    "zhang2017, without hints": ("zhang2017", files.zhang),
    "zhang2017, one input of hints": ("zhang2017", lambda: files.zhang(None, hints=[3])),
    "zhang2017, one input, fixed, centred": ("zhang2017", lambda: files.zhang(hints=[3], is_centred=True)),
    "zhang2017, two inputs of hints": ("zhang2017", lambda: files.zhang(None, hints=[2, 1])),
}


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "any name.onnx"
    onnx.save(model, path)
    return path


def grey(path: Path, size: tuple[int, int]) -> Array:
    """Return a photograph in grey, uint8 of this height and width."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize(size[::-1], Image.Resampling.LANCZOS))


def resized(plane: Array, size: tuple[int, int]) -> Array:
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC), np.float64)


def by_authors(path: Path, variant: str, levels: Array, seen: tuple[int, int], box: tuple[int, int]) -> Array:
    """Return the chroma ``[2, H, W]`` of the colours of the authors' own way, with the Lab of scikit-image.

    Args:
        path: the original file.
        variant: the key of ``VARIANTS``, which says what its values mean.
        levels: the photograph, uint8 ``[H, W]``.
        seen: height and width that the network takes.
        box: height and width of the photograph in it, in the top left corner.

    """
    small = np.clip(resized(levels / 255, box), 0, 1)
    small = np.pad(small, [(0, seen[0] - box[0]), (0, seen[1] - box[1])], mode="edge")
    rgb = np.stack([small] * 3, axis=-1)
    lightness = skimage_color.rgb2lab(rgb)[..., 0]
    if variant.startswith("ddcolor"):
        value = skimage_color.lab2rgb(np.stack([lightness, 0 * lightness, 0 * lightness], axis=-1)).transpose(2, 0, 1)
    elif variant.startswith("deoldify"):
        value = rgb.transpose(2, 0, 1) * 255
    else:
        value = ((lightness - 50) / 100 if "centred" in variant else lightness)[None]
    session = onnxruntime.InferenceSession(path.read_bytes())
    first, *others = session.get_inputs()
    dtype = np.float16 if "16" in first.type else np.float32
    fed = {first.name: value[None].astype(dtype)}
    fed |= {each.name: np.zeros((1, each.shape[1], *seen), dtype) for each in others}
    planes = session.run(None, fed)[0][0].astype(np.float64)
    if "divided" in variant:
        planes = planes * 110
    if variant.startswith("deoldify"):
        planes = planes.clip(0, 255)
    planes = np.stack([resized(resized(plane, seen)[: box[0], : box[1]], levels.shape) for plane in planes])
    if variant.startswith("deoldify"):
        colours = planes.transpose(1, 2, 0) / 255
    else:
        own = skimage_color.rgb2lab(np.stack([levels / 255] * 3, axis=-1))[..., :1]
        colours = skimage_color.lab2rgb(np.concatenate([own, planes.transpose(1, 2, 0)], axis=-1))
    luma = colours @ [0.299, 0.587, 0.114]
    return np.stack([(colours[..., 2] - luma) / 1.772, (colours[..., 0] - luma) / 1.402])


def levels_apart(one: Array, other: Array) -> Array:
    """Return how far two chromas are from each other in 8-bit levels of RGB, with the same luma."""
    apart: Array = np.abs(np.einsum("rc,c...->r...", TO_RGB, one - other)) * 255
    return apart


def chroma_of(model: Path, *pictures: Array) -> Array:
    luma = np.stack(pictures)[:, None].astype(np.float32) / 255
    session = onnxruntime.InferenceSession(model.read_bytes())
    found: Array = session.run(None, {"luma": luma})[0]
    return found
