"""Picture files: recognised by their content, decoded into frames, and encoded without losing their metadata."""

from colorbatch.formats.codec import (
    SALVAGED,
    decode,
    decode_reduced,
    decoded_bytes,
    encode,
    needs_transcoder,
    with_coded_luma,
)
from colorbatch.formats.conversion import converted
from colorbatch.formats.kinds import PICTURE_EXTENSIONS, format_written_as, output_extension, sniff

__all__ = [
    "PICTURE_EXTENSIONS",
    "SALVAGED",
    "converted",
    "decode",
    "decode_reduced",
    "decoded_bytes",
    "encode",
    "format_written_as",
    "needs_transcoder",
    "output_extension",
    "sniff",
    "with_coded_luma",
]
