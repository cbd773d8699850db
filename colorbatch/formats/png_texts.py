"""Texts of a PNG, compressed or not, and the metadata that some programs hide in them (PNG specification, 11.3.3)."""

import re
import zlib
from dataclasses import dataclass, replace

_RAW_PROFILE = b"Raw profile type "
"""Start of the keyword of a block of metadata in hexadecimal digits, as ImageMagick and libvips write it."""
_RAW = re.compile(rb"\s*(\S+)\s+(\d+)\s+([0-9A-Fa-f\s]*)")
_MAX_PACKED_BYTES = 2**20
"""Maximum size of a text that stays compressed: readers refuse to decompress longer ones."""


@dataclass(frozen=True)
class Text:
    """A tEXt, zTXt or iTXt chunk."""

    kind: bytes
    content: bytes
    """Content of the chunk."""
    keyword: bytes
    head: bytes
    """What is between the keyword and the text, with the zero bytes."""
    text: bytes
    """Not compressed."""

    @property
    def size(self) -> int:
        """Bytes of the chunk, not compressed."""
        return len(self.keyword) + len(self.head) + len(self.text)

    @property
    def readable_chunk(self) -> tuple[bytes, bytes]:
        """Type and content of a chunk that all readers accept: a long text is not compressed."""
        if len(self.text) <= _MAX_PACKED_BYTES or self.kind == b"tEXt":
            return self.kind, self.content
        if self.kind == b"zTXt":
            return b"tEXt", self.keyword + b"\0" + self.text
        return self.kind, self.keyword + b"\0\0\0" + self.head[3:] + self.text

    @property
    def raw_profile(self) -> tuple[bytes, bytes] | None:
        """Name and content of the block of metadata in it; ``None``: it has none."""
        found = _RAW.fullmatch(self.text) if self.keyword.startswith(_RAW_PROFILE) else None
        if found is None:
            return None
        digits = re.sub(rb"\s", b"", found[3])
        return self.keyword.removeprefix(_RAW_PROFILE).lower(), bytes.fromhex(digits[: len(digits) // 2 * 2].decode())

    def with_raw_profile(self, block: bytes) -> "Text":
        """Return a text with another block of metadata."""
        name = self.keyword.removeprefix(_RAW_PROFILE)
        digits = block.hex().encode()
        lines = (digits[start : start + 72] for start in range(0, len(digits), 72))
        text = b"\n%s\n%8d\n%s\n" % (name, len(block), b"\n".join(lines))
        content = self.keyword + b"\0\0" + zlib.compress(text)
        return replace(self, kind=b"zTXt", content=content, head=b"\0\0", text=text)


def text_of(kind: bytes, content: bytes, limit: int) -> Text:
    """Return the text of a chunk; no more than ``limit`` bytes are decompressed.

    Raises:
        ValueError, zlib.error: it cannot be decompressed.

    """
    keyword, _, rest = content.partition(b"\0")
    if kind == b"tEXt" or not rest:
        return Text(kind, content, keyword, content[len(keyword) : len(keyword) + 1], rest)
    if kind == b"zTXt":
        is_compressed, method, text = True, rest[:1], rest[1:]
    else:
        is_compressed, method, text = rest[:1] == b"\1", rest[1:2], rest[2:].split(b"\0", 2)[-1]
    head = content[len(keyword) : len(content) - len(text)]
    if not is_compressed:
        return Text(kind, content, keyword, head, text)
    if method != b"\0":
        raise ValueError("its compression method is unknown")
    return Text(kind, content, keyword, head, zlib.decompressobj().decompress(text, limit))
