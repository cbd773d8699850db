"""What the page shows of the pictures of a session: thumbnails, previews, and colours at a place."""

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from colorbatch.errors import PictureError, UnreadablePictureError, reason_of
from colorbatch.formats import decode, sniff
from colorbatch.formats.kinds import SNIFFED
from colorbatch.inference.colorizer import Colorizer
from colorbatch.pixels import color, resize
from colorbatch.records.retouch import RetouchLine
from colorbatch.records.row import NOT_REACHED, Row
from colorbatch.retouch import preview
from colorbatch.retouch.cache import Cache
from colorbatch.retouch.newest import Newest
from colorbatch.retouch.pictures import NotFoundError
from colorbatch.retouch.preview import OpenedPage, Preview, Suggestion
from colorbatch.retouch.session import RetouchSession
from colorbatch.store.file_state import FileState
from colorbatch.text import printable

THUMB_SIDE = 320
"""Longest side of a thumbnail in pixels."""
_THUMB_QUALITY, _THUMB_EFFORT = 75, 1
_OPENED, _OPENED_BYTES = 4, 256 * 2**20
"""Largest number of opened pictures that are kept, and of their bytes."""
_THUMBS, _THUMBS_BYTES = 2000, 32 * 2**20


class StaleError(Exception):
    """A newer request of the same client has arrived."""


@dataclass(frozen=True, eq=False)
class _Opened:
    pages: Sequence[OpenedPage]
    state: FileState | None
    """State of the file when it was read."""


@dataclass(frozen=True, eq=False)
class _Shown:
    """The last preview."""

    page: OpenedPage
    line: RetouchLine
    preview: Preview


class Viewer:
    """Shows the pictures of a session. May be used from several threads at once."""

    def __init__(self, session: RetouchSession) -> None:
        self._session = session
        self._opened: Cache[_Opened] = Cache(_OPENED, _OPENED_BYTES)
        self._thumbs: Cache[bytes] = Cache(_THUMBS, _THUMBS_BYTES)
        self._newest = Newest()
        self._opening, self._thumbing, self._coloring = threading.Lock(), threading.Lock(), threading.Lock()
        self._shown: _Shown | None = None

    def pages(self, name: str, colorizer: Colorizer | None = None) -> Sequence[OpenedPage]:
        """Return the pages of a picture, decoded on first use and when its file has changed.

        Args:
            name: of the source.
            colorizer: one that is going to colour it.

        Raises:
            PictureError: it cannot be read.

        """
        kept = self._kept(name, colorizer)
        if kept is not None:
            return kept
        with self._opening:
            kept = self._kept(name, colorizer)
            if kept is not None:
                return kept
            found = self._open(name, self._state(name))
            self._opened.put(name, found, sum(page.bytes for page in found.pages))
            return found.pages

    def _kept(self, name: str, colorizer: Colorizer | None) -> Sequence[OpenedPage] | None:
        """Return the pages of a picture that is opened; ``None``: it is not, or its file has changed since."""
        found = self._opened.get(name)
        if found is None or self._state(name) not in (None, found.state):
            return None
        return found.pages if colorizer is None or _fits(found.pages, colorizer) else None

    def page(self, name: str, number: int, colorizer: Colorizer | None = None) -> OpenedPage:
        """Return one page of a picture, by its number from 1.

        Raises:
            NotFoundError: there is no such page.
            PictureError: the picture cannot be read.

        """
        pages = self.pages(name, colorizer)
        if not 1 <= number <= len(pages):
            raise NotFoundError(f"there is no page {number}; the last one is {len(pages)}")
        return pages[number - 1]

    def preview(self, name: str, line: RetouchLine, client: str) -> bytes:
        """Return a page as its output will look, as a JPEG.

        Args:
            name: of the source.
            line: what a person says of the page, with its number.
            client: who asks: of each, only the newest request is answered.

        Raises:
            StaleError: a newer request of the client has arrived.
            PictureError: the picture cannot be read, or the model failed.
            ValueError: the model is unknown, or does not support hints.
            UsageError: vividness or strength do not fit the model.

        """
        turn = self._newest.turn(client)
        colorizer = self._colorizer(line)
        page = self.page(name, line.page or 1, colorizer)
        with self._coloring:
            if self._newest.is_stale(turn):
                raise StaleError
            shown = self._previewed(page, line, colorizer)
        return shown.to_jpeg()

    def color_at(self, name: str, line: RetouchLine, x: float, y: float) -> str:
        """Return the colour of the preview at a place, ``#rrggbb``; x and y are shares of width and height.

        Raises:
            PictureError: the picture cannot be read, or the model failed.
            ValueError: the model is unknown, or does not support hints.
            UsageError: vividness or strength do not fit the model.

        """
        colorizer = self._colorizer(line)
        page = self.page(name, line.page or 1, colorizer)
        with self._coloring:
            last = self._shown
            is_same = last is not None and last.page is page and last.line == line
            shown = last.preview if last is not None and is_same else self._previewed(page, line, colorizer)
        return shown.color_at(x, y)

    def suggestions(self, name: str, line: RetouchLine, x: float, y: float) -> Sequence[Suggestion]:
        """Return likely colours of a place; x and y are shares of width and height.

        Raises:
            PictureError: the picture cannot be read, or the model failed or does not say.
            ValueError: the model is unknown.

        """
        colorizer = self._colorizer(line)
        page = self.page(name, line.page or 1, colorizer)
        with self._coloring:
            return preview.suggestions(page, line, colorizer, x, y)

    def before(self, name: str, number: int) -> bytes:
        """Return the luma of a page as a JPEG.

        Raises:
            NotFoundError: there is no such page.
            PictureError: the picture cannot be read.

        """
        return Preview(Image.fromarray(self.page(name, number).levels)).to_jpeg()

    def thumb(self, name: str) -> bytes:
        """Return a small picture of an output, or of a source without one, as WebP.

        Raises:
            PictureError: it cannot be read.

        """
        row = self._session.row(name) or Row(name, reason=NOT_REACHED)
        key = (name, row.output_sha256)
        found = self._thumbs.get(key)
        if found is None:
            with self._thumbing:
                found = self._thumbs.get(key) or self._new_thumb(name, row)
            self._thumbs.put(key, found, len(found))
        return found

    def _new_thumb(self, name: str, row: Row) -> bytes:
        try:
            data = self._read(name) if row.output is None else self._session.output.read(row.output)
        except OSError as error:
            raise UnreadablePictureError(f"cannot read the file: {reason_of(error)}", advice="") from error
        buffer = io.BytesIO()
        _shrunk(data, self._session.job.max_megapixels, salvage=self._session.job.salvage).save(
            buffer, "WEBP", quality=_THUMB_QUALITY, method=_THUMB_EFFORT
        )
        return buffer.getvalue()

    def _previewed(self, page: OpenedPage, line: RetouchLine, colorizer: Colorizer) -> Preview:
        shown = preview.preview(page, line, colorizer, self._session.job)
        self._shown = _Shown(page, line, shown)
        return shown

    def _colorizer(self, line: RetouchLine) -> Colorizer:
        engine = self._session.engine(line.model)
        if line.hints and not engine.recipe.model.contract.hints:
            raise ValueError(f"hints: the model {engine.recipe.model.contract.name} does not support them")
        return engine.colorizer

    def _state(self, name: str) -> FileState | None:
        session = self._session
        if session.source is not None:
            return session.source.state(session.key_of(name))
        row = session.row(name)
        return None if row is None or row.output is None else session.output.state(row.output)

    def _open(self, name: str, state: FileState | None) -> _Opened:
        session = self._session
        try:
            data = self._read(name)
        except OSError as error:
            raise UnreadablePictureError(f"cannot read the file: {reason_of(error)}", advice="") from error
        try:
            pages = preview.open_pages(
                data,
                session.engines.colorizers,
                session.job.max_megapixels,
                salvage=session.job.salvage,
                is_output=session.source is None,
            )
        except MemoryError as error:
            raise UnreadablePictureError("not enough memory", advice="") from error
        return _Opened(pages, state)

    def _read(self, name: str) -> bytes:
        """Return the content of a source; without the sources, that of an output, whose luma is the same.

        Raises:
            OSError: it cannot be read.
            PictureError: there is no output.

        """
        session = self._session
        if session.source is not None:
            return session.source.read(session.key_of(name))
        row = session.row(name)
        if row is None or row.output is None:
            raise UnreadablePictureError(
                f"{printable(name)} has no output", advice="Give the folder of the photographs with --source."
            )
        return session.output.read(row.output)


def _fits(pages: Sequence[OpenedPage], colorizer: Colorizer) -> bool:
    """Return whether the luma that a network sees is kept of all pages."""
    return all(preview.is_kept_for(page, colorizer) for page in pages)


def _shrunk(data: bytes, max_megapixels: float, *, salvage: bool) -> Image.Image:
    """Return the first page of a file, small."""
    small = _small_jpeg(data)
    pixels = decode(data, max_megapixels, salvage=salvage).first.pixels if small is None else np.asarray(small)
    height, width = pixels.shape[:2]
    scale = min(1.0, THUMB_SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    if pixels.ndim == 2:
        return Image.fromarray(color.to_8_bits(color.to_levels(resize.shrink_luma(pixels, size))))
    return Image.fromarray(resize.shrink_levels(pixels, size, Image.Resampling.HAMMING))


def _small_jpeg(data: bytes) -> Image.Image | None:
    """Return a JPEG decoded at a fraction of its size; ``None``: it is none, or has to be turned or converted."""
    kind = sniff(data[:SNIFFED])
    if kind is None or kind.name != "JPEG":
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            if (
                image.mode not in ("L", "RGB")
                or "icc_profile" in image.info
                or image.getexif().get(_ORIENTATION, 1) != 1
            ):
                return None
            image.draft(None, (2 * THUMB_SIDE, 2 * THUMB_SIDE))
            small: Image.Image = image.copy()
            return small
    except (OSError, ValueError, SyntaxError, PictureError):  # decoding in full says what is wrong
        return None


_ORIENTATION = 0x0112
"""Tag of EXIF (EXIF 2.32, section 4.6.4)."""
