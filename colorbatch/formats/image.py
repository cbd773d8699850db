"""Convert decoded images to frames: upright, in sRGB, with separate alpha."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import UnsupportedPictureError
from colorbatch.formats import mark
from colorbatch.formats.description import Description
from colorbatch.formats.icc import to_srgb
from colorbatch.formats.outdated import current_xmp
from colorbatch.pixels.metadata import Metadata, Turn, current_exif, turned
from colorbatch.pixels.picture import Frame, Pixels
from colorbatch.pixels.resize import PIXELS_AT_ONCE

_Sample = TypeVar("_Sample", bound=np.generic)
_OPPOSITE_TURNS = {6: 8, 8: 6}
"""Orientations that undo another; the others undo themselves."""
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N"})


def planes_of(image: Image.Image) -> tuple[Pixels, Pixels | None]:
    """Return the pixels and the alpha of an opened image.

    Returns:
        Grey ``[H, W]``, RGB ``[H, W, 3]`` or CMYK ``[H, W, 4]``, uint8 or uint16; alpha ``[H, W]`` or ``None``.

    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16), None
    alpha = None
    if image.has_transparency_data:
        is_grey = image.mode in _GREY_MODES and image.mode != "1"
        image = image.convert("LA" if is_grey else "RGBA")
        alpha = np.asarray(image.getchannel("A"))
        image = image.convert("L" if is_grey else "RGB")
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return _array_of(image), alpha


def _array_of(image: Image.Image) -> Pixels:
    """Return the levels of an 8-bit image, copied in strips: in one piece, Pillow would make two more copies."""
    bands = len(image.getbands())
    levels = np.empty((image.height, image.width) if bands == 1 else (image.height, image.width, bands), np.uint8)
    rows = max(1, PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        bottom = min(image.height, top + rows)
        levels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return levels


@dataclass(frozen=True)
class Stored:
    """An image as stored in a file: not yet upright, nor in sRGB."""

    pixels: Pixels
    """Grey, RGB or CMYK, as :func:`planes_of` returns them."""
    alpha: Pixels | None
    metadata: Metadata
    profile: bytes | None
    """ICC profile of the pixels."""
    orientation: int | None
    """Orientation from EXIF or a TIFF tag, 1 to 8; ``None``: they have none, so that XMP decides."""
    unnamed: Pixels | None = None
    """A channel without a stated meaning."""

    @property
    def upright_by(self) -> int:
        """Orientation by which the pixels are turned upright, 1 to 8."""
        return self.orientation or mark.orientation(self.metadata.xmp) or 1

    def in_srgb(self, warnings: list[str]) -> "Stored":
        """Return it without a profile: the same pixels if they are in sRGB, else converted ones."""
        if not self.profile:
            return self
        return replace(self, pixels=to_srgb(self.pixels, self.profile, warnings), profile=None)


def stored_of(pixels: Pixels, alpha: Pixels | None, described: Description) -> Stored:
    """Return an image with what its file says beside its pixels."""
    return Stored(pixels, alpha, described.metadata, described.profile, described.orientation)


def make_frame(stored: Stored, warnings: list[str]) -> Frame:
    """Return an upright frame in sRGB; ``warnings`` receives problems of the profile."""
    stored = stored.in_srgb(warnings)
    pixels, metadata = stored.pixels, stored.metadata
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = _rgb_of_cmyk(pixels)
    orientation = stored.upright_by
    metadata = current_metadata(metadata, Turn(orientation, pixels.shape[1], pixels.shape[0]), warnings)
    alpha, unnamed = (
        None if plane is None else upright(plane, orientation) for plane in (stored.alpha, stored.unnamed)
    )
    return Frame(upright(pixels, orientation), alpha, metadata, unnamed=unnamed)


def current_metadata(metadata: Metadata, turn: Turn, warnings: list[str]) -> Metadata:
    """Return the metadata of a picture that is turned upright and will be coloured, without what is not true of it."""
    if turn.swaps_sides:
        metadata = turned(metadata)
    exif = current_exif(metadata.exif, turn, is_srgb=metadata.has_profile)
    return replace(metadata, exif=exif, xmp=mark.upright(current_xmp(metadata.xmp, turn, warnings)))


def upright(plane: NDArray[_Sample], orientation: int) -> NDArray[_Sample]:
    """Return ``[H, W]`` or ``[H, W, C]``, contiguous, rotated and mirrored according to EXIF 2.32, table 6."""
    if orientation in (5, 6, 7, 8):
        plane = plane.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        plane = plane[::-1]
    if orientation in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    return np.ascontiguousarray(plane)


def as_stored(plane: NDArray[_Sample], orientation: int) -> NDArray[_Sample]:
    """Return ``[H, W]``, contiguous, as it was before :func:`upright`."""
    return upright(plane, _OPPOSITE_TURNS.get(orientation, orientation))


def refuse_too_large(width: int, height: int, max_megapixels: float) -> None:
    """Raise if a frame would take too much memory, before it is decoded.

    Raises:
        UnsupportedPictureError: it has more pixels than are allowed.

    """
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise UnsupportedPictureError(
            f"it has {width} x {height} pixels, {megapixels:.0f} MP, and --max-megapixels is {max_megapixels:g}",
            advice="Raise --max-megapixels if the picture is genuine and there is memory for it.",
        )


def _rgb_of_cmyk(pixels: Pixels) -> Pixels:
    """Return RGB of CMYK without a profile: each ink absorbs its share, as in Pillow."""
    top = np.float32(np.iinfo(pixels.dtype).max)
    ink = pixels.astype(np.float32) / top
    rgb = (1 - ink[..., :3]) * (1 - ink[..., 3:])
    levels: Pixels = (rgb * top + np.float32(0.5)).astype(pixels.dtype)
    return levels
