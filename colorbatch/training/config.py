"""The configuration of a training; the defaults are the recipe ``seed``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DeviceName = Literal["auto", "cpu", "cuda"]
ScheduleName = Literal["constant", "cosine"]
LossName = Literal["mse", "chroma", "huber", "bins"]
"""``mse``: squared error of RGB, as in the recipe ``seed``; ``chroma``: squared error of chroma alone; ``huber``: the
same, but linear for large errors; ``bins``: cross-entropy of a distribution of colours."""
ARCHITECTURE_NAMES = ("unet", "lite0-unet", "lite2-unet")
Keep = Literal["all", "best"] | int
"""Epoch checkpoints to keep: all, the best one, or the last N."""


@dataclass(frozen=True)
class TrainingConfig:
    """One training, from pictures to checkpoints."""

    color_dir: Path
    """Folder of colour pictures, searched recursively."""
    out: Path
    """Folder that receives ``checkpoints/``, ``record/``, ``metrics.csv`` and ``loss.png``."""
    gray_dir: Path | None = None
    """Folder of grey pictures with the same relative names; ``None``: made from the colour ones as Pillow's "L"."""
    validation_dir: Path | None = None
    """Folder of colour pictures that are all held out, instead of a share of those in ``color_dir``."""
    architecture: str = "unet"
    size: int = 160
    """Side in pixels to which every picture is resized (both sides: the aspect ratio is not kept)."""
    crop: int | None = None
    """Side of random crops, flipped and resized at random, to train on instead of whole pictures; ``size`` is then the
    largest short side at which pictures are stored."""
    aged: float = 0.0
    """Share of the pictures, 0..1, whose luma is aged like that of old photographs."""
    softened: float = 0.0
    """Share of all pictures, 0..1, aged or not, that are slightly blurred."""
    sharpened: float = 0.0
    """Share of all pictures, 0..1, aged or not, that are sharpened."""
    recompressed: float = 0.0
    """Share of all pictures, 0..1, aged or not, with artefacts of a JPEG of medium quality."""
    hinted: float = 0.0
    """Share of the pictures, 0..1, with hints of their true colours; only for a network that has hints."""
    balance: float = 1.0
    """Balance between sources, the top-level folders below ``color_dir``: the probability of a source is the number of
    its pictures to this power, 0..1. 1: every picture once per epoch; less: small sources more often, large ones less
    often."""
    batch_size: int = 16
    epochs: int = 50
    learning_rate: float = 1e-4
    schedule: ScheduleName = "constant"
    """Schedule of the learning rate; ``cosine``: it falls to 0 over all steps of all epochs."""
    warmup: float = 0.0
    """Share of all steps over which the learning rate first rises from 0."""
    pretrained_rate: float = 1.0
    """Learning rate of pretrained weights, as a fraction of that of the others."""
    freeze: bool = False
    """Whether pretrained weights are not trained."""
    weight_decay: float = 0.0
    """Weight decay of AdamW; 0 makes it Adam."""
    clip_norm: float | None = None
    """Maximum norm of the gradient of all weights; ``None``: no limit."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights, which is then measured and saved instead of them."""
    loss: LossName | None = None
    """Loss to minimise; ``None``: the default of the architecture."""
    init: Path | None = None
    """A checkpoint, an ``.onnx`` file or the name of a built-in model, whose weights the training starts from;
    ``None``: random weights, or pretrained ones if the architecture has them."""
    validation: float = 0.0
    """Share of the pictures that are held out, at least 0 and below 1."""
    limit: int | None = None
    """Number of pictures to train on, drawn at random; ``None``: all."""
    keep: Keep = "all"
    seed: int = 0
    device: DeviceName = "auto"
    amp: bool | None = None
    """Whether to use bfloat16 autocast; ``None``: if the device computes in bfloat16 natively."""
    resume: bool = False
    """Whether to resume from ``checkpoints/last.pth`` in ``out``."""
    checkpoint_minutes: float = 10.0
    """Interval at which ``last.pth`` is also written within an epoch."""
