"""Picture files: told apart by their content, decoded into frames, and encoded without losing what they hold."""

from colorbatch.formats.codec import SALVAGED, decode, decoded_bytes, encode
from colorbatch.formats.kinds import PICTURE_EXTENSIONS, output_extension, sniff

__all__ = ["PICTURE_EXTENSIONS", "SALVAGED", "decode", "decoded_bytes", "encode", "output_extension", "sniff"]
