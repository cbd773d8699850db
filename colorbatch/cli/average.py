"""``colorbatch average``: the mean of several checkpoints."""

from pathlib import Path

import click

from colorbatch.cli import options, terminal
from colorbatch.extras import needs_extra
from colorbatch.text import printable, shell_quoted


@click.command("average")
@click.argument("checkpoints", metavar="CHECKPOINT...", type=options.PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=options.PATH, metavar="MEAN.pth", required=True, help="The checkpoint to write.")
@options.quiet_option
def command(checkpoints: tuple[Path, ...], output: Path, *, quiet: bool) -> None:
    """Write a checkpoint whose weights are the mean of those of each CHECKPOINT.

    The mean of several epochs or stages of one training is often better on unseen pictures than each of them. A
    checkpoint that is given twice counts twice.

    \b
    Example:
      colorbatch average training/checkpoints/colorization_epoch_4[89].pth -o mean.pth
    """
    with needs_extra("train"):
        from colorbatch.training.averaging import average_checkpoints

    terminal.set_up_logging(verbose=False, quiet=quiet)
    average_checkpoints(checkpoints, output)
    if not quiet:
        name, argument = printable(str(output)), shell_quoted(str(output))
        terminal.say(f"Wrote {name}, the mean of {len(checkpoints)}. Export it with: colorbatch export {argument}")
