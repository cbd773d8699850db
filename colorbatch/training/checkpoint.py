"""Checkpoints: the weights of each epoch, and the whole state that a stopped training needs to resume.

``checkpoints/colorization_epoch_{n}.pth`` holds the weights after epoch n, ``checkpoints/last.pth`` the weights and the
state of optimizer and random numbers. All are read with ``weights_only=True``, so a file that contains code is refused.
"""

import hashlib
import io
import logging
import pickle
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from colorbatch.errors import CheckpointRefusedError, reason_of
from colorbatch.file_type import ARCHIVE, CHECKPOINT, MODEL, SNIFFED, file_type_of
from colorbatch.store.atomic import atomic_writer
from colorbatch.training.architectures import ARCHITECTURES, build_network
from colorbatch.training.config import Keep
from colorbatch.training.moving_average import MovingAverage
from colorbatch.training.network import ColorNetwork

logger = logging.getLogger(__name__)

FORMAT = "colorbatch-checkpoint-1"
FOLDER = "checkpoints"
LAST = "last.pth"
_EPOCH_NAME = "colorization_epoch_{epoch}.pth"
_EPOCH_PATTERN = re.compile(r"colorization_epoch_(\d+)\.pth")


@dataclass(frozen=True)
class EpochMetrics:
    """One line of ``metrics.csv``."""

    epoch: int
    train_loss: float
    validation_loss: float | None
    """Mean loss over the pictures held out; ``None``: there are none."""
    seconds: float
    images_per_second: float
    validation_psnr: float | None = None
    """Mean PSNR over the pictures held out, in dB; ``None``: there are none."""


@dataclass
class TrainingState:
    """The state of a training, except tensors: all that ``--resume`` compares and restores."""

    architecture: str
    size: int
    batch_size: int
    pictures_sha256: str
    """Hash of the names trained on and held out, in order."""
    crop: int | None = None
    epoch: int = 0
    """Number of finished epochs."""
    step: int = 0
    """Number of finished batches of the current epoch."""
    loss_sum: float = 0.0
    """Sum of the loss over the pictures of those batches."""
    epoch_seconds: float = 0.0
    history: list[EpochMetrics] = field(default_factory=list)

    def finish_epoch(self, pictures: int, validation_loss: float | None, validation_psnr: float | None) -> None:
        """Finish the current epoch, in which ``pictures`` pictures were trained on."""
        self.epoch += 1
        metrics = EpochMetrics(
            epoch=self.epoch,
            train_loss=self.loss_sum / pictures,
            validation_loss=validation_loss,
            seconds=round(self.epoch_seconds, 2),
            images_per_second=round(pictures / self.epoch_seconds, 2),
            validation_psnr=validation_psnr,
        )
        self.history.append(metrics)
        self.step, self.loss_sum, self.epoch_seconds = 0, 0.0, 0.0

    @property
    def fixed(self) -> tuple[str, int, int | None, int, str]:
        """Values that must not change when a training resumes: else ``step`` would mean another batch."""
        return self.architecture, self.size, self.crop, self.batch_size, self.pictures_sha256

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the lowest validation loss, or training loss where nothing is held out."""
        if not self.history:
            return None

        def loss(row: EpochMetrics) -> float:
            return row.train_loss if row.validation_loss is None else row.validation_loss

        return min(self.history, key=loss).epoch


@dataclass(frozen=True)
class LoadedCheckpoint:
    """The weights and metadata of any checkpoint."""

    architecture: str
    size: int | None
    """Side that the network was trained at; ``None`` for a plain state dict."""
    weights: dict[str, Tensor]
    sha256: str
    content: Mapping[str, Any]


def epoch_path(folder: Path, epoch: int) -> Path:
    """Return the path of the weights of ``epoch`` (1-based) below the training's ``folder``."""
    return folder / FOLDER / _EPOCH_NAME.format(epoch=epoch)


def save_epoch(folder: Path, state: TrainingState, network: nn.Module) -> Path:
    """Write the weights after the last finished epoch and return their path."""
    path = epoch_path(folder, state.epoch)
    _save(path, state, network, {})
    return path


def save_last(
    folder: Path,
    state: TrainingState,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage | None,
) -> None:
    """Write the whole state, so that training can resume from here bit for bit."""
    extra: dict[str, Any] = {"optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}
    if average is not None:
        extra["average"] = average.state_dict()
    if torch.cuda.is_available():
        extra["cuda_rng"] = torch.cuda.get_rng_state_all()
    _save(folder / FOLDER / LAST, state, network, extra)


def _save(path: Path, state: TrainingState, network: nn.Module, extra: dict[str, Any]) -> None:
    with atomic_writer(path) as file:
        torch.save({"format": FORMAT, "state": asdict(state), "weights": network.state_dict(), **extra}, file)


def restore_last(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage | None,
    device: torch.device,
) -> TrainingState:
    """Load ``last.pth`` into network, optimizer, average and random numbers, and return the state of the training.

    Raises:
        CheckpointRefusedError: the file is missing, or belongs to another network.

    """
    path = folder / FOLDER / LAST
    loaded = load_checkpoint(path, device)
    content = loaded.content
    if "optimizer" not in content:
        raise CheckpointRefusedError(f"{path} holds only weights: training cannot resume from it")
    load_weights(network, loaded, path)
    try:
        optimizer.load_state_dict(content["optimizer"])
        if average is not None:
            average.load_state_dict(content["average"])
        torch.set_rng_state(content["rng"].cpu())
        if torch.cuda.is_available() and "cuda_rng" in content:
            torch.cuda.set_rng_state_all([rng.cpu() for rng in content["cuda_rng"]])
        fields = dict(content["state"])
        fields["history"] = [EpochMetrics(**row) for row in fields["history"]]
        return TrainingState(**fields)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointRefusedError(f"{path} is not a complete training state: {error}") from error


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> LoadedCheckpoint:
    """Read a checkpoint of ours or a plain state dict of the published U-Net, without running code from it.

    Raises:
        CheckpointRefusedError: the file cannot be read, contains code, or holds no known network.

    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointRefusedError(f"cannot read {path}: {reason_of(error)}") from error
    try:
        content = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except Exception as error:  # PyTorch's reader raises all kinds of exceptions for crafted files
        logger.debug("%s: %s", path, error)
        raise _not_a_checkpoint(path, data[:SNIFFED], error) from error
    sha256 = hashlib.sha256(data).hexdigest()
    if not isinstance(content, Mapping):
        raise CheckpointRefusedError(f"{path} holds a {type(content).__name__}, not a checkpoint")
    if content.get("format") == FORMAT:
        try:
            state = content["state"]
            size = int(state.get("crop") or state["size"])
            return LoadedCheckpoint(str(state["architecture"]), size, content["weights"], sha256, content)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointRefusedError(f"{path} is not a complete checkpoint: {error}") from error
    weights = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if len(weights) != len(content) or not weights:
        raise CheckpointRefusedError(f"{path} is neither a colorbatch checkpoint nor a plain state dict")
    return LoadedCheckpoint("unet", None, weights, sha256, content)


def _not_a_checkpoint(path: Path, head: bytes, error: Exception) -> CheckpointRefusedError:
    """Return the error for a file that PyTorch does not read, which says what it is instead."""
    found = file_type_of(head)
    if found not in (None, CHECKPOINT, ARCHIVE):
        advice = None if found is MODEL else found.advice
        return CheckpointRefusedError(f"{path} is not a checkpoint: it is {found.name}", advice=advice)
    if isinstance(error, pickle.UnpicklingError):
        return CheckpointRefusedError(f"{path} is refused: it is not a plain checkpoint, or it contains code")
    return CheckpointRefusedError(f"{path} is not a checkpoint: it is damaged, or another kind of file")


def load_network(path: Path) -> tuple[ColorNetwork, LoadedCheckpoint]:
    """Return the network of a checkpoint in evaluation mode on the CPU, and the checkpoint.

    Raises:
        CheckpointRefusedError: as :func:`load_checkpoint`, or the weights do not fit the network.

    """
    loaded = load_checkpoint(path)
    if loaded.architecture not in ARCHITECTURES:
        raise CheckpointRefusedError(f"{path} has the unknown architecture {loaded.architecture!r}")
    network = build_network(loaded.architecture)
    load_weights(network, loaded, path)
    return network.eval(), loaded


def load_weights(network: nn.Module, loaded: LoadedCheckpoint, path: Path) -> None:
    """Copy the weights of a checkpoint into ``network``.

    Raises:
        CheckpointRefusedError: names or shapes differ.

    """
    try:
        network.load_state_dict(loaded.weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise CheckpointRefusedError(f"{path} does not fit the network {loaded.architecture}: {detail}") from error


def prune_epochs(folder: Path, keep: Keep, state: TrainingState) -> None:
    """Delete the epoch checkpoints that ``keep`` excludes; ``last.pth`` is always kept."""
    if keep == "all":
        return
    for path in (folder / FOLDER).glob("*.pth"):
        match = _EPOCH_PATTERN.fullmatch(path.name)
        if not match:
            continue
        epoch = int(match[1])
        wanted = epoch == state.best_epoch if keep == "best" else state.epoch - int(keep) < epoch <= state.epoch
        if not wanted:
            path.unlink()
