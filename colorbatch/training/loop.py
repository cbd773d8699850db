"""The training loop, from a folder of colour pictures to checkpoints."""

import logging
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from colorbatch.errors import CheckpointRefusedError, EnvironmentFailure, UsageError
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.training import checkpoint, record
from colorbatch.training.architectures import build_network
from colorbatch.training.batches import Batch, prefetched
from colorbatch.training.checkpoint import EpochMetrics, TrainingState
from colorbatch.training.config import TrainingConfig
from colorbatch.training.losses import LOSSES
from colorbatch.training.moving_average import MovingAverage
from colorbatch.training.network import ColorNetwork
from colorbatch.training.pictures import load_pictures
from colorbatch.training.planes import merge
from colorbatch.training.start import start_from

logger = logging.getLogger(__name__)

RECORDED_SAMPLES = 4
PICTURES_TO_START_FROM = 6000
"""Maximum number of pictures from which a new network learns the frequency of colours."""


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training."""

    history: Sequence[EpochMetrics]
    finished: bool
    """False if it was stopped; ``last.pth`` then holds the exact state."""
    last_checkpoint: Path | None
    """Weights of the last finished epoch, or of the best one if only that is kept."""


def train(
    config: TrainingConfig, progress: ProgressReporter | None = None, stop: threading.Event | None = None
) -> TrainingResult:
    """Train until the last epoch or until ``stop`` is set.

    On the CPU, a stopped and resumed training gives the same weights bit for bit as one that was never stopped.

    Raises:
        UsageError: folders or options do not fit together.
        CheckpointRefusedError: ``resume`` found no checkpoint or one of another training, or ``init`` does not fit.
        ModelRefusedError: ``init`` is a model that cannot be read.
        EnvironmentFailure: the device is not available, or the output cannot be written.

    """
    _refuse_conflicting_options(config)
    trainer = _Trainer(config, progress or SilentProgress(), stop or threading.Event())
    if config.resume:
        trainer.resume()
    record.write_metrics(config.out, trainer.state.history)  # fails now if the folder cannot be written
    while trainer.state.epoch < config.epochs:
        if not trainer.train_epoch():
            return trainer.result(finished=False)
        trainer.close_epoch()
    return trainer.result(finished=True)


class _Trainer:
    """One training: pictures, network, optimizer and state."""

    def __init__(self, config: TrainingConfig, progress: ProgressReporter, stop: threading.Event) -> None:
        self.config = config
        self.progress = progress
        self.stop = stop
        self.device = select_device(config.device)
        self.amp = computes_in_bfloat16(self.device) if config.amp is None else config.amp
        self.pictures = load_pictures(config, self.device, progress)
        self.samples = self.pictures.recorded(RECORDED_SAMPLES)
        torch.manual_seed(config.seed)
        network = build_network(config.architecture)
        if config.init is not None:
            start_from(config.init, network, config.architecture)
        elif not config.resume:
            network.start(self.pictures.chromas(PICTURES_TO_START_FROM))
        self.network: ColorNetwork = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = LOSSES[config.loss or network.losses[0]]
        self.optimizer = make_optimizer(self.network, config, self.device)
        self.average = None if config.ema is None else MovingAverage(self.network, config.ema)
        logger.info("Training on %s, bfloat16 autocast %s", self.device, "on" if self.amp else "off")
        self.state = TrainingState(
            config.architecture, config.size, config.batch_size, self.pictures.sha256, crop=config.crop
        )

    @property
    def result_network(self) -> ColorNetwork:
        """The network that is measured and saved: the moving average, if there is one."""
        if self.average is None:
            return self.network
        return self.average.module

    def resume(self) -> None:
        """Restore the state in ``last.pth``."""
        state = checkpoint.restore_last(self.config.out, self.network, self.optimizer, self.average, self.device)
        if state.fixed != self.state.fixed:
            raise CheckpointRefusedError(
                f"the checkpoint in {self.config.out} was made with other pictures, or another architecture, "
                "size, crop or batch size",
                advice="Resume with the same options, folders and --seed as at the start.",
            )
        self.state = state

    def train_epoch(self) -> bool:
        """Train on the remaining batches of this epoch; return False if stopped, with everything saved."""
        config, state, steps = self.config, self.state, self.pictures.steps
        started = time.perf_counter() - state.epoch_seconds
        saved = time.perf_counter()
        loss_sum = torch.tensor(
            state.loss_sum, dtype=torch.float64, device=self.device
        )  # rarely read, since that waits for the device
        self.network.train()
        self.progress.begin(steps, f"Epoch {state.epoch + 1}/{config.epochs}", weight=steps - state.step)
        self.progress.advance(state.step, weight=0)
        for batch in prefetched(self.pictures.of_epoch(state.epoch, skip=state.step)):
            self._set_learning_rate((state.epoch * steps + state.step) / (config.epochs * steps))
            loss = self.loss(self.network, *self._predict(self.network, batch))
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if config.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
            self.optimizer.step()
            if self.average is not None:
                self.average.update(self.network)

            state.step += 1
            loss_sum += loss.detach().double() * len(batch.luma)
            self.progress.advance()
            is_due = time.perf_counter() - saved > 60 * config.checkpoint_minutes
            if is_due or self.stop.is_set() or state.step == steps:
                state.loss_sum = loss_sum.item()
                state.epoch_seconds = time.perf_counter() - started
            if is_due or self.stop.is_set():
                checkpoint.save_last(config.out, state, self.network, self.optimizer, self.average)
                saved = time.perf_counter()
            if self.stop.is_set():
                return False
        return True

    def close_epoch(self) -> None:
        """Measure, record and save the epoch whose batches are done."""
        out, state = self.config.out, self.state
        network = self.result_network.eval()
        with torch.inference_mode():
            held_out = self._measure(network)
            prediction, _ = self._predict(network, Batch(self.samples, self.samples))
            samples = merge(self.samples, network.chroma(prediction))
        state.finish_epoch(len(self.pictures.to_train), *held_out)
        self.progress.end()
        self.progress.message(f"Epoch [{state.epoch}/{self.config.epochs}], Loss: {state.history[-1].train_loss:.4f}")
        checkpoint.save_epoch(out, state, network)
        checkpoint.save_last(out, state, self.network, self.optimizer, self.average)
        checkpoint.prune_epochs(out, self.config.keep, state)
        record.write_samples(out, state.epoch, self.samples, samples)
        record.write_metrics(out, state.history)
        record.write_loss_curve(out, state.history)

    def result(self, *, finished: bool) -> TrainingResult:
        """Return the result of the training."""
        epoch = self.state.best_epoch if self.config.keep == "best" else self.state.epoch
        path = checkpoint.epoch_path(self.config.out, epoch or 0)
        return TrainingResult(self.state.history, finished, path if path.exists() else None)

    def _set_learning_rate(self, done: float) -> None:
        """Set the learning rate for the share ``done`` (0..1) of the training that is completed."""
        factor = 0.5 * (1 + math.cos(math.pi * done)) if self.config.schedule == "cosine" else 1.0
        if done < self.config.warmup:
            factor *= done / self.config.warmup
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * group["rate"] * factor

    def _predict(self, network: ColorNetwork, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the prediction in float32, and the truth."""
        luma, rgb = (planes.contiguous(memory_format=torch.channels_last) for planes in (batch.luma, batch.rgb))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            prediction: Tensor = network(luma) if batch.hints is None else network(luma, batch.hints)
        return prediction.float(), rgb

    def _measure(self, network: ColorNetwork) -> tuple[float | None, float | None]:
        """Return the mean loss and the mean PSNR in dB over the pictures held out; ``None``: there are none."""
        held_out = self.pictures.held_out
        if held_out is None:
            return None, None
        loss, decibels = 0.0, 0.0
        for batch in self.pictures.whole(held_out):
            prediction, truth = self._predict(network, batch)
            loss += self.loss(network, prediction, truth).item() * len(truth)
            error = (merge(batch.luma, network.chroma(prediction)) - truth).square().mean(dim=(1, 2, 3))
            decibels -= 10 * torch.log10(error.clamp(min=1e-10)).sum().item()
        return loss / len(held_out), decibels / len(held_out)


def make_optimizer(network: ColorNetwork, config: TrainingConfig, device: torch.device) -> torch.optim.Optimizer:
    """Return AdamW over all trained weights; each group's ``rate`` is its factor of the learning rate."""
    pretrained = network.pretrained_parameters()
    known = set(map(id, pretrained))
    groups = [{"params": [each for each in network.parameters() if id(each) not in known], "rate": 1.0}]
    if config.freeze:
        for parameter in pretrained:
            parameter.requires_grad_(False)
    elif pretrained:
        groups.append({"params": pretrained, "rate": config.pretrained_rate})
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=device.type == "cuda"
    )


def select_device(name: str) -> torch.device:
    """Return the device named ``auto``, ``cpu`` or ``cuda``; ``auto`` is CUDA if available.

    Raises:
        EnvironmentFailure: ``cuda`` was requested and is not available.

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


def _refuse_conflicting_options(config: TrainingConfig) -> None:
    architecture = build_network(config.architecture)
    multiple = architecture.size_multiple
    for option, side in (("--crop", config.crop), ("--size", None if config.crop else config.size)):
        if side is not None and (side % multiple or side < 2 * multiple):
            raise UsageError(f"{option} must be a multiple of {multiple} and at least {2 * multiple}, not {side}")
    if config.crop and config.size < config.crop:
        raise UsageError(f"--size {config.size} is smaller than --crop {config.crop}: crops would be enlarged")
    if config.loss is not None and config.loss not in architecture.losses:
        raise UsageError(
            f"the architecture {config.architecture} cannot be trained with --loss {config.loss}; it supports: "
            f"{', '.join(architecture.losses)}"
        )
    if config.hinted and not architecture.has_hints:
        raise UsageError(
            f"the architecture {config.architecture} does not support hints, so --hinted cannot be used",
            advice="Use --architecture lite2-unet, or a recipe with it.",
        )
    if config.validation and config.validation_dir:
        raise UsageError("--validation and --validation-dir cannot be given together")
    for folder in filter(None, (config.color_dir, config.gray_dir, config.validation_dir)):
        if config.out.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"--out {config.out} is inside {folder}, so its pictures would be trained on")
    last = config.out / checkpoint.FOLDER / checkpoint.LAST
    if last.exists() and not config.resume:
        raise UsageError(
            f"{config.out} holds another training", advice="Use --resume to continue it, or another --out."
        )
