"""What a picture file holds once it is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from colorbatch.pixels.chroma import Pixels, merged
from colorbatch.pixels.color import Plane
from colorbatch.pixels.metadata import Metadata

__all__ = ["Frame", "Picture", "Pixels"]


@dataclass(frozen=True)
class Frame:
    """One image of a picture: the only one, or a page of a TIFF. Upright and in sRGB."""

    pixels: Pixels
    """Grey ``[H, W]`` or RGB ``[H, W, 3]``, uint8 or uint16, over the whole range of its type."""
    alpha: Pixels | None = None
    """``[H, W]`` of the same type, kept bit for bit."""
    metadata: Metadata = field(default_factory=Metadata)
    chroma: Plane | None = None
    """``[2, h, w]``, small, to be laid over the luma of the pixels; ``None``: the pixels are what is to be seen."""
    confidence: float | None = None
    """How sure the model is of the chroma, 0..1; ``None``: it does not say, or coloured nothing."""

    def merged(self) -> "Frame":
        """Return the frame with its chroma laid over its luma: RGB ``[H, W, 3]``."""
        if self.chroma is None:
            return self
        return replace(self, pixels=merged(self.pixels, self.chroma), chroma=None)

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.pixels.shape[1])

    @property
    def bits(self) -> int:
        """Bits a channel: 8 or 16."""
        return self.pixels.dtype.itemsize * 8


@dataclass(frozen=True)
class Picture:
    """A decoded picture file."""

    frames: tuple[Frame, ...]
    """In the order of the file; more than one only in a TIFF."""
    format: str = "PNG"
    """Of the file it is written to: ``JPEG``, ``PNG``, ``TIFF``, ``WEBP`` or ``JPEG2000``."""
    jpeg_luma_table: Sequence[int] | None = None
    """The luma quantisation table of a JPEG source; the output takes it over, so that luma is not quantised anew."""
    has_luma_scans: bool = False
    """Whether the source is a grey JPEG whose coded luma can be handed on: nothing was turned, nor converted."""
    warnings: tuple[str, ...] = ()
    """What could not be taken over from the source."""

    @property
    def first(self) -> Frame:
        """The first frame, whose sizes the manifest names."""
        return self.frames[0]

    @property
    def confidence(self) -> float | None:
        """How sure the model is of the frame that it is least sure of, 0..1; ``None``: it does not say of any."""
        return min((frame.confidence for frame in self.frames if frame.confidence is not None), default=None)

    @property
    def megapixels(self) -> float:
        """Of all frames together."""
        return sum(frame.height * frame.width for frame in self.frames) / 1e6
