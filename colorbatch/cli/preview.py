"""``colorbatch preview``: show one picture coloured in several ways."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colorbatch.cli import options, terminal
from colorbatch.errors import PictureError, UsageError, reason_of
from colorbatch.job import ProviderName
from colorbatch.text import printable

if TYPE_CHECKING:
    from colorbatch.pixels.hint import Hint

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_CELL, _CELL_OF_CARD = 640, 1080


@click.command("preview")
@click.argument("file", type=options.PATH)
@click.option(
    "-o",
    "--output",
    type=options.PATH,
    required=True,
    metavar="SHEET",
    help=f"The sheet or card to write; its extension sets the format: {' '.join(_FORMATS)}",
)
@click.option("--model", "models", type=options.MODEL, multiple=True, help="A built-in model, or an .onnx file.")
@click.option("--vividness", type=options.VIVIDNESS, multiple=True, help="From careful (0) to vivid (1).")
@click.option("--strength", "strengths", type=options.STRENGTH, multiple=True, help="Scales the colours; 0 is grey.")
@click.option(
    "--working-size",
    "working_sizes",
    type=options.WORKING_SIZE,
    multiple=True,
    metavar="N",
    help="Short side in pixels that the network sees.",
)
@click.option(
    "--hint",
    "hints",
    type=options.HINT,
    multiple=True,
    help="A colour that you know: place as shares of width and height, and colour; may be repeated.",
)
@options.provider_option
@click.option("--card", is_flag=True, help="Make a card to show: before and after, with a caption.")
@click.option(
    "--cell",
    type=click.IntRange(64, 4096),
    metavar="N",
    help=f"Longest side in pixels of each picture. [default: {_CELL}; on a card: {_CELL_OF_CARD}]",
)
@click.option("--overwrite", is_flag=True, help="Write over an existing file.")
@options.quiet_option
def command(
    file: Path,
    output: Path,
    models: tuple[str, ...],
    vividness: tuple[float, ...],
    strengths: tuple[float, ...],
    working_sizes: tuple[int, ...],
    hints: "tuple[Hint, ...]",
    provider: ProviderName,
    cell: int | None,
    *,
    card: bool,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Colour FILE with every combination of the given models, levels, strengths and working sizes, on one sheet.

    Each of these may be given several times. Without any, levels of vividness are compared, or strengths for a model
    that has no vividness. The colours are those that colorbatch run gives. With --card, there is one result beside
    the original, to show to people.

    \b
    Example:
      colorbatch preview scan.tif -o preview.png
      colorbatch preview scan.tif -o card.jpg --card
      colorbatch preview scan.tif -o preview.png --hint '0.31,0.52,#7a8b3c'
      colorbatch preview scan.tif -o preview.png --model default --model unet --strength 0.7 --strength 1
    """
    from colorbatch.cli.display import reporter
    from colorbatch.formats import encode
    from colorbatch.operations.preview import Choices, preview
    from colorbatch.operations.preview import card as draw_card
    from colorbatch.store import atomic

    terminal.set_up_logging(verbose=False, quiet=quiet)
    _refuse_output(file, output, overwrite=overwrite)
    if file.is_dir():
        raise UsageError(f"{file} is a folder", advice="Give one picture; colorbatch run colours a folder.")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {reason_of(error)}") from error
    choices = Choices(models, vividness, strengths, working_sizes, hints)
    try:
        with reporter(quiet=quiet) as progress:
            make, side = (draw_card, _CELL_OF_CARD) if card else (preview, _CELL)
            sheet = make(data, file.name, choices, provider=provider, side=cell or side, progress=progress)
    except PictureError as error:
        raise type(error)(f"{file}: {error}", advice=error.advice) from error
    encoded = encode(replace(sheet, format=_FORMATS[output.suffix.lower()]))
    _refuse_output(file, output, overwrite=overwrite)
    atomic.write_bytes(output, encoded)
    if not quiet:
        made = "Card" if card else "Sheet"
        terminal.say(f"{made}: {printable(str(output))}, {sheet.first.width} x {sheet.first.height} pixels")


def _refuse_output(file: Path, output: Path, *, overwrite: bool) -> None:
    """Check that the sheet can be written.

    Raises:
        UsageError: its extension is unknown, or a file or folder exists that must not be overwritten.

    """
    if output.suffix.lower() not in _FORMATS:
        raise UsageError(f"the extension of the sheet {output} is none of: {' '.join(_FORMATS)}")
    if not os.path.lexists(output):
        return
    if output.exists() and file.exists() and output.samefile(file):
        raise UsageError(f"the sheet {output} would overwrite the picture", advice="Choose another name for the sheet.")
    if output.is_dir():
        raise UsageError(f"the sheet {output} is a folder", advice="Give the name of a file.")
    if not overwrite:
        raise UsageError(f"{output} already exists", advice="Choose another name, or write over it with --overwrite.")
