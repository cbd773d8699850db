"""What a published network does by itself, in the way of its authors: preparation and colours in NumPy and Pillow.

Nothing here is shared with the graph that is put around it, so that the two can be compared.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import ModelRefusedError
from colorbatch.inference.contract import Fit
from colorbatch.pixels.color import Plane
from colorbatch_export.adapters.foreign import Foreign

_Array = NDArray[np.float64]
_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_WHITE = np.array([0.95047, 1.0, 1.08883])


def chroma_by_authors(foreign: Foreign, fit: Fit, luma: Plane, hints: Plane | None = None) -> Plane:
    """Return Cb and Cr ``[2, H, W]`` of the colours that a network gives a picture.

    The authors resize the grey, let the network see it, resize a and b (or RGB) to the size of the picture, join them
    with its own L and clip RGB. They resize in different ways; here it is done bicubically, antialiased.

    Args:
        foreign: the network, with what runs it.
        fit: how a picture is brought to the shape that it takes.
        luma: ``[H, W]`` in 0..1.
        hints: ``[3, H, W]``: Cb, Cr and weight, for a network that takes them.

    Raises:
        ModelRefusedError: the network fails.

    """
    size = (luma.shape[0], luma.shape[1])
    inner, outer = _sizes(foreign, fit, size)
    seen = np.clip(_padded(_resized(luma, inner), outer, "edge"), 0, 1)
    given = _given(foreign, seen, None if hints is None else _seen_hints(hints, inner, outer))
    answer = _run(foreign, [each.astype(np.float32)[None] for each in given])[0].astype(np.float64)
    if foreign.kind.takes_luma:
        answer = np.clip(answer, 0, 255) / 255
    inside = [_resized(plane, outer)[: inner[0], : inner[1]] if inner != outer else plane for plane in answer]
    large = np.stack([_resized(plane, size) for plane in inside])
    if foreign.kind.takes_luma:
        return _chroma(large)
    ab = large * (110 if foreign.units == "Lab / 110" else 1)
    return _chroma(_rgb_of_lab(np.concatenate([_lightness(luma.astype(np.float64))[None], ab])))


def _run(foreign: Foreign, values: Sequence[Plane]) -> Plane:
    """Run the network.

    Raises:
        ModelRefusedError: it fails.

    """
    assert foreign.run is not None
    try:
        return foreign.run(values)
    except MemoryError:
        raise
    except Exception as error:  # those of ONNX Runtime and PyTorch have no common base class but Exception
        raise ModelRefusedError(f"the network itself fails at {list(values[0].shape[2:])}: {error}") from error


def _sizes(foreign: Foreign, fit: Fit, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the height and width of the picture within what the network sees, and of all that it sees."""
    if foreign.size is None:
        if fit == "pad":
            return size, size
        side = -(-min(size) // foreign.kind.size_multiple) * foreign.kind.size_multiple
        return (side, side), (side, side)
    if fit == "stretch":
        return foreign.size, foreign.size
    scale = min(np.float32(most) / np.float32(own) for most, own in zip(foreign.size, size, strict=True))
    height, width = (
        min(max(1, int(np.floor(np.float32(own) * scale + np.float32(0.5)))), most)
        for own, most in zip(size, foreign.size, strict=True)
    )
    return (height, width), foreign.size


def _given(foreign: Foreign, seen: _Array, hints: _Array | None) -> Sequence[_Array]:
    """Return the inputs of the network, ``[C, h, w]``."""
    if foreign.kind.takes_luma:
        return [np.stack([seen] * 3) * 255]
    lightness = _lightness(seen)
    if foreign.inputs[0].shape[1] == 3:
        return [_rgb_of_lab(np.stack([lightness, np.zeros_like(seen), np.zeros_like(seen)]))]
    first = [((lightness - 50) / 100 if foreign.is_centred else lightness)[None]]
    if not foreign.takes_hints:
        return first
    planes = np.zeros((3, *seen.shape)) if hints is None else hints
    ab, weight = _ab_of_chroma(seen, planes[:2]) * (planes[2:] > 0), planes[2:]
    if foreign.is_centred:
        ab = ab / 110
    return [*first, np.concatenate([ab, weight])] if len(foreign.inputs) == 2 else [*first, ab, weight]


def _seen_hints(hints: Plane, inner: tuple[int, int], outer: tuple[int, int]) -> _Array:
    """Return hints as the network sees them: colours averaged by weight, nothing in the padding."""
    chroma, weight = hints[:2].astype(np.float64), hints[2:].astype(np.float64)
    placed = np.stack([_padded(_resized(plane, inner), outer, "constant") for plane in (*(chroma * weight), *weight)])
    weight = np.clip(placed[2:], 0, 1)
    return np.concatenate([np.clip(placed[:2] / np.maximum(weight, 1e-6), -0.5, 0.5), weight])


def _resized(plane: NDArray[np.floating], size: tuple[int, int]) -> _Array:
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC), np.float64)


def _padded(plane: _Array, size: tuple[int, int], mode: Literal["edge", "constant"]) -> _Array:
    return np.pad(plane, [(0, side - own) for side, own in zip(size, plane.shape, strict=True)], mode=mode)


def _linear(encoded: NDArray[np.floating]) -> _Array:
    return np.where(encoded > 0.04045, ((encoded + 0.055) / 1.055) ** 2.4, encoded / 12.92)


def _lightness(grey: NDArray[np.floating]) -> _Array:
    return 116 * _root(_linear(grey)) - 16


def _root(linear: _Array) -> _Array:
    return np.where(linear > 0.008856, np.cbrt(linear), 7.787 * linear + 16 / 116)


def _rgb_of_lab(lab: _Array) -> _Array:
    """Return RGB ``[3, H, W]`` in 0..1 of Lab ``[3, H, W]``, clipped."""
    lightness, a, b = lab
    y = (lightness + 16) / 116
    roots = np.stack([y + a / 500, y, np.maximum(y - b / 200, 0)])
    xyz = np.where(roots > 0.2068966, roots**3, (roots - 16 / 116) / 7.787) * _WHITE[:, None, None]
    linear = np.clip(np.einsum("mc,chw->mhw", np.linalg.inv(_TO_XYZ), xyz), 0, 1)
    encoded: _Array = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return encoded


def _ab_of_chroma(luma: _Array, chroma: _Array) -> _Array:
    """Return a and b ``[2, H, W]`` of the colours with this luma and chroma, clipped (ITU-T T.871, section 7)."""
    cb, cr = chroma
    rgb = np.clip(np.stack([luma + 1.402 * cr, luma - 0.344136286 * cb - 0.714136286 * cr, luma + 1.772 * cb]), 0, 1)
    x, y, z = _root(np.einsum("mc,chw->mhw", _TO_XYZ, _linear(rgb)) / _WHITE[:, None, None])
    return np.stack([500 * (x - y), 200 * (y - z)])


def _chroma(rgb: _Array) -> Plane:
    """Return Cb and Cr ``[2, H, W]`` of RGB ``[3, H, W]`` in 0..1 (ITU-T T.871, section 7)."""
    red, green, blue = rgb
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([(blue - luma) / 1.772, (red - luma) / 1.402]).astype(np.float32)
