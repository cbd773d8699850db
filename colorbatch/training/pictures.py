"""The pictures of one training: which are trained on, in which order, and which are held out."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from colorbatch.errors import UsageError
from colorbatch.progress import ProgressReporter
from colorbatch.training.config import TrainingConfig
from colorbatch.training.dataset import ColorizationDataset, find_pairs
from colorbatch.training.planes import chroma_of
from colorbatch.training.samples import Samples, Variation

# Each use of random numbers has its own stream, so that one never shifts another.
_SPLIT_STREAM, _ORDER_STREAM, _VARIATION_STREAM, _START_STREAM = range(4)


@dataclass(frozen=True)
class TrainingPictures:
    """Pictures to train on and held out, each in a fixed random order."""

    config: TrainingConfig
    dataset: ColorizationDataset
    to_train: Sequence[int]
    """Places in ``dataset``."""
    held_out: Samples | None
    """Shown whole and as they are."""

    @property
    def side(self) -> int:
        """Side in pixels of what the network is shown."""
        return self.config.crop or self.config.size

    @property
    def shown(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The pictures that samples are recorded of, whole."""
        samples = self.held_out or Samples(self.dataset, self.to_train, self.side)
        return (samples[position] for position in range(len(samples)))

    def of_epoch(self, epoch: int, skip: int) -> Samples:
        """Return what is trained on in an epoch, but for the first ``skip``; seed and epoch alone decide the order."""
        config = self.config
        order = torch.randperm(len(self.to_train), generator=_generator(config.seed, _ORDER_STREAM, epoch)).tolist()
        indices = [self.to_train[place] for place in order[skip:]]
        variation = Variation(crop=config.crop is not None, aged=config.aged)
        return Samples(self.dataset, indices, self.side, variation, (config.seed, _VARIATION_STREAM, epoch))

    def chromas(self, limit: int, seed: int) -> Iterator[Tensor]:
        """Yield chroma ``[2, side, side]`` of up to ``limit`` of the pictures to train on, drawn at random."""
        order = torch.randperm(len(self.to_train), generator=_generator(seed, _START_STREAM)).tolist()
        samples = Samples(self.dataset, [self.to_train[place] for place in order[:limit]], self.side)
        for position in range(len(samples)):
            yield chroma_of(samples[position][1][None])[0]

    @property
    def sha256(self) -> str:
        """Of the names trained on and held out, in order, and of whether grey pictures were given."""
        digest = hashlib.sha256(b"given" if self.config.gray_dir else b"derived")
        held_out = self.held_out
        for dataset, indices in (
            (self.dataset, self.to_train),
            (held_out.dataset, held_out.indices) if held_out else (self.dataset, []),
        ):
            names = (dataset.pairs[index].name for index in indices)
            digest.update("\n".join(names).encode("utf-8", "surrogateescape"))
            digest.update(b"\0")
        return digest.hexdigest()


def load_pictures(config: TrainingConfig, progress: ProgressReporter) -> TrainingPictures:
    """Read all pictures of a training.

    Raises:
        UsageError: a folder has none, names do not pair, or none is left to train on.

    """
    pairs = find_pairs(config.color_dir, config.gray_dir)
    if config.limit is not None and config.limit < len(pairs):
        chosen = torch.randperm(len(pairs), generator=_generator(config.seed, _SPLIT_STREAM))[: config.limit]
        pairs = [pairs[index] for index in sorted(chosen.tolist())]
    keep_aspect = config.crop is not None
    dataset = ColorizationDataset(pairs, config.size, progress, keep_aspect=keep_aspect)
    order = torch.randperm(len(dataset), generator=_generator(config.seed, _SPLIT_STREAM)).tolist()
    side = config.crop or config.size
    if config.validation_dir is not None:
        others = ColorizationDataset(find_pairs(config.validation_dir), side, progress)
        return TrainingPictures(config, dataset, order, Samples(others, range(len(others)), side))
    count = math.ceil(len(dataset) * config.validation)
    if count >= len(dataset):
        raise UsageError(f"--validation {config.validation} leaves none of {len(dataset)} pictures to train on")
    held_out = Samples(dataset, order[:count], side) if count else None
    return TrainingPictures(config, dataset, order[count:], held_out)


def _generator(*stream: int) -> torch.Generator:
    """Return a random generator of its own for each tuple of numbers."""
    words = np.random.SeedSequence(stream).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> 1))
