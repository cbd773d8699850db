"""Contents of a decoded picture file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from colorbatch.pixels.chroma import Pixels, merged, merged_strips
from colorbatch.pixels.color import Plane
from colorbatch.pixels.metadata import Metadata

__all__ = ["Frame", "Picture", "Pixels"]


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
class Picture:
    """A decoded picture file."""

    frames: tuple[Frame, ...]
    """In the order of the file; more than one only in a TIFF."""
    format: str = "PNG"
    """Format of the output: ``JPEG``, ``PNG``, ``TIFF``, ``WEBP`` or ``JPEG2000``."""
    jpeg_luma_table: Sequence[int] | None = None
    """Luma quantisation table of a JPEG source; the output reuses it, so that luma is not quantised differently."""
    has_luma_scans: bool = False
    """Whether the source is a grey JPEG whose coded luma can be copied: it was neither rotated nor converted."""
    warnings: tuple[str, ...] = ()
    """What could not be kept from the source."""

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
