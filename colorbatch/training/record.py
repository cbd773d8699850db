"""The record of a training for people: sample pictures, ``metrics.csv`` and ``loss.png``."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from PIL import Image
from torch import Tensor

from colorbatch.store.atomic import atomic_writer, write_bytes
from colorbatch.training.checkpoint import EpochMetrics


def write_samples(folder: Path, epoch: int, luma: Tensor, rgb: Tensor) -> None:
    """Write ``record/epoch_{epoch}_sample_{i}_gray.png`` and ``..._color.png`` for each of N samples.

    Args:
        folder: the training's folder.
        epoch: 1-based.
        luma: ``[N, 1, H, W]`` in 0..1.
        rgb: the prediction, ``[N, 3, H, W]`` in 0..1.

    """
    for number, (gray, color) in enumerate(zip(luma, rgb, strict=True), start=1):
        stem = folder / "record" / f"epoch_{epoch}_sample_{number}"
        _write_png(stem.with_name(f"{stem.name}_gray.png"), gray)
        _write_png(stem.with_name(f"{stem.name}_color.png"), color)


def _write_png(path: Path, image: Tensor) -> None:
    levels = image.clamp(0, 1).mul(255).round().byte().cpu().permute(1, 2, 0).numpy()
    picture = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
    with atomic_writer(path) as file:
        picture.save(file, "PNG")


def write_metrics(folder: Path, history: Sequence[EpochMetrics]) -> None:
    """Write ``metrics.csv``, one line per epoch; an empty validation loss means that nothing was held out."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [field.name for field in fields(EpochMetrics)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in history)
    write_bytes(folder / "metrics.csv", text.getvalue().encode())


def write_loss_curve(folder: Path, history: Sequence[EpochMetrics]) -> None:
    """Draw ``loss.png``: the losses by epoch on a logarithmic scale."""
    from matplotlib.figure import Figure  # imported late: takes a second

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    epochs = [row.epoch for row in history]
    axes.plot(epochs, [row.train_loss for row in history], marker="o", markersize=3, label="training")
    held_out = [(row.epoch, row.validation_loss) for row in history if row.validation_loss is not None]
    if held_out:
        axes.plot(*zip(*held_out, strict=True), marker="o", markersize=3, label="validation")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    with atomic_writer(folder / "loss.png") as file:
        figure.savefig(file, format="png", dpi=120)
