"""Between luma, chroma and CIE Lab, as nodes of a graph.

Sources: IEC 61966-2-1 (the transfer function of sRGB, and its matrix to XYZ); CIE 15, section 8.2.1 (Lab), with the
rounded constants that OpenCV and scikit-image use, which are the networks' own preprocessing; white is D65.
"""

import numpy as np
from numpy.typing import NDArray

from colorbatch.pixels import color
from colorbatch_export.adapters.nodes import Nodes, Value

XYZ_OF_RGB = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
WHITE = np.array([0.95047, 1.0, 1.08883])
_DARK, _DARK_ROOT = 0.008856, 0.2068966
"""Where the cube root of Lab goes over into a line, and its value there."""
_TINY = 1e-4
"""Below what is taken to a fractional power, which would otherwise have no finite slope, or be no number."""


def lightness_of(luma: Value) -> Value:
    """Return L in 0..100 of grey ``[N, 1, H, W]`` in 0..1."""
    return _root(luma.nodes, _linear(luma.nodes, luma)) * 116.0 - 16.0


def chroma_of_lab(luma: Value, ab: Value) -> Value:
    """Return Cb and Cr ``[N, 2, H, W]`` of colours with the lightness of this grey, and these a and b, clipped to RGB.

    Args:
        luma: grey, ``[N, 1, H, W]`` in 0..1.
        ab: ``[N, 2, H, W]``.

    """
    nodes = luma.nodes
    root = _root(nodes, _linear(nodes, luma))
    a, b = ab.part(0, 1, axis=1), ab.part(1, 2, axis=1)
    roots = nodes.concat([root + a / 500.0, root, (root - b / 200.0).at_least(0.0)], axis=1)
    xyz = nodes.where(roots > _DARK_ROOT, roots * roots * roots, (roots - 16 / 116) / 7.787)
    linear = _matrix(nodes, np.linalg.inv(XYZ_OF_RGB) * WHITE, xyz).clip(0.0, 1.0)
    encoded = nodes.where(linear > 0.0031308, linear.at_least(_TINY) ** (1 / 2.4) * 1.055 - 0.055, linear * 12.92)
    return chroma_of_rgb(encoded)


def chroma_of_rgb(rgb: Value) -> Value:
    """Return Cb and Cr ``[N, 2, H, W]`` of RGB ``[N, 3, H, W]`` in 0..1."""
    return _matrix(rgb.nodes, color.CHROMA_WEIGHTS, rgb)


def ab_of_chroma(luma: Value, chroma: Value) -> Value:
    """Return a and b ``[N, 2, H, W]`` of the colours with this luma and chroma, clipped to RGB."""
    nodes = luma.nodes
    offsets = np.array([[0, color.CR_SCALE], [color.GREEN_OF_CB, color.GREEN_OF_CR], [color.CB_SCALE, 0]])
    rgb = (_matrix(nodes, offsets, chroma) + luma).clip(0.0, 1.0)
    roots = _root(nodes, _matrix(nodes, XYZ_OF_RGB / WHITE[:, None], _linear(nodes, rgb)))
    return _matrix(nodes, np.array([[500, -500, 0], [0, 200, -200]]), roots)


def _linear(nodes: Nodes, encoded: Value) -> Value:
    return nodes.where(encoded > 0.04045, ((encoded + 0.055) / 1.055).at_least(_TINY) ** 2.4, encoded / 12.92)


def _root(nodes: Nodes, linear: Value) -> Value:
    return nodes.where(linear > _DARK, linear.at_least(_TINY) ** (1 / 3), linear * 7.787 + 16 / 116)


def _matrix(nodes: Nodes, matrix: NDArray[np.float64], planes: Value) -> Value:
    """Return the product with a matrix ``[M, C]`` along the channels of ``[N, C, H, W]``."""
    return nodes.op("Conv", planes, matrix.astype(np.float32)[:, :, None, None])
