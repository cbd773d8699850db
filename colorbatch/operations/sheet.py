"""Lay pictures out on a sheet, with a label above each, or two of them on a card with a caption."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_PAPER, _INK = (236, 236, 236), (20, 20, 20)
"""Neutral, since a tint would change how the colours of the pictures look."""
_CARD, _CAPTION_INK = (255, 255, 255), (96, 96, 96)
_MIN_LETTERS, _LETTERS_PER_SIDE = 13, 29
"""Minimum height of letters in pixels, and how many of their heights fit the side of a cell."""
_MIN_WIDTH = 9
"""Minimum width of a cell in heights of letters: a label needs room even above a narrow picture."""


@dataclass(frozen=True)
class Cell:
    """A picture of the sheet."""

    image: NDArray[np.uint8]
    """RGB ``[H, W, 3]``."""
    label: Sequence[str]
    """Lines of text."""


def draw_sheet(title: Sequence[str], rows: Sequence[Sequence[Cell]], side: int) -> NDArray[np.uint8]:
    """Return a sheet, RGB ``[H, W, 3]``: the title at the top, below it rows of cells, all of the same size.

    Args:
        title: lines of text.
        rows: rows of cells, at least one.
        side: longest side of the images in pixels; the size of the letters depends on it.

    """
    letters = max(_MIN_LETTERS, side // _LETTERS_PER_SIDE)
    font, margin, line = ImageFont.load_default(letters), letters, round(letters * 1.4)
    cells = [cell for row in rows for cell in row]
    width = max(_MIN_WIDTH * letters, *(cell.image.shape[1] for cell in cells))
    height = max(cell.image.shape[0] for cell in cells)
    labels = [[list(_wrapped(cell.label, font, width)) for cell in row] for row in rows]
    across = max(map(len, rows))
    sheet_width = margin + across * (width + margin)
    heading = list(_wrapped(title, font, sheet_width - 2 * margin))
    tops = np.cumsum(
        [
            margin + len(heading) * line + margin,
            *(max(map(len, row)) * line + height + margin for row in labels),
        ]
    )
    sheet = Image.new("RGB", (sheet_width, int(tops[-1])), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, heading, (margin, margin), font, line)
    for top, cells_of_row, labels_of_row in zip(tops, rows, labels, strict=False):
        lines = max(map(len, labels_of_row))
        for column, (cell, label) in enumerate(zip(cells_of_row, labels_of_row, strict=True)):
            left = margin + column * (width + margin)
            _write(draw, label, (left, int(top)), font, line)
            sheet.paste(Image.fromarray(cell.image), (left, int(top) + lines * line))
    return np.asarray(sheet)


def draw_card(before: NDArray[np.uint8], after: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    """Return a card, RGB ``[H, W, 3]``: two pictures of the same size in a white border, the caption centred below.

    They stand side by side, or one above the other if they are wider than high, so that a phone shows both large.

    Args:
        before: RGB ``[H, W, 3]``.
        after: likewise.
        caption: a line of text, broken where the card is narrower.

    """
    height, width = before.shape[:2]
    gap = max(2, max(height, width) // 96)
    across, down = (1, 2) if width > height else (2, 1)
    letters = max(_MIN_LETTERS, max(height, width) // _LETTERS_PER_SIDE)
    font, border, line = ImageFont.load_default(letters), 2 * letters, round(letters * 1.4)
    inner_width = across * width + (across - 1) * gap
    inner_height = down * height + (down - 1) * gap
    card_width = max(inner_width, _MIN_WIDTH * letters) + 2 * border
    lines = list(_wrapped([caption], font, card_width - 2 * border))
    card = Image.new("RGB", (card_width, border + inner_height + letters + len(lines) * line + letters), _CARD)
    left = (card_width - inner_width) // 2
    opposite = (left + inner_width - width, border + inner_height - height)
    card.paste(Image.fromarray(before), (left, border))
    card.paste(Image.fromarray(after), opposite)
    draw = ImageDraw.Draw(card)
    for number, text in enumerate(lines):
        place = (card_width / 2, border + inner_height + letters + number * line)
        draw.text(place, text, _CAPTION_INK, font, anchor="ma")
    return np.asarray(card)


def _write(draw: ImageDraw.ImageDraw, lines: Sequence[str], place: tuple[int, int], font: _Font, step: int) -> None:
    for number, text in enumerate(lines):
        draw.text((place[0], place[1] + number * step), text, _INK, font)


def _wrapped(lines: Sequence[str], font: _Font, width: int) -> Iterator[str]:
    """Yield lines no wider than ``width`` pixels: broken between words, and within those that are too long."""
    for text in lines:
        line = ""
        for word in _drawable(text).split(" "):
            longer = f"{line} {word}" if line else word
            if line and font.getlength(longer) > width:
                yield line
                longer = word
            while font.getlength(longer) > width and len(longer) > 1:
                fitting = next(
                    end for end in range(len(longer) - 1, 0, -1) if end == 1 or font.getlength(longer[:end]) <= width
                )
                yield longer[:fitting]
                longer = longer[fitting:]
            line = longer
        yield line


def _drawable(text: str) -> str:
    """Return ``text`` in ASCII, which is all that the font has: accents are removed, other characters escaped."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return plain.encode("ascii", "backslashreplace").decode()
