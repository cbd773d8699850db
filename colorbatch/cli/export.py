"""``colorbatch export``: make an ONNX model from a checkpoint."""

from pathlib import Path

import click

from colorbatch.cli import options, parity, terminal
from colorbatch.extras import needs_extra
from colorbatch.inference.contract import MAX_SIZE, PRECISIONS, Precision
from colorbatch.inference.provider import import_onnxruntime


@click.command("export")
@click.argument("checkpoint", type=options.PATH)
@click.option(
    "-o", "--output", type=options.PATH, metavar="MODEL.onnx", help="[default: CHECKPOINT with the extension .onnx]"
)
@click.option("--name", help="The model's name in its contract. [default: the file's]")
@click.option(
    "--precision",
    type=options.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="fp16-weights halves the file size and still computes in float32; fp16 computes in float16, for GPUs; "
    "int8 halves the time on a CPU, and needs --calibration.",
)
@click.option(
    "--calibration",
    type=options.PATH,
    metavar="DIR",
    help="Folder of pictures, grey or colour, of which a hundred are used to calibrate int8.",
)
@click.option(
    "--working-size",
    type=click.IntRange(32, MAX_SIZE),
    metavar="N",
    help="Short side in pixels that the network should see. [default: the size it was trained at]",
)
@click.option(
    "--vividness",
    type=click.FloatRange(0, 1),
    help="Default vividness of the model, if the network supports it. [default: 0]",
)
@click.option("--license", "model_license", default="not stated", show_default=True, help="The model's licence.")
@click.option("--training-data", default="not stated", show_default=True, help="What the network was trained on.")
@options.quiet_option
def command(
    checkpoint: Path,
    output: Path | None,
    name: str | None,
    precision: Precision,
    calibration: Path | None,
    working_size: int | None,
    vividness: float | None,
    model_license: str,
    training_data: str,
    *,
    quiet: bool,
) -> None:
    """Export CHECKPOINT to ONNX, and prove that ONNX Runtime computes the same as PyTorch.

    CHECKPOINT is a .pth file written by colorbatch train, or a plain state dict of the published network. If the two
    differ by more than the tolerance, no model is written and the exit code is 6.

    \b
    Example:
      colorbatch export training/checkpoints/colorization_epoch_50.pth -o mine.onnx
    """
    import_onnxruntime()  # if it is missing, fail now, not after the export
    with needs_extra("train"):
        import onnxscript  # noqa: F401 (PyTorch's exporter imports it)

        from colorbatch_export import export_model

    terminal.set_up_logging(verbose=False, quiet=quiet)
    result = export_model(
        checkpoint,
        output or (checkpoint.with_suffix(".onnx") if checkpoint.name else checkpoint / "model.onnx"),
        name=name,
        precision=precision,
        calibration=calibration,
        working_size=working_size,
        model_license=model_license,
        training_data=training_data,
        vividness=vividness,
        on_report=None if quiet else parity.show,
    )
    if not quiet:
        parity.show_result(result.path, result.report)
