"""Contents of a decoded picture file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from colorbatch.pixels.chroma import Pixels, merged, merged_strips
from colorbatch.pixels.color import Plane
from colorbatch.pixels.metadata import Metadata, RawTag

__all__ = ["CodedLuma", "Frame", "JpegOrigin", "MaskPage", "Picture", "Pixels"]

_TILE_WIDTH = 322
"""Tag of a TIFF page (TIFF 6.0, section 15)."""


@dataclass(frozen=True)
class Frame:
    """One image of a picture: the only one, or a page of a TIFF. Upright and in sRGB."""

    pixels: Pixels
    """Grey ``[H, W]`` or RGB ``[H, W, 3]``, uint8 or uint16, using the full range of its type."""
    alpha: Pixels | None = None
    """``[H, W]`` of the same type, kept bit for bit."""
    metadata: Metadata = field(default_factory=Metadata)
    chroma: Plane | None = None
    """``[2, h, w]``, small, to be merged with the luma of the pixels; ``None``: the pixels are final."""
    own_color: Plane | None = None
    """``[h, w]``, small: weight in 0..1 with which RGB pixels keep their own colours where chroma is merged with them;
    ``None``: nowhere."""
    confidence: float | None = None
    """The model's confidence in the chroma, 0..1; ``None``: not reported, or nothing was coloured."""
    unnamed: Pixels | None = None
    """Like alpha, a channel without a stated meaning, such as the infrared of a scanner; in a TIFF only."""

    def merged(self) -> "Frame":
        """Return the frame with its chroma merged into its pixels: RGB ``[H, W, 3]``."""
        if self.chroma is None:
            return self
        return replace(self, pixels=merged(self.pixels, self.chroma, self.own_color), chroma=None, own_color=None)

    def merged_strips(self, multiple_of: int) -> Iterator[Pixels]:
        """Yield the pixels of :meth:`merged` in strips ``[R, W, 3]``, from top to bottom.

        The number of rows of each but the last is a multiple of ``multiple_of``.
        """
        assert self.chroma is not None
        return merged_strips(self.pixels, self.chroma, self.own_color, multiple_of)

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def bits(self) -> int:
        """Bits per channel: 8 or 16."""
        return self.pixels.dtype.itemsize * 8


@dataclass(frozen=True)
class JpegOrigin:
    """What a JPEG was like before its pixels were turned upright and converted to sRGB: its coded luma still is."""

    metadata: Metadata = field(default_factory=Metadata)
    """With its own orientation and directions."""
    orientation: int = 1
    """Orientation of the stored pixels, 1 to 8 (EXIF 2.32, table 6)."""
    luma_table: Sequence[int] | None = None
    """Quantisation table of luma; ``None``: it has none."""
    profile: bytes = b""
    """ICC profile of the stored pixels; empty: they are in sRGB."""
    obstacle: str = ""
    """Why its coded luma cannot be copied; empty if nothing is known to prevent it."""


@dataclass(frozen=True)
class CodedLuma:
    """Luma of a JPEG as it is coded, to be copied to its output."""

    file: bytes
    """A grey JPEG that holds it."""
    levels: NDArray[np.uint8]
    """``[H, W]``, as stored: neither turned nor converted."""


@dataclass(frozen=True)
class MaskPage:
    """A page of a TIFF that is no photograph: a mask, or the infrared page of a scanner. Kept as stored."""

    position: int
    """Number of frames before it."""
    tags: Mapping[int, RawTag]
    """Its tags, without offsets and byte counts."""
    segments: tuple[bytes, ...]
    """Its strips or tiles, as stored: compressed, in the byte order of the file."""

    @property
    def is_tiled(self) -> bool:
        """Whether the segments are tiles."""
        return _TILE_WIDTH in self.tags


@dataclass(frozen=True)
class Picture:
    """A decoded picture file."""

    frames: tuple[Frame, ...]
    """In the order of the file; more than one only in a TIFF."""
    format: str = "PNG"
    """Format of the output: ``JPEG``, ``PNG``, ``TIFF``, ``WEBP`` or ``JPEG2000``."""
    warnings: tuple[str, ...] = ()
    """What could not be kept from the source."""
    jpeg: JpegOrigin | None = None
    """``None``: the source is no JPEG."""
    coded_luma: CodedLuma | None = None
    """Luma that is copied when the picture is encoded; the metadata of the frame is then that of the stored pixels.
    ``None``: luma is encoded from the pixels."""
    masks: tuple[MaskPage, ...] = ()
    """Pages that are no photographs, in the order of the file; in a TIFF only."""

    @property
    def first(self) -> Frame:
        """The first frame, whose size the manifest records."""
        return self.frames[0]

    @property
    def confidence(self) -> float | None:
        """The lowest confidence of the model in a frame, 0..1; ``None``: not reported for any."""
        return min((frame.confidence for frame in self.frames if frame.confidence is not None), default=None)

    @property
    def megapixels(self) -> float:
        """Megapixels of all frames together."""
        return sum(frame.height * frame.width for frame in self.frames) / 1e6
