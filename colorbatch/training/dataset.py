"""Colour pictures as pairs of luma and RGB: found, decoded once, and kept in memory when they fit."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

from colorbatch.cores import usable_cores
from colorbatch.discovery import picture_files
from colorbatch.errors import UsageError
from colorbatch.memory import physical_memory
from colorbatch.progress import ProgressReporter

logger = logging.getLogger(__name__)

CACHE_SHARE_OF_MEMORY = 0.5
"""Decoded pictures are kept when they take no more than this share of the machine's memory."""
BYTES_PER_PIXEL = 4
"""One byte of luma and three of RGB; pictures are counted as squares."""
NAMED_IN_ERRORS = 5


@dataclass(frozen=True)
class PicturePair:
    """A colour picture and the grey one that belongs to it."""

    name: str
    """Path below the folder, POSIX style."""
    color: Path
    gray: Path | None
    """``None``: derived from the colour picture."""


def find_pairs(color_dir: Path, gray_dir: Path | None = None) -> list[PicturePair]:
    """Return all pairs below the two folders, sorted by name.

    Raises:
        UsageError: a folder is missing or empty, or the names in the two folders do not pair.

    """
    color = _pictures_below(color_dir)
    if gray_dir is None:
        return [PicturePair(name, path, None) for name, path in color.items()]
    gray = _pictures_below(gray_dir)
    alone = [f"{gray_dir}: no {name}" for name in color if name not in gray]
    alone += [f"{color_dir}: no {name}" for name in gray if name not in color]
    if alone:
        shown = "; ".join(alone[:NAMED_IN_ERRORS])
        more = f"; and {len(alone) - NAMED_IN_ERRORS} more" if len(alone) > NAMED_IN_ERRORS else ""
        raise UsageError(
            f"{len(color)} colour and {len(gray)} grey pictures do not pair by name: {shown}{more}",
            advice="Give both folders the same relative file names, or leave --gray-dir out.",
        )
    return [PicturePair(name, path, gray[name]) for name, path in color.items()]


def _pictures_below(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in picture_files(folder)}


def load_pair(pair: PicturePair, size: int, *, keep_aspect: bool = False) -> tuple[Tensor, Tensor]:
    """Decode a pair and resize both.

    Args:
        pair: what to decode.
        size: side in pixels of the square that both become.
        keep_aspect: instead shrink the short side to ``size`` where it is larger.

    Returns:
        Luma uint8 ``[1, H, W]`` and RGB uint8 ``[3, H, W]``.

    Raises:
        Exception: Pillow cannot decode one of the two; its plugins raise errors of many kinds.

    """
    with Image.open(pair.color) as opened:
        color = ImageOps.exif_transpose(opened).convert("RGB")
    if pair.gray is None:
        gray = color.convert("L")
    else:
        with Image.open(pair.gray) as opened:
            gray = ImageOps.exif_transpose(opened).convert("L")
    shape = [size, size]
    if keep_aspect:
        scale = min(1.0, size / min(color.size))
        shape = [max(1, round(side * scale)) for side in (color.height, color.width)]
    return (
        functional.pil_to_tensor(functional.resize(gray, shape)),
        functional.pil_to_tensor(functional.resize(color, shape)),
    )


class ColorizationDataset(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of luma uint8 ``[1, H, W]`` and RGB uint8 ``[3, H, W]``."""

    def __init__(
        self, pairs: Sequence[PicturePair], size: int, progress: ProgressReporter, *, keep_aspect: bool = False
    ) -> None:
        """Decode every picture once, as :func:`load_pair`; those that cannot be decoded are reported and left out.

        Raises:
            UsageError: not one picture can be decoded.

        """
        self._load = partial(load_pair, size=size, keep_aspect=keep_aspect)
        self.pairs: list[PicturePair] = []
        self.broken: list[str] = []
        self._cache: list[tuple[Tensor, Tensor]] | None = [] if _fits_in_memory(len(pairs), size) else None
        progress.begin(len(pairs), "Reading pictures")
        with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
            for pair, loaded in zip(pairs, pool.map(self._try_load, pairs), strict=True):
                progress.advance()
                if isinstance(loaded, str):
                    self.broken.append(pair.name)
                    progress.message(f"Left out {pair.name}: {loaded}")
                    continue
                self.pairs.append(pair)
                if self._cache is not None:
                    self._cache.append(loaded)
        progress.end()
        if not self.pairs:
            raise UsageError(f"none of the {len(pairs)} pictures can be decoded")
        if self.broken:
            progress.message(f"{len(self.broken)} of {len(pairs)} pictures are broken and were left out")

    def _try_load(self, pair: PicturePair) -> tuple[Tensor, Tensor] | str:
        """Return the decoded pair, or why it cannot be decoded."""
        try:
            return self._load(pair)
        except Exception as error:  # noqa: BLE001 (Pillow's plugins raise whatever a damaged file makes them meet)
            return str(error) or type(error).__name__

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._cache[index] if self._cache is not None else self._load(self.pairs[index])


def _fits_in_memory(count: int, size: int) -> bool:
    return count * size * size * BYTES_PER_PIXEL <= physical_memory() * CACHE_SHARE_OF_MEMORY
