"""``colorbatch train``: train a network on a folder of colour pictures."""

from pathlib import Path
from typing import Any, get_args

import click

from colorbatch.cli import options, terminal
from colorbatch.cli.help import GroupedCommand
from colorbatch.extras import needs_extra
from colorbatch.text import shell_quoted
from colorbatch.training.config import ARCHITECTURE_NAMES, DeviceName, Keep, LossName, ScheduleName, TrainingConfig
from colorbatch.training.recipe import RECIPES, read_recipe


class _KeepType(click.ParamType):  # type: ignore[type-arg] # not generic in older releases
    """``all``, ``best`` or a number of epochs."""

    name = "all|N|best"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Keep:  # noqa: ANN401
        if value in ("all", "best"):
            kept: Keep = value
            return kept
        if str(value).isdecimal() and int(value) > 0:
            return int(value)
        return self.fail(f"{value!r} is not all, best or a number above 0", param, ctx)


def _use_recipe(ctx: click.Context, param: click.Parameter, name: str | None) -> None:  # noqa: ARG001 (click's signature)
    """Make the options of the recipe the defaults of the other options."""
    if name is not None:
        ctx.default_map = {**(ctx.default_map or {}), **read_recipe(name)}


_GROUPS = {
    "Everyday options": ("--recipe", "--out", "--epochs", "--init", "--resume", "--device", "--quiet", "--verbose"),
    "Pictures": (
        *("--gray-dir", "--size", "--crop", "--limit", "--validation", "--validation-dir"),
        *("--aged", "--softened", "--sharpened", "--recompressed", "--hinted"),
    ),
    "Network": ("--architecture", "--loss", "--balance", "--freeze"),
    "Steps": (
        *("--batch-size", "--learning-rate", "--pretrained-rate", "--schedule", "--warmup", "--weight-decay"),
        *("--clip-norm", "--ema", "--amp", "--seed", "--keep"),
    ),
}


@click.command("train", cls=GroupedCommand, groups=_GROUPS)
@click.argument("color_dir", type=options.PATH)
@click.option(
    "--recipe",
    type=options.Choice(RECIPES),
    is_eager=True,
    expose_value=False,
    callback=_use_recipe,
    help="A named set of options; options on the command line override it. [default: as seed]",
)
@click.option(
    "--architecture",
    type=options.Choice(ARCHITECTURE_NAMES),
    default="unet",
    show_default=True,
    help="The network: the published U-Net, or one with an encoder pretrained on ImageNet and a head that "
    "predicts a distribution of colours.",
)
@click.option(
    "--gray-dir",
    type=options.PATH,
    help="Grey pictures with the same relative names. [default: made from the colour pictures]",
)
@click.option("--out", type=options.PATH, default=Path("training"), show_default=True, help="Folder for all results.")
@click.option(
    "--epochs", type=click.IntRange(min=1), default=50, show_default=True, help="Number of passes over the pictures."
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=16, show_default=True, help="Pictures per training step."
)
@click.option(
    "--size",
    type=click.IntRange(min=64),
    default=160,
    show_default=True,
    help="Pictures are resized to SIZE x SIZE pixels; a multiple of 32. With --crop, the maximum length of "
    "their short side.",
)
@click.option(
    "--crop",
    type=click.IntRange(min=64),
    metavar="N",
    help="Train on random crops of N x N pixels, mirrored and stretched at random. [default: whole pictures]",
)
@click.option(
    "--aged",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the pictures that are aged: faded, grainy, scratched, as on red-blind film.",
)
@click.option(
    "--softened",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of all pictures, aged or not, that are slightly blurred.",
)
@click.option(
    "--sharpened",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of all pictures that are sharpened.",
)
@click.option(
    "--recompressed",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of all pictures with JPEG artefacts of quality 50 to 91.",
)
@click.option(
    "--hinted",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the pictures with hints of their true colours; only for lite2-unet.",
)
@click.option(
    "--balance",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Balance between sources, which are the top-level folders below COLOR_DIR: the probability of a "
    "source is the number of its pictures to this power. 1 shows every picture once per epoch; smaller values "
    "show pictures of small sources more often.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-4,
    show_default=True,
    help="Initial learning rate of Adam.",
)
@click.option(
    "--pretrained-rate",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Learning rate of pretrained weights, as a factor of --learning-rate.",
)
@click.option("--freeze/--no-freeze", default=False, help="Do not train pretrained weights.")
@click.option(
    "--schedule",
    type=options.Choice(get_args(ScheduleName)),
    default="constant",
    show_default=True,
    help="How the learning rate changes: cosine reduces it to 0.",
)
@click.option(
    "--warmup",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Share of all steps during which the learning rate rises at the start.",
)
@click.option(
    "--weight-decay",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Weight decay of AdamW; with 0 it is Adam.",
)
@click.option(
    "--clip-norm", type=click.FloatRange(min=0, min_open=True), help="Maximum norm of the gradient. [default: no limit]"
)
@click.option(
    "--ema",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="DECAY",
    help="Save a moving average of the weights. [default: the weights themselves]",
)
@click.option(
    "--loss",
    type=options.Choice(get_args(LossName)),
    help="The loss: squared error of RGB (mse) or of chroma, Huber loss of chroma, or cross-entropy over bins "
    "of colour. [default: mse for unet, bins for the others]",
)
@click.option(
    "--init",
    type=options.PATH,
    metavar="CHECKPOINT|MODEL",
    help="Start from the weights of a checkpoint, an .onnx file or a built-in model. [default: random, or "
    "ImageNet weights if the architecture has them]",
)
@click.option(
    "--validation",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Share of the pictures held out for validation.",
)
@click.option("--validation-dir", type=options.PATH, help="Use the pictures in this folder for validation instead.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Train on only N randomly chosen pictures.")
@click.option(
    "--keep",
    type=_KeepType(),
    metavar="all|N|best",
    default="all",
    show_default=True,
    help="Which epoch checkpoints to keep: all, the last N, or the best.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all random numbers.")
@click.option(
    "--device",
    type=options.Choice(get_args(DeviceName)),
    default="auto",
    show_default=True,
    help="Where the network is trained; auto uses CUDA if available.",
)
@click.option("--amp/--no-amp", default=None, help="bfloat16 autocast. [default: if the device supports it]")
@click.option("--resume", is_flag=True, help="Resume from checkpoints/last.pth in the --out folder.")
@options.quiet_option
@options.verbose_option
@click.pass_context
def command(ctx: click.Context, /, *, quiet: bool, verbose: bool, **settings: Any) -> None:  # noqa: ANN401
    """Train a network on the colour pictures below COLOR_DIR.

    Each epoch writes checkpoints/colorization_epoch_N.pth, sample pictures in record/, a line in metrics.csv and the
    curve in loss.png. Ctrl-C writes a checkpoint for --resume.

    \b
    Example:
      colorbatch train photos/ --recipe default --out training/ --validation 0.05
    """
    with needs_extra("train"):
        import matplotlib as mpl  # noqa: F401 (if missing, fail now, not after the first epoch)

        from colorbatch.training.loop import train
    from colorbatch.cli.display import reporter

    terminal.set_up_logging(verbose=verbose, quiet=quiet)
    config = TrainingConfig(**settings)
    with terminal.interruptible() as interruption, reporter(quiet=quiet, unit="steps") as progress:
        result = train(config, terminal.HoldingProgress(progress, interruption), interruption.event)
    if not result.finished:
        terminal.say(f"Stopped. To resume, run the same command with --resume (state in {config.out / 'checkpoints'}).")
        ctx.exit(interruption.exit_code)
    if not quiet:
        terminal.say(f"Done. Export it with: colorbatch export {shell_quoted(str(result.last_checkpoint))}")
