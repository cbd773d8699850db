"""``colorbatch preview``: show one picture coloured in several ways."""

import os
from dataclasses import replace
from pathlib import Path

import click

from colorbatch.cli import options, terminal
from colorbatch.errors import PictureError, UsageError, reason_of
from colorbatch.job import ProviderName
from colorbatch.text import printable

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


@click.command("preview")
@click.argument("file", type=options.PATH)
@click.option(
    "-o",
    "--output",
    type=options.PATH,
    required=True,
    metavar="SHEET",
    help=f"The sheet to write; its extension sets the format: {' '.join(_FORMATS)}",
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
@options.provider_option
@click.option(
    "--cell",
    type=click.IntRange(64, 4096),
    default=640,
    show_default=True,
    metavar="N",
    help="Longest side in pixels of each picture on the sheet.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@options.quiet_option
def command(
    file: Path,
    output: Path,
    models: tuple[str, ...],
    vividness: tuple[float, ...],
    strengths: tuple[float, ...],
    working_sizes: tuple[int, ...],
    provider: ProviderName,
    cell: int,
    *,
    force: bool,
    quiet: bool,
) -> None:
    """Colour FILE with every combination of the given models, levels, strengths and working sizes, on one sheet.

    Each option may be given several times. Without any, levels of vividness are compared, or strengths for a model
    that has no vividness. The colours are those that colorbatch run gives.

    \b
    Example:
      colorbatch preview scan.tif -o preview.png
      colorbatch preview scan.tif -o preview.png --model default --model unet --strength 0.7 --strength 1
    """
    from colorbatch.cli.display import reporter
    from colorbatch.formats import encode
    from colorbatch.operations.preview import Choices, preview
    from colorbatch.store import atomic

    terminal.set_up_logging(verbose=False, quiet=quiet)
    _refuse_output(file, output, force=force)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {reason_of(error)}") from error
    choices = Choices(models, vividness, strengths, working_sizes)
    try:
        with reporter(quiet=quiet) as progress:
            sheet = preview(data, file.name, choices, provider=provider, side=cell, progress=progress)
    except PictureError as error:
        raise type(error)(f"{file}: {error}", advice=error.advice) from error
    encoded = encode(replace(sheet, format=_FORMATS[output.suffix.lower()]))
    _refuse_output(file, output, force=force)
    atomic.write_bytes(output, encoded)
    if not quiet:
        terminal.say(f"Sheet: {printable(str(output))}, {sheet.first.width} x {sheet.first.height} pixels")


def _refuse_output(file: Path, output: Path, *, force: bool) -> None:
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
    if not force:
        raise UsageError(f"{output} already exists", advice="Choose another name, or write over it with --force.")
