"""What a file says beside its pixels. It is read apart from them: damage to it is a warning, never a failure."""

import struct
from dataclasses import dataclass

from colorbatch.pixels.metadata import Metadata, orientation_of, upright_exif

MAX_BLOCK_BYTES = 2**26
"""Maximum size of a decompressed block of metadata: a few bytes can expand to gigabytes."""


@dataclass(frozen=True)
class Description:
    """Metadata of a file, with what says how its pixels are to be shown."""

    metadata: Metadata
    profile: bytes | None = None
    """ICC profile of the pixels."""
    orientation: int | None = None
    """Orientation from EXIF, 1 to 8; ``None``: it has none."""


def upright_block(raw: bytes, warnings: list[str]) -> tuple[bytes, int | None]:
    """Return an EXIF block for an upright picture, and the orientation in it; empty if it is damaged."""
    try:
        return upright_exif(raw), orientation_of(raw)
    except (struct.error, ValueError, TypeError) as error:
        warnings.append(f"damaged EXIF was dropped: {error}")
        return b"", None


def valid_dpi(values: object) -> tuple[float, float] | None:
    """Return pixels per inch, across and down; ``None``: they are not two numbers that make sense."""
    try:
        across, down = (float(value) for value in values)  # type: ignore[attr-defined] # a TypeError if not iterable
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None
