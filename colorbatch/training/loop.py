"""The training loop, from a folder of colour pictures to checkpoints."""

import hashlib
import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from colorbatch.errors import CheckpointRefusedError, EnvironmentFailure, UsageError
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.training import checkpoint, record
from colorbatch.training.architectures import find_architecture
from colorbatch.training.checkpoint import EpochMetrics, TrainingState
from colorbatch.training.config import TrainingConfig
from colorbatch.training.dataset import ColorizationDataset, find_pairs
from colorbatch.training.losses import LOSSES

logger = logging.getLogger(__name__)

ARCHITECTURE = "unet"
RECORDED_SAMPLES = 4
Pictures = Subset[tuple[Tensor, Tensor]]
"""Some of a :class:`ColorizationDataset`, in a fixed order."""
# Each use of random numbers has its own stream, so that one never shifts another.
_SPLIT_STREAM, _ORDER_STREAM = 0, 1


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended."""

    history: Sequence[EpochMetrics]
    finished: bool
    """False when it was stopped; ``last.pth`` then holds the exact place."""
    last_checkpoint: Path | None
    """Weights of the last finished epoch, or of the best one when only that is kept."""


def train(
    config: TrainingConfig, progress: ProgressReporter | None = None, stop: threading.Event | None = None
) -> TrainingResult:
    """Train until the last epoch or until ``stop`` is set.

    On the CPU, a stopped and resumed training gives the same weights bit for bit as one that was never stopped.

    Raises:
        UsageError: folders or options do not fit together.
        CheckpointRefusedError: ``resume`` found no checkpoint or one of another training, or ``init`` does not fit.
        EnvironmentFailure: the device is not there, or the output cannot be written.

    """
    _check(config)
    trainer = _Trainer(config, progress or SilentProgress(), stop or threading.Event())
    if config.resume:
        trainer.resume()
    record.write_metrics(config.out, trainer.state.history)  # a folder that cannot be written is met now
    while trainer.state.epoch < config.epochs:
        if not trainer.train_epoch():
            return trainer.result(finished=False)
        trainer.close_epoch()
    return trainer.result(finished=True)


class _Trainer:
    """One training: pictures, network, optimizer, and where it stands."""

    def __init__(self, config: TrainingConfig, progress: ProgressReporter, stop: threading.Event) -> None:
        self.config = config
        self.progress = progress
        self.stop = stop
        self.device = select_device(config.device)
        self.amp = computes_in_bfloat16(self.device) if config.amp is None else config.amp
        self.train_set, self.validation_set = _load_pictures(config, progress)
        self.samples = _first_samples(self.validation_set or self.train_set)
        torch.manual_seed(config.seed)
        network = find_architecture(ARCHITECTURE).build()
        if config.init is not None:
            checkpoint.load_weights(network, checkpoint.load_checkpoint(config.init), config.init)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        logger.info("Training on %s, bfloat16 autocast %s", self.device, "on" if self.amp else "off")
        pictures = _names_sha256(config, self.train_set, self.validation_set)
        self.state = TrainingState(ARCHITECTURE, config.size, config.batch_size, pictures)

    def resume(self) -> None:
        """Go back to where ``last.pth`` stands."""
        state = checkpoint.restore_last(self.config.out, self.network, self.optimizer, self.device)
        if state.fixed != self.state.fixed:
            raise CheckpointRefusedError(
                f"the checkpoint in {self.config.out} is of other pictures, or of another size or batch size",
                advice="Resume with the same folders, --size, --batch-size, --limit, --validation and --seed.",
            )
        self.state = state

    def train_epoch(self) -> bool:
        """Do the batches of this epoch that are left; return False when stopped, with everything saved."""
        config, state = self.config, self.state
        steps = math.ceil(len(self.train_set) / config.batch_size)
        started = time.perf_counter() - state.epoch_seconds
        saved = time.perf_counter()
        self.network.train()
        self.progress.begin(steps, f"Epoch {state.epoch + 1}/{config.epochs}")
        self.progress.advance(state.step)
        for luma, rgb in _batches(self.train_set, config, state):
            self._set_learning_rate((state.epoch * steps + state.step) / (config.epochs * steps))
            loss = self._loss(luma, rgb)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()

            state.step += 1
            state.loss_sum += loss.item() * len(luma)
            state.epoch_seconds = time.perf_counter() - started
            self.progress.advance()
            is_due = time.perf_counter() - saved > 60 * config.checkpoint_minutes
            if is_due or self.stop.is_set():
                checkpoint.save_last(config.out, state, self.network, self.optimizer)
                saved = time.perf_counter()
            if self.stop.is_set():
                return False
        return True

    def close_epoch(self) -> None:
        """Measure, count and save the epoch whose batches are done."""
        out, state = self.config.out, self.state
        self.network.eval()
        with torch.inference_mode():
            validation_loss = self._validation_loss()
            samples = self._predict(self.samples)
        state.finish_epoch(len(self.train_set), validation_loss)
        self.progress.end()
        self.progress.message(f"Epoch [{state.epoch}/{self.config.epochs}], Loss: {state.history[-1].train_loss:.4f}")
        checkpoint.save_epoch(out, state, self.network)
        checkpoint.save_last(out, state, self.network, self.optimizer)
        checkpoint.prune_epochs(out, self.config.keep, state)
        record.write_samples(out, state.epoch, self.samples, samples)
        record.write_metrics(out, state.history)
        record.write_loss_curve(out, state.history)

    def result(self, *, finished: bool) -> TrainingResult:
        """Return how the training ended."""
        epoch = self.state.best_epoch if self.config.keep == "best" else self.state.epoch
        path = checkpoint.epoch_path(self.config.out, epoch or 0)
        return TrainingResult(self.state.history, finished, path if path.exists() else None)

    def _set_learning_rate(self, done: float) -> None:
        """Set the learning rate for when the share ``done`` (0..1) of the training is over."""
        factor = 0.5 * (1 + math.cos(math.pi * done)) if self.config.schedule == "cosine" else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor

    def _predict(self, luma: Tensor) -> Tensor:
        """Return RGB float32 ``[N, 3, H, W]`` for luma ``[N, 1, H, W]`` from any device."""
        luma = luma.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            predicted: Tensor = self.network(luma)
        return predicted.float()

    def _loss(self, luma: Tensor, rgb: Tensor) -> Tensor:
        truth = rgb.to(self.device, memory_format=torch.channels_last)
        return LOSSES[self.config.loss](self._predict(luma), truth)

    def _validation_loss(self) -> float | None:
        if self.validation_set is None:
            return None
        batches = DataLoader(self.validation_set, self.config.batch_size, generator=torch.Generator())
        total = sum(self._loss(luma, rgb).item() * len(luma) for luma, rgb in batches)
        return total / len(self.validation_set)


def select_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu`` or ``cuda``; ``auto`` is CUDA where there is one.

    Raises:
        EnvironmentFailure: ``cuda`` was asked for and is not there.

    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise EnvironmentFailure("PyTorch finds no CUDA device", advice="Use --device cpu or install a driver.")
    return torch.device(name)


def computes_in_bfloat16(device: torch.device) -> bool:
    """Return whether ``device`` has instructions for bfloat16, so that autocast makes training faster."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def _check(config: TrainingConfig) -> None:
    multiple = find_architecture(ARCHITECTURE).size_multiple
    if config.size % multiple or config.size < 2 * multiple:
        raise UsageError(f"--size must be a multiple of {multiple} and at least {2 * multiple}, not {config.size}")
    for folder in filter(None, (config.color_dir, config.gray_dir)):
        if config.out.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"--out {config.out} lies in {folder}, so its pictures would be trained on")
    last = config.out / checkpoint.FOLDER / checkpoint.LAST
    if last.exists() and not config.resume:
        raise UsageError(
            f"{config.out} holds another training", advice="Give --resume to go on with it, or another --out."
        )


def _load_pictures(config: TrainingConfig, progress: ProgressReporter) -> tuple[Pictures, Pictures | None]:
    """Return the pictures to train on and those held out, each in a fixed random order."""
    pairs = find_pairs(config.color_dir, config.gray_dir)
    if config.limit is not None and config.limit < len(pairs):
        chosen = torch.randperm(len(pairs), generator=_generator(config.seed, _SPLIT_STREAM))[: config.limit]
        pairs = [pairs[index] for index in sorted(chosen.tolist())]
    dataset = ColorizationDataset(pairs, config.size, progress)
    order = torch.randperm(len(dataset), generator=_generator(config.seed, _SPLIT_STREAM)).tolist()
    held_out = math.ceil(len(dataset) * config.validation)
    if held_out >= len(dataset):
        raise UsageError(f"--validation {config.validation} leaves none of {len(dataset)} pictures to train on")
    return Subset(dataset, order[held_out:]), Subset(dataset, order[:held_out]) if held_out else None


def _generator(*stream: int) -> torch.Generator:
    """Return a random generator of its own for each tuple of numbers."""
    words = np.random.SeedSequence(stream).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> 1))


def _names_sha256(config: TrainingConfig, *subsets: Pictures | None) -> str:
    """Return a hash of the names trained on and held out, in order, and of whether grey pictures were given."""
    digest = hashlib.sha256(b"given" if config.gray_dir else b"derived")
    for subset in subsets:
        if subset is not None:
            assert isinstance(subset.dataset, ColorizationDataset)
            names = (subset.dataset.pairs[index].name for index in subset.indices)
            digest.update("\n".join(names).encode("utf-8", "surrogateescape"))
        digest.update(b"\0")
    return digest.hexdigest()


def _first_samples(subset: Pictures) -> Tensor:
    """Return the luma of the pictures recorded after each epoch, ``[up to 4, 1, size, size]``."""
    return torch.stack([subset[index][0] for index in range(min(RECORDED_SAMPLES, len(subset)))])


def _batches(subset: Pictures, config: TrainingConfig, state: TrainingState) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of this epoch that are still to do; their order depends on seed and epoch alone."""
    order = torch.randperm(len(subset), generator=_generator(config.seed, _ORDER_STREAM, state.epoch)).tolist()
    remaining = Subset(subset, order[state.step * config.batch_size :])
    yield from DataLoader(remaining, config.batch_size, generator=torch.Generator())
