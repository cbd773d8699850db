"""An opened picture, small enough to be kept, and its preview: the colours of the output at the size of a screen."""

import io
import math
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import InferenceError
from colorbatch.formats import decode
from colorbatch.inference.colorizer import Colorizer, PixelPrediction
from colorbatch.job import BatchJob
from colorbatch.pixels import chroma, color, resize
from colorbatch.pixels.color import Plane
from colorbatch.pixels.hint import hint_planes
from colorbatch.pixels.own_color import OwnColor, find_own_color
from colorbatch.pixels.picture import Frame
from colorbatch.records.retouch import RetouchLine
from colorbatch.run.treatment import page_action

SCREEN_SIDE = 1600
"""Longest side of a preview in pixels."""
_QUALITY = 85
_CHROMA_HALVED = 2
"""Number by which Pillow calls JPEGs whose chroma has half the height and width (4:2:0)."""
_PICKED = 2
"""Distance in pixels of a preview to which the colour of a place is averaged."""

Levels = NDArray[np.uint8]
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class OpenedPage:
    """A page of a picture, without its pixels at full size."""

    height: int
    width: int
    levels: Levels
    """Luma at the size of the screen, ``[h, w]``."""
    own_levels: Levels | None
    """The pixels in RGB at that size, ``[h, w, 3]``; ``None``: they are grey."""
    own: OwnColor
    """Where the page has colours of its own."""
    lumas: Mapping[tuple[int, int], Plane]
    """Luma at each size (height, width) at which a network sees the page."""
    plain: dict[Hashable, PixelPrediction] = field(default_factory=dict)
    """The last prediction without hints, by model and options."""
    colors: dict[Hashable, Plane] = field(default_factory=dict)
    """The last probabilities of colours, by model and hints."""

    @property
    def bytes(self) -> int:
        """Size in memory."""
        arrays = (self.levels, self.own_levels, self.own.objects, *self.lumas.values())
        return sum(each.nbytes for each in arrays if each is not None)

    @property
    def screen(self) -> tuple[int, int]:
        """Width and height of its preview."""
        height, width = self.levels.shape
        return width, height


@dataclass(frozen=True, eq=False)
class Preview:
    """A page as its output will look, at the size of the screen."""

    image: Image.Image
    """In the mode that a JPEG stores, or ``RGB``."""

    def to_jpeg(self) -> bytes:
        """Return it as a file."""
        buffer = io.BytesIO()
        self.image.save(buffer, "JPEG", quality=_QUALITY, subsampling=_CHROMA_HALVED)
        return buffer.getvalue()

    def color_at(self, x: float, y: float) -> str:
        """Return the mean colour around a place, ``#rrggbb``; x and y are shares of width and height, 0..1."""
        column, row = (min(side - 1, int(share * side)) for share, side in zip((x, y), self.image.size, strict=True))
        box = (column - _PICKED, row - _PICKED, column + _PICKED + 1, row + _PICKED + 1)
        inside = (max(0, box[0]), max(0, box[1]), min(self.image.width, box[2]), min(self.image.height, box[3]))
        levels = np.asarray(self.image.crop(inside).convert("RGB")).reshape(-1, 3).mean(axis=0)
        return hex_of(np.rint(levels).astype(np.uint8))


def hex_of(levels: NDArray[Any]) -> str:
    """Return red, green and blue in 8-bit levels as ``#rrggbb``."""
    return "#" + bytes(levels.astype(np.uint8)).hex()


def open_pages(
    data: bytes,
    colorizers: Iterable[Colorizer],
    max_megapixels: float,
    *,
    salvage: bool = False,
    is_output: bool = False,
) -> Sequence[OpenedPage]:
    """Decode a file, and return its pages.

    Args:
        data: content of the file.
        colorizers: those that may colour it.
        max_megapixels: as for :func:`colorbatch.formats.decode`.
        salvage: likewise.
        is_output: whether its colours were made by a model, so that only its luma counts.

    Raises:
        PictureError: it cannot be decoded.

    """
    known = list(colorizers)
    return [
        _opened(frame, known, is_output=is_output) for frame in decode(data, max_megapixels, salvage=salvage).frames
    ]


def _opened(frame: Frame, colorizers: Sequence[Colorizer], *, is_output: bool) -> OpenedPage:
    pixels, has_color = frame.pixels, frame.pixels.ndim == 3 and not is_output
    screen = screen_size(frame.height, frame.width)
    return OpenedPage(
        height=frame.height,
        width=frame.width,
        levels=color.to_8_bits(color.to_levels(resize.shrink_luma(pixels, screen))),
        own_levels=resize.shrink_levels(pixels, screen, Image.Resampling.HAMMING) if has_color else None,
        own=find_own_color(pixels) if has_color else OwnColor(),
        lumas={size: resize.shrink_luma(pixels, size) for size in _network_sizes(frame, screen, colorizers)},
    )


def _network_sizes(frame: Frame, screen: tuple[int, int], colorizers: Sequence[Colorizer]) -> set[tuple[int, int]]:
    return {_seen_size(each, frame.height, frame.width, screen) for each in colorizers}


def _seen_size(colorizer: Colorizer, height: int, width: int, screen: tuple[int, int]) -> tuple[int, int]:
    """Return the size at which a network sees a preview: as in a run, but tiles only of what the screen shows."""
    return screen if colorizer.session.contract.tiling == "tiles" else colorizer.network_size(height, width)


def screen_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width of a preview."""
    scale = min(1.0, SCREEN_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def seen_luma(page: OpenedPage, colorizer: Colorizer) -> Plane:
    """Return the luma of a page as a network sees it, ``[h, w]``."""
    height, width = page.levels.shape
    size = _seen_size(colorizer, page.height, page.width, (height, width))
    return page.lumas.get(size, color.luma_of(page.levels))


def is_kept_for(page: OpenedPage, colorizer: Colorizer) -> bool:
    """Return whether the luma that a network sees was kept when a page was opened."""
    height, width = page.levels.shape
    return _seen_size(colorizer, page.height, page.width, (height, width)) in page.lumas


def preview(page: OpenedPage, line: RetouchLine, colorizer: Colorizer, job: BatchJob) -> Preview:
    """Return a page as a run would make it.

    Args:
        page: the page.
        line: what a person says of it.
        colorizer: that of the model in the line.
        job: the run.

    Raises:
        InferenceError: the model failed, or does not support hints.
        UsageError: vividness or strength do not fit the model.

    """
    if page_action(page.own, line, job) != "colour":
        return Preview(Image.fromarray(page.levels if page.own_levels is None else page.own_levels))
    retouched = colorizer.with_options(vividness=line.vividness, strength=line.strength)
    luma = seen_luma(page, retouched)
    deadline = None if job.timeout is None else time.monotonic() + job.timeout
    key = retouched.session.model.sha256, retouched.options
    plain = _remembered(page.plain, key, lambda: retouched.predict_pixels(luma, deadline))
    colors = retouched.predict_hinted(luma, line.hints, deadline, plain).chroma
    if page.own.objects is not None and page.own_levels is not None:
        merged = chroma.merged(page.own_levels, colors, page.own.objects)
        return Preview(Image.fromarray(merged))
    return Preview(_laid_over(page.levels, colors))


def _remembered(last: dict[Hashable, _T], key: Hashable, compute: Callable[[], _T]) -> _T:
    """Return the value for a key, computed if it is not the last one."""
    found = last.get(key)
    if found is None:
        found = compute()
        last.clear()
        last[key] = found
    return found


def _laid_over(levels: Levels, colors: Plane) -> Image.Image:
    """Return luma with chroma as a JPEG stores it: a quarter of the arithmetic of RGB."""
    height, width = levels.shape
    planes = chroma.halved_chroma_planes(levels, colors).repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    return Image.merge("YCbCr", [Image.fromarray(np.ascontiguousarray(each)) for each in (levels, *planes)])


def _size_of(plane: Plane) -> tuple[int, int]:
    return plane.shape[0], plane.shape[1]


@dataclass(frozen=True)
class Suggestion:
    """A colour that a place may have."""

    color: str
    """``#rrggbb``."""
    share: float
    """Its probability according to the model, with those of colours that look the same: 0..1."""


_SUGGESTIONS = 6
_VISIBLE = 22.0
"""Distance in CIELAB from which suggested colours differ clearly."""


def suggestions(page: OpenedPage, line: RetouchLine, colorizer: Colorizer, x: float, y: float) -> Sequence[Suggestion]:
    """Return the likeliest colours of a place that differ visibly, at the luma of that place.

    Hints of that place itself do not count: they would be all that is suggested.

    Args:
        page: the page.
        line: what a person says of it.
        colorizer: that of the model in the line.
        x: distance from the left edge, as a share of the width, 0..1.
        y: distance from the upper edge, as a share of the height.

    Raises:
        InferenceError: the model failed, or does not say how likely colours are.

    """
    bins = colorizer.session.contract.colors
    if bins is None:
        raise InferenceError(f"the model {colorizer.session.contract.name} does not say how likely colours are")
    height, width = page.levels.shape
    short = min(height, width)
    others = tuple(
        each for each in line.hints if math.hypot((each.x - x) * width, (each.y - y) * height) > each.radius * short
    )
    luma = seen_luma(page, colorizer)
    planes = hint_planes(others, _size_of(luma)) if others else None
    key = colorizer.session.model.sha256, others
    shares = _at(_remembered(page.colors, key, lambda: colorizer.predict_colors(luma, planes)), x, y)
    strength = colorizer.options.strength if line.strength is None else line.strength
    level = float(_at(color.luma_of(page.levels)[None], x, y)[0])
    rgb = _colors_at(level, np.array(bins, np.float32) * np.float32(strength))
    return _distinct(rgb, shares)


def _at(planes: NDArray[Any], x: float, y: float) -> NDArray[Any]:
    """Return the values of planes ``[C, h, w]`` at a place, ``[C]``."""
    height, width = planes.shape[1:]
    values: NDArray[Any] = planes[:, min(height - 1, int(y * height)), min(width - 1, int(x * width))]
    return values


def _colors_at(level: float, chromas: Plane) -> Levels:
    """Return the colours ``[B, 3]`` of chroma ``[B, 2]`` at a luma in 0..1."""
    offsets = color.offsets_of(np.ascontiguousarray(chromas.T)[:, None])
    rgb = color.merge(np.full((1, len(chromas)), level, np.float32), offsets)
    levels: Levels = color.to_8_bits(color.to_levels(rgb))[0]
    return levels


def _distinct(colors: Levels, shares: Plane) -> Sequence[Suggestion]:
    """Return colours that differ, likeliest first, each with the probability of all that it stands for."""
    places = _lab_of(colors)
    left = np.ones(len(colors), bool)
    found: list[Suggestion] = []
    for index in np.argsort(-shares):
        if not left[index] or len(found) == _SUGGESTIONS:
            continue
        alike = left & (np.linalg.norm(places - places[index], axis=1) < _VISIBLE)
        left &= ~alike
        found.append(Suggestion(hex_of(colors[index]), round(float(shares[alike].sum()), 3)))
    return sorted(found, key=lambda each: -each.share)


_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""Weights of linear red, green and blue in X, Y and Z (IEC 61966-2-1)."""


def _lab_of(levels: Levels) -> NDArray[np.float64]:
    """Return CIELAB ``[N, 3]`` of sRGB ``[N, 3]`` (IEC 61966-2-1; CIE 15:2004, section 8.2.1; white D65)."""
    unit = levels / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    scaled = linear @ _XYZ.T / _XYZ.sum(axis=1)
    cube = np.where(scaled > (6 / 29) ** 3, np.cbrt(scaled), scaled * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = cube.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
