"""``colorbatch adopt``: make a model of a published network."""

from pathlib import Path

import click

from colorbatch.cli import options, parity, terminal
from colorbatch.extras import needs_extra
from colorbatch.inference.contract import FITS, MAX_SIZE, Fit
from colorbatch.inference.provider import import_onnxruntime
from colorbatch.text import printable

_KINDS = ("ddcolor", "deoldify", "zhang2016", "zhang2017")


@click.command("adopt")
@click.argument("file", type=options.PATH)
@click.option(
    "-o", "--output", type=options.PATH, metavar="MODEL.onnx", help="[default: FILE with the ending -colorbatch.onnx]"
)
@click.option(
    "--kind",
    type=options.Choice(_KINDS),
    help="Which network it is. [default: found out by what the file takes and gives]",
)
@click.option(
    "--fit",
    type=options.Choice(FITS),
    default="stretch",
    show_default=True,
    help="stretch: the network sees each picture as a square, as its authors do it; pad: in its own shape.",
)
@click.option(
    "--working-size",
    type=click.IntRange(32, MAX_SIZE),
    metavar="N",
    help="Side in pixels at which the network should see a picture, for a file without a fixed one. "
    "[default: that of its authors]",
)
@click.option("--name", help="The model's name in its contract. [default: that of the output]")
@click.option("--license", "model_license", help="The licence of the weights. [default: that of the authors' own]")
@click.option("--training-data", help="What the network was trained on. [default: that of the authors' own]")
@options.quiet_option
def command(
    file: Path,
    output: Path | None,
    kind: str | None,
    fit: Fit,
    working_size: int | None,
    name: str | None,
    model_license: str | None,
    training_data: str | None,
    *,
    quiet: bool,
) -> None:
    """Make a model of FILE, a published network: DDColor, DeOldify, or Zhang's of 2016 or 2017.

    FILE is an ONNX file, or a checkpoint of DDColor (.pth or .safetensors). Its weights are not changed. If the model
    gives other colours than the network by itself, no model is written and the exit code is 6.

    \b
    Example:
      colorbatch adopt ddcolor.onnx -o ddcolor-colorbatch.onnx
    """
    import_onnxruntime()  # if it is missing, fail now
    with needs_extra("adopt"):
        from colorbatch_export.adapters.adopting import adopt_model

    terminal.set_up_logging(verbose=False, quiet=quiet)

    def say_kind(kind: str) -> None:
        terminal.say(f"{printable(str(file))} is a network of the kind {kind}")
        terminal.say("Comparing a model of it with the original, which takes minutes if it is large")

    result = adopt_model(
        file,
        output or file.parent / f"{file.stem}-colorbatch.onnx",
        kind=kind,
        fit=fit,
        name=name,
        working_size=working_size,
        model_license=model_license,
        training_data=training_data,
        on_kind=None if quiet else say_kind,
        on_report=None if quiet else parity.show,
    )
    if not quiet:
        terminal.say(f"It is {result.contract.credit}; licence: {result.contract.license}")
        parity.show_result(result.path, result.report)
