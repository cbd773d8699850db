"""``colorbatch verify``: check a model against the checkpoint it was made from."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from colorbatch.cli import options, parity, terminal
from colorbatch.extras import needs_extra
from colorbatch.job import ProviderName


@click.command("verify")
@click.argument("model", type=options.MODEL, metavar="MODEL")
@click.argument("checkpoint", type=options.PATH)
@options.provider_option
@options.json_option
@options.quiet_option
def command(model: str, checkpoint: Path, provider: ProviderName, *, as_json: bool, quiet: bool) -> None:
    """Compare MODEL, an .onnx file or a built-in name, with the CHECKPOINT it was exported from.

    Exits with 6 when ONNX Runtime and PyTorch disagree beyond the tolerance.

    \b
    Example:
      colorbatch verify mine.onnx training/checkpoints/colorization_epoch_50.pth
    """
    with needs_extra("train"):
        from colorbatch_export import ParityReport, verify_model

    terminal.set_up_logging(verbose=False, quiet=quiet)
    reports: list[ParityReport] = []
    try:
        verification = verify_model(model, checkpoint, provider, reports.append)
        if not verification.same_checkpoint:
            terminal.say(f"Note: {model} states that it was made from another checkpoint than {checkpoint}.")
    finally:
        for report in reports:
            if as_json:
                found = {"passed": report.passed, "provider": report.provider}
                terminal.answer(json.dumps(found | asdict(report.summary)))
            if not quiet:
                parity.show(report)
                terminal.say(parity.verdict(report))
