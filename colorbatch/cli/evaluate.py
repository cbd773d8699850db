"""``colorbatch evaluate``: measure a model on colour pictures."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colorbatch.cli import options, terminal
from colorbatch.cli.config import config_option
from colorbatch.extras import needs_extra
from colorbatch.job import ColorOptions, ProviderName

if TYPE_CHECKING:
    from colorbatch.inference.reliability import Reliability
    from colorbatch.operations.evaluate import Evaluation


@click.command("evaluate")
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
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use only N pictures, evenly spaced in the sorted list of names.",
)
@click.option("--aged", is_flag=True, help="Age the pictures before the model sees them: faded, grainy, scratched.")
@click.option(
    "--hints",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    show_default=True,
    help="Give the model hints: the true colours of N random squares of 5 x 5 pixels, at the size at which it "
    "sees a picture.",
)
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
    hints: int,
    *,
    aged: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Convert the colour pictures below COLOR_DIR to grey, colour them as in a run, and compare with the originals.

    \b
    Example:
      colorbatch evaluate photos/validation/ --limit 200
    """
    with needs_extra("evaluate"):
        import skimage  # noqa: F401 (if missing, fail now, not after the first picture)
    from colorbatch.cli.display import reporter
    from colorbatch.inference.colorizer import open_model
    from colorbatch.operations.evaluate import evaluate

    terminal.set_up_logging(verbose=False, quiet=quiet)
    colorizer = open_model(model, provider=provider, options=color)
    with reporter(quiet=quiet) as progress:
        found = evaluate(colorizer, color_dir, size=size, limit=limit, aged=aged, hints=hints, progress=progress)
    if as_json:
        terminal.answer(json.dumps(asdict(found)))
        return
    title = f"{found.pictures} pictures at {size} x {size}, means"
    terminal.answer(_scores(colorizer.session.contract.name, found, title))
    if found.expected_ciede2000 is not None:
        terminal.answer(f"The model expected a CIEDE2000 of {found.expected_ciede2000:.2f}.")
    if found.reliability is not None:
        terminal.answer(_reliability(found.reliability))


def _scores(name: str, found: "Evaluation", title: str) -> str:
    rows = [
        [
            each,
            f"{scores.psnr:.2f}",
            f"{scores.ssim:.4f}",
            f"{scores.ciede2000:.2f}",
            f"{scores.colourfulness:.1f}",
            f"{scores.colourfulness_difference:.1f}",
            f"{scores.blotches:.2f}",
        ]
        for each, scores in ((name, found.model), ("leave it grey", found.grey))
    ]
    truth = ["the truth", "", "", "", f"{found.truth_colourfulness:.1f}", "", f"{found.truth_blotches:.2f}"]
    header = ["", "PSNR (dB)", "SSIM", "CIEDE2000", "colour", "off by", "blotches"]
    return terminal.table(header, [*rows, truth], title=title)


def _reliability(found: "Reliability") -> str:
    rows = [[str(row.places), f"{row.stated:.1f}", f"{row.found:.1f}"] for row in found.rows]
    title = f"Calibration of the confidence: mean error {found.error:.2f} levels"
    return terminal.table(["places", "spread stated", "error found"], rows, title=title)
