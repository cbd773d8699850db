"""What a training is asked to do; the defaults are the recipe of the seed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DeviceName = Literal["auto", "cpu", "cuda"]
ScheduleName = Literal["constant", "cosine"]
LossName = Literal["mse", "chroma"]
"""``mse``: of RGB, as the seed has it; ``chroma``: of chroma alone."""
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
    size: int = 160
    """Side in pixels to which every picture is resized (both sides: the aspect ratio is not kept)."""
    batch_size: int = 16
    epochs: int = 50
    learning_rate: float = 1e-4
    schedule: ScheduleName = "constant"
    """``cosine``: the learning rate falls from its start to 0 over all steps of all epochs."""
    loss: LossName = "mse"
    init: Path | None = None
    """A checkpoint whose weights the training starts from; ``None``: random weights."""
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
