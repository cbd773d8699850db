"""``colorbatch evaluate``: measure a model on colour pictures."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from colorbatch.cli import options, terminal
from colorbatch.cli.config import config_option
from colorbatch.extras import needs_extra
from colorbatch.job import ColorOptions, ProviderName


@click.command("evaluate", short_help="Measure a model on colour pictures.")
@click.argument("color_dir", type=options.PATH)
@options.model_option
@options.provider_option
@options.color_options
@click.option(
    "--size",
    type=click.IntRange(min=32),
    default=256,
    show_default=True,
    help="Pictures are resized to SIZE x SIZE pixels first.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Use N pictures, spread evenly over the names.")
@click.option("--aged", is_flag=True, help="Show the model the pictures as if they were old and damaged.")
@config_option
@options.json_option
@options.quiet_option
def command(
    color_dir: Path,
    model: str,
    provider: ProviderName,
    color: ColorOptions,
    size: int,
    limit: int | None,
    *,
    aged: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make the colour pictures below COLOR_DIR grey, colour them as a run does, and compare with the truth.

    \b
    Example:
      colorbatch evaluate photos/validation/ --limit 200
    """
    with needs_extra("evaluate"):
        import skimage  # noqa: F401 (said now, not after the first picture)
    from colorbatch.colorizer import open_model
    from colorbatch.evaluation import evaluate

    terminal.set_up_logging(verbose=False, quiet=quiet)
    colorizer = open_model(model, provider=provider, options=color)
    with terminal.reporter(quiet=quiet) as progress:
        found = evaluate(colorizer, color_dir, size=size, limit=limit, aged=aged, progress=progress)
    if as_json:
        terminal.answer(json.dumps(asdict(found)))
        return
    shown = terminal.table(
        ["", "PSNR (dB)", "SSIM", "CIEDE2000", "colourfulness"],
        [
            [name, f"{scores.psnr:.2f}", f"{scores.ssim:.4f}", f"{scores.ciede2000:.2f}", f"{scores.colourfulness:.1f}"]
            for name, scores in (
                (colorizer.session.contract.name, found.model),
                ("leave it grey", found.grey),
            )
        ]
        + [["the truth", "", "", "", f"{found.truth_colourfulness:.1f}"]],
        title=f"{found.pictures} pictures at {size} x {size}, means",
    )
    terminal.answer(shown)
