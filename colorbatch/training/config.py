"""What a training is asked to do; the defaults are the recipe of the seed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DeviceName = Literal["auto", "cpu", "cuda"]
ScheduleName = Literal["constant", "cosine"]
LossName = Literal["mse", "chroma", "huber", "bins"]
"""``mse``: squared error of RGB, as the seed has it; ``chroma``: of chroma alone; ``huber``: the same, but linear for
large errors; ``bins``: of a distribution of colours."""
ARCHITECTURE_NAMES = ("unet", "lite0-unet", "lite2-unet")
Keep = Literal["all", "best"] | int
"""Which epoch checkpoints stay on disk: all, the best one, or the last N."""


@dataclass(frozen=True)
class TrainingConfig:
    """One training, from pictures to checkpoints."""

    color_dir: Path
    """Folder of colour pictures, searched through all its subfolders."""
    out: Path
    """Folder that receives ``checkpoints/``, ``record/``, ``metrics.csv`` and ``loss.png``."""
    gray_dir: Path | None = None
    """Folder of grey pictures with the same relative names; ``None``: Pillow's "L" of the colour ones."""
    validation_dir: Path | None = None
    """Folder of colour pictures that are all held out, instead of a share of those in ``color_dir``."""
    architecture: str = "unet"
    size: int = 160
    """Side in pixels to which every picture is resized (both sides: the aspect ratio is not kept)."""
    crop: int | None = None
    """Show squares of this side instead, cut out of the picture at random, flipped and resized at random; ``size`` is
    then the largest short side at which pictures are kept."""
    aged: float = 0.0
    """Share of the pictures, 0..1, whose luma is aged as old photographs are."""
    softened: float = 0.0
    """Share of all pictures, 0..1, aged or not, that are blurred a little."""
    sharpened: float = 0.0
    """Share of all pictures, 0..1, aged or not, whose edges are raised."""
    recompressed: float = 0.0
    """Share of all pictures, 0..1, aged or not, with traces of a JPEG of middling quality."""
    hinted: float = 0.0
    """Share of the pictures, 0..1, that come with hints of their true colours; only for a network that has hints."""
    balance: float = 1.0
    """A source, a first folder below ``color_dir``, is drawn by this power, 0..1, of the number of its pictures.
    1: every picture once an epoch; less: pictures of small sources more often, those of large ones less."""
    batch_size: int = 16
    epochs: int = 50
    learning_rate: float = 1e-4
    schedule: ScheduleName = "constant"
    """``cosine``: the learning rate falls from its start to 0 over all steps of all epochs."""
    warmup: float = 0.0
    """Share of all steps over which the learning rate first rises from 0."""
    pretrained_rate: float = 1.0
    """Learning rate of pretrained weights, as a share of the others'."""
    freeze: bool = False
    """Leave pretrained weights as they are."""
    weight_decay: float = 0.0
    """Of AdamW; 0 makes it Adam."""
    clip_norm: float | None = None
    """Largest norm of the gradient of all weights; ``None``: no limit."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights, which is then what is measured and kept."""
    loss: LossName | None = None
    """``None``: what the architecture is made for."""
    init: Path | None = None
    """A checkpoint, an ``.onnx`` file or the name of a built-in model, whose weights the training starts from;
    ``None``: random weights, or pretrained ones where the architecture has them."""
    validation: float = 0.0
    """Share of the pictures that are held out, 0 or more and less than 1."""
    limit: int | None = None
    """Train on this many pictures only, drawn at random."""
    keep: Keep = "all"
    seed: int = 0
    device: DeviceName = "auto"
    amp: bool | None = None
    """bfloat16 autocast; ``None``: where the device computes in bfloat16 natively."""
    resume: bool = False
    """Go on from ``checkpoints/last.pth`` in ``out``."""
    checkpoint_minutes: float = 10.0
    """``last.pth`` is also written within an epoch, at least this often."""
