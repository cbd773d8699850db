"""Find what has colours of its own in a picture: all of it, or a chart, a ruler, a stamp or ink on black and white.

A toned photograph beside something in colour is further from a single tone (:mod:`colorbatch.pixels.toning`) than
many colour photographs. It differs in where its colours are: in a small part of the picture, outside of which it has
one tone. That part is thin, like ink and the lines of a stamp, or lies at the edge, like a chart and a ruler; the
coloured object of a colour photograph is a solid shape within it.

``benchmarks/toning.py`` measures how often that is right; its figures, of pictures like those on which the limits were
chosen, are in ``benchmarks/README.md``. 96 % of ordinary colour photographs, 65 % of those of very little colour and
1.1 % of toned ones count as in colour.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from colorbatch.pixels.chroma import Pixels
from colorbatch.pixels.color import Plane
from colorbatch.pixels.toning import MAX_ALONG, ToneMeasure, measure_tone, shrunk_planes

Mask = NDArray[np.bool_]

TONE_GROUPS = 12
"""Number of groups of pixels, of equal size and similar luma, whose median chroma is the tone: an object smaller than
half of a group does not change it."""
MIN_OFF_TONE, MIN_VIVID = 8.0, 20.0
"""Distances from the tone, in 8-bit levels of chroma: pixels beyond the first may belong to an object, and each object
has some beyond the second."""
MIN_VIVID_SHARE = 1 / 2000
"""Minimum share of the picture beyond ``MIN_VIVID``. One of a thousand toned photographs has more."""
MAX_SHARE = 0.12
"""Maximum share of the picture that lies within ``REACH`` of objects."""
REACH = 2
"""Distance in pixels of the small picture to which blurred edges of an object reach."""
MAX_ACROSS_BESIDE = 1.0
"""Limit of the second measure of tone for the picture without its objects: stricter than for a whole picture, since
the strongest colours are left out."""
SOLID = 7
"""Side in pixels of the small picture of a square that fits into solid shapes."""
EDGE = 0.15
"""Share of height and width, from each edge, within which solid shapes are allowed."""
MAX_GREY = 4.0
"""Maximum chroma of a grey mount, in 8-bit levels."""
MAX_MOUNT = 0.25
"""Maximum width of a mount, of either side of a picture, as a share of the whole width or height."""
MIN_GREY_SHARE = 0.95
"""Minimum share of a row or column of the mount that is grey."""
FINE_SIDE = 1024
"""Maximum short side in pixels of the mask of objects."""
FEATHER = 6.0, 14.0
"""Distances from the tone between which weights rise from 0 to 1."""


@dataclass(frozen=True)
class OwnColor:
    """Where a picture has colours of its own."""

    is_widespread: bool = False
    """Whether the picture as a whole is in colour."""
    is_doubtful: bool = False
    """Whether it is close to the limits of that: it counts as toned, but might be a colour photograph."""
    objects: Plane | None = None
    """Weight in 0..1, ``[h, w]``, small, of what is in colour in a picture of one tone; ``None``: nothing is."""


def find_own_color(pixels: Pixels) -> OwnColor:
    """Find the colours of an image, grey ``[H, W]`` or RGB ``[H, W, 3]`` of 8 or 16 bits."""
    if pixels.ndim == 2:
        return OwnColor()
    luma, chroma = shrunk_planes(pixels)
    tone = _Tone(luma.ravel(), chroma.reshape(2, -1))
    distance = tone.distance(luma, chroma)
    near = _grown(distance > MIN_OFF_TONE, REACH)
    if np.mean(distance > MIN_VIVID) >= MIN_VIVID_SHARE and _is_local(distance > MIN_OFF_TONE, near):
        beside = _tone_within(_without_mount(chroma, near) & ~near, luma, chroma)
        if beside.along <= MAX_ALONG and beside.across <= MAX_ACROSS_BESIDE:
            return OwnColor(objects=_weights(pixels, tone, _objects(distance)))
    picture = _without_mount(chroma, np.zeros_like(near))
    found = _tone_within(picture, luma, chroma)
    return OwnColor(is_widespread=found.is_color, is_doubtful=found.is_doubtful)


class _Tone:
    """The tone of a picture, of which objects in colour are no part."""

    def __init__(self, luma: Plane, chroma: Plane) -> None:
        """Find the tone of luma ``[N]`` and chroma ``[2, N]``."""
        groups = np.array_split(np.argsort(luma, kind="stable"), min(TONE_GROUPS, luma.size))
        self._luma = [float(np.median(luma[group])) for group in groups]
        self._chroma = np.array([[np.median(plane[group]) for group in groups] for plane in chroma])  # [2, groups]
        self._strongest = self._chroma[:, np.argmax(np.hypot(*self._chroma))]

    def distance(self, luma: Plane, chroma: Plane) -> Plane:
        """Return the distance of chroma ``[2, h, w]`` from what the tone, or its fading to grey, explains, ``[h, w]``.

        The mount and the margin of a toned photograph are grey; so the strongest tone is expected at any luma.
        """
        expected = np.stack([np.interp(luma, self._luma, plane) for plane in self._chroma])
        strongest = np.broadcast_to(self._strongest[:, None, None], chroma.shape)
        distance: Plane = np.minimum(_from_line(chroma, expected), _from_line(chroma, strongest))
        return distance


def _from_line(chroma: Plane, end: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the distance of chroma from the line between grey and ``end``, both ``[2, h, w]``."""
    length = np.maximum(np.sum(end * end, axis=0), np.finfo(np.float32).tiny)
    nearest = np.clip(np.sum(chroma * end, axis=0) / length, 0, 1) * end
    distance: NDArray[np.floating] = np.hypot(*(chroma - nearest))
    return distance


def _without_mount(chroma: Plane, objects: Mask) -> Mask:
    """Return the pixels, ``[h, w]``, of the picture without its grey mount, on which objects may lie."""
    is_grey = (np.hypot(*chroma) < MAX_GREY) | objects
    inner: Mask = np.zeros(is_grey.shape, bool)
    rows = _inner(is_grey.mean(axis=1) >= MIN_GREY_SHARE)
    inner[rows, _inner(is_grey[rows].mean(axis=0) >= MIN_GREY_SHARE)] = True
    return inner


def _inner(is_mount: Mask) -> slice:
    """Return the range of rows or columns without those of the mount, of limited width, at either end."""
    size = is_mount.size
    widest = int(MAX_MOUNT * size)
    others = np.flatnonzero(~is_mount)
    first, last = (others[0], others[-1]) if others.size else (size, 0)
    return slice(min(first, widest), max(last + 1, size - widest))


def _tone_within(mask: Mask, luma: Plane, chroma: Plane) -> ToneMeasure:
    return measure_tone(luma[mask], chroma[:, mask]) if mask.any() else ToneMeasure(0.0, 0.0)


def _is_local(off_tone: Mask, near: Mask) -> bool:
    """Return whether what is off the tone is small, and no solid shape within the picture."""
    solid = np.asarray(Image.fromarray(off_tone.astype(np.uint8)).filter(ImageFilter.MinFilter(SOLID))) > 0
    down, across = (round(side * EDGE) for side in solid.shape)
    is_solid = solid[down : solid.shape[0] - down, across : solid.shape[1] - across].any()
    return bool(near.mean() <= MAX_SHARE and not is_solid)


def _objects(distance: Plane) -> Mask:
    """Return the pixels of objects, ``[h, w]``: vivid ones, and those off the tone that are connected with them."""
    off_tone = distance > MIN_OFF_TONE
    objects: Mask = distance > MIN_VIVID
    while True:
        larger = _grown(objects, 1) & off_tone
        if np.array_equal(larger, objects):
            return _grown(objects, REACH)
        objects = larger


def _weights(pixels: Pixels, tone: _Tone, objects: Mask) -> Plane:
    """Return the weights of objects, found at a small size, at a larger one."""
    distance = tone.distance(*shrunk_planes(pixels, FINE_SIDE))
    low, high = FEATHER
    weights = Image.fromarray(np.clip((distance - low) * (255 / (high - low)), 0, 255).astype(np.uint8))
    weights = weights.filter(ImageFilter.MaxFilter(3)).filter(ImageFilter.GaussianBlur(1))
    mask = Image.fromarray(objects.astype(np.uint8) * 255).resize(weights.size, Image.Resampling.BILINEAR)
    product: Plane = np.asarray(weights, np.float32) * np.asarray(mask, np.float32) / np.float32(255**2)
    return product


def _grown(mask: Mask, distance: int) -> Mask:
    """Return the mask with all pixels within a distance, in either direction."""
    grown: Mask = np.asarray(Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * distance + 1))) > 0
    return grown
