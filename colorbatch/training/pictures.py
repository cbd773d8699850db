"""The pictures of one training: which are trained on, in which order, and which are held out."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from colorbatch.errors import UsageError
from colorbatch.progress import ProgressReporter
from colorbatch.training.batches import Batch, Variation, varied_batch, whole_batch
from colorbatch.training.config import TrainingConfig
from colorbatch.training.dataset import ColorizationDataset, PicturePair, find_pairs
from colorbatch.training.draws import Draws, generator
from colorbatch.training.planes import chroma_of

_SPLIT_STREAM, _ORDER_STREAM, _VARIATION_STREAM, _START_STREAM = range(4)


@dataclass(frozen=True)
class Selection:
    """Some pictures of a dataset, in a fixed order."""

    dataset: ColorizationDataset
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def pairs(self) -> list[PicturePair]:
        """Files of the pictures."""
        return [self.dataset.pairs[place] for place in self.places]


@dataclass(frozen=True)
class TrainingPictures:
    """Pictures to train on and held out, each in a fixed random order."""

    config: TrainingConfig
    device: torch.device
    """Device on which batches are made."""
    to_train: Selection
    held_out: Selection | None
    """Pictures for validation, whole and unvaried."""

    @property
    def side(self) -> int:
        """Side in pixels of the input of the network."""
        return self.config.crop or self.config.size

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        return math.ceil(len(self.to_train) / self.config.batch_size)

    def whole(self, selection: Selection, limit: int | None = None) -> Iterator[Batch]:
        """Yield whole and unvaried pictures, at most ``limit`` of them."""
        for places in self._chunks(selection.places[:limit]):
            yield whole_batch(selection.dataset.canvas(places).to(self.device), self.side)

    def recorded(self, limit: int) -> Tensor:
        """Return the luma ``[N, 1, side, side]`` of the pictures that samples are recorded of."""
        return torch.cat([batch.luma for batch in self.whole(self.held_out or self.to_train, limit)])

    def of_epoch(self, epoch: int, skip: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, without the first ``skip``.

        The pictures of a batch and their variation depend only on the seed, the epoch and the number of the batch.
        """
        config = self.config
        variation = Variation(
            crop=config.crop is not None,
            softened=config.softened,
            sharpened=config.sharpened,
            recompressed=config.recompressed,
            aged=config.aged,
            hinted=config.hinted or None,
        )
        order = [self.to_train.places[place] for place in self._order(epoch)]
        for number, places in enumerate(self._chunks(order)):
            if number >= skip:
                draws = Draws((config.seed, _VARIATION_STREAM, epoch, number), self.device)
                canvas = self.to_train.dataset.canvas(places).to(self.device)
                yield varied_batch(canvas, self.side, variation, draws)

    def chromas(self, limit: int) -> Iterator[Tensor]:
        """Yield chroma ``[2, side, side]`` of up to ``limit`` of the pictures to train on, drawn at random."""
        order = torch.randperm(len(self.to_train), generator=generator((self.config.seed, _START_STREAM))).tolist()
        chosen = Selection(self.to_train.dataset, [self.to_train.places[place] for place in order[:limit]])
        for batch in self.whole(chosen):
            yield from chroma_of(batch.rgb).cpu()

    @property
    def sha256(self) -> str:
        """Hash of the names trained on and held out, in order, and of whether grey pictures were given."""
        digest = hashlib.sha256(b"given" if self.config.gray_dir else b"derived")
        for selection in (self.to_train, self.held_out):
            names = (pair.name for pair in selection.pairs) if selection else ()
            digest.update("\n".join(names).encode("utf-8", "surrogateescape"))
            digest.update(b"\0")
        if self.config.balance != 1:  # which changes the order
            digest.update(f"{self.config.balance}".encode())
        return digest.hexdigest()

    def _order(self, epoch: int) -> list[int]:
        """Return the indices of the pictures to train on in an epoch, in order."""
        random = generator((self.config.seed, _ORDER_STREAM, epoch))
        if self.config.balance == 1:
            return torch.randperm(len(self.to_train), generator=random).tolist()
        weights = balanced_weights([pair.name for pair in self.to_train.pairs], self.config.balance)
        return torch.multinomial(weights, len(weights), replacement=True, generator=random).tolist()

    def _chunks(self, places: Sequence[int]) -> Iterator[Sequence[int]]:
        size = self.config.batch_size
        return (places[start : start + size] for start in range(0, len(places), size))


def balanced_weights(names: Sequence[str], balance: float) -> Tensor:
    """Return the weight with which each picture is drawn, float64 ``[n]``.

    The weights of a source add up to the number of its pictures to the power of ``balance``.

    Args:
        names: paths below the folder, POSIX style; the source is the first folder of each, or none.
        balance: 1: all pictures have the same weight; 0: all sources have.

    """
    sources = [name.rpartition("/")[0].partition("/")[0] for name in names]
    counts = Counter(sources)
    return torch.tensor([counts[source] ** (balance - 1) for source in sources], dtype=torch.float64)


def load_pictures(config: TrainingConfig, device: torch.device, progress: ProgressReporter) -> TrainingPictures:
    """Read all pictures of a training, onto its device if they fit.

    Raises:
        UsageError: a folder has no pictures, names do not match, or no picture is left to train on.

    """
    pairs = find_pairs(config.color_dir, config.gray_dir)
    if config.limit is not None and config.limit < len(pairs):
        chosen = torch.randperm(len(pairs), generator=generator((config.seed, _SPLIT_STREAM)))[: config.limit]
        pairs = [pairs[index] for index in sorted(chosen.tolist())]
    keep_aspect = config.crop is not None
    dataset = ColorizationDataset(pairs, config.size, progress, keep_aspect=keep_aspect)
    dataset.move_to(device)
    order = torch.randperm(len(dataset), generator=generator((config.seed, _SPLIT_STREAM))).tolist()
    if config.validation_dir is not None:
        others = ColorizationDataset(find_pairs(config.validation_dir), config.crop or config.size, progress)
        others.move_to(device)
        return TrainingPictures(config, device, Selection(dataset, order), Selection(others, range(len(others))))
    count = math.ceil(len(dataset) * config.validation)
    if count >= len(dataset):
        raise UsageError(f"--validation {config.validation} leaves none of the {len(dataset)} pictures to train on")
    held_out = Selection(dataset, order[:count]) if count else None
    return TrainingPictures(config, device, Selection(dataset, order[count:]), held_out)
