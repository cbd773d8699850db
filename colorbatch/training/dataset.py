"""Colour pictures as pairs of luma and RGB: found, decoded once, and kept in memory if they fit."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from colorbatch.errors import UsageError
from colorbatch.formats.kinds import picture_files
from colorbatch.machine import physical_memory, usable_cores
from colorbatch.progress import ProgressReporter
from colorbatch.training.packed import BYTES_PER_PIXEL, Canvas, PackedPictures

logger = logging.getLogger(__name__)

CACHE_SHARE_OF_MEMORY = 0.5
"""Maximum share of the memory of the device, or of the machine, that decoded pictures are kept in."""
NAMED_IN_ERRORS = 5


@dataclass(frozen=True)
class PicturePair:
    """A colour picture and its grey counterpart."""

    name: str
    """Path below the folder, POSIX style."""
    color: Path
    gray: Path | None
    """Path of the grey picture; ``None``: it is derived from the colour picture."""


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
            f"{len(color)} colour and {len(gray)} grey pictures do not match by name: {shown}{more}",
            advice="Use the same relative file names in both folders, or remove --gray-dir.",
        )
    return [PicturePair(name, path, gray[name]) for name, path in color.items()]


def _pictures_below(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in picture_files(folder)}


def load_pair(pair: PicturePair, size: int, *, keep_aspect: bool = False) -> tuple[Tensor, Tensor]:
    """Decode a pair and resize both.

    Args:
        pair: pair to decode.
        size: side in pixels of the square that both are resized to.
        keep_aspect: instead reduce the short side to ``size`` if it is larger.

    Returns:
        Luma uint8 ``[1, H, W]`` and RGB uint8 ``[3, H, W]``.

    Raises:
        Exception: Pillow cannot decode one of the two; its plugins raise all kinds of exceptions.

    """
    with Image.open(pair.color) as opened:
        color = ImageOps.exif_transpose(opened).convert("RGB")
    if pair.gray is None:
        gray = color.convert("L")
    else:
        with Image.open(pair.gray) as opened:
            gray = ImageOps.exif_transpose(opened).convert("L")
    shape = (size, size)
    if keep_aspect:
        scale = min(1.0, size / min(color.size))
        shape = (max(1, round(color.width * scale)), max(1, round(color.height * scale)))
    return _resized(gray, shape), _resized(color, shape)


def _resized(image: Image.Image, shape: tuple[int, int]) -> Tensor:
    """Return an image of ``shape``, width and height, as uint8 ``[C, H, W]``."""
    levels = np.array(image.resize(shape, Image.Resampling.BILINEAR))
    return torch.from_numpy(levels).reshape(*levels.shape[:2], -1).permute(2, 0, 1)


class ColorizationDataset:
    """Pictures as luma, red, green and blue, uint8, each of its own size."""

    def __init__(
        self, pairs: Sequence[PicturePair], size: int, progress: ProgressReporter, *, keep_aspect: bool = False
    ) -> None:
        """Decode every picture once, like :func:`load_pair`; those that cannot be decoded are reported and excluded.

        Raises:
            UsageError: none of the pictures can be decoded.

        """
        self._load = partial(load_pair, size=size, keep_aspect=keep_aspect)
        self.pairs: list[PicturePair] = []
        self.broken: list[str] = []
        is_kept = _fits_in_memory(len(pairs), size)
        kept: list[Tensor] = []
        progress.begin(len(pairs), "Reading pictures")
        with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
            for pair, loaded in zip(pairs, pool.map(self._try_load, pairs), strict=True):
                progress.advance()
                if isinstance(loaded, str):
                    self.broken.append(pair.name)
                    progress.message(f"Skipped {pair.name}: {loaded}")
                    continue
                self.pairs.append(pair)
                if is_kept:
                    kept.append(loaded)
        progress.end()
        if not self.pairs:
            raise UsageError(f"none of the {len(pairs)} pictures can be decoded")
        if self.broken:
            progress.message(f"{len(self.broken)} of {len(pairs)} pictures are damaged and were skipped")
        self._packed = PackedPictures.taking(kept) if is_kept else None

    def _decode(self, pair: PicturePair) -> Tensor:
        """Return a pair as one tensor, uint8 ``[H, W, 4]``."""
        return torch.cat(self._load(pair)).permute(1, 2, 0).contiguous()

    def _try_load(self, pair: PicturePair) -> Tensor | str:
        """Return the decoded pair, or the reason why it cannot be decoded."""
        try:
            return self._decode(pair)
        except Exception as error:  # noqa: BLE001 (Pillow's plugins raise all kinds of exceptions for damaged files)
            return str(error) or type(error).__name__

    def __len__(self) -> int:
        return len(self.pairs)

    def canvas(self, places: Sequence[int]) -> Canvas:
        """Return the pictures at the indices ``places`` of ``pairs``, decoded again if they are not kept.

        Args:
            places: at least one index, in any order; duplicates are allowed.

        """
        if self._packed is not None:
            return self._packed.canvas(places)
        return PackedPictures.taking([self._decode(self.pairs[place]) for place in places]).canvas(range(len(places)))

    def move_to(self, device: torch.device) -> None:
        """Move the pictures to ``device``, if they are kept in memory and fit there."""
        if self._packed is not None and self._packed.bytes <= free_memory(device) * CACHE_SHARE_OF_MEMORY:
            self._packed = self._packed.to(device)


def free_memory(device: torch.device) -> int:
    """Return the free memory of a GPU, or all memory of the machine for the CPU, in bytes."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else physical_memory()


def _fits_in_memory(count: int, size: int) -> bool:
    """Return whether ``count`` pictures, taken as squares of ``size``, can be kept in memory."""
    return count * size * size * BYTES_PER_PIXEL <= physical_memory() * CACHE_SHARE_OF_MEMORY
