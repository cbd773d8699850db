"""Batches that a network is trained on: whole pictures or parts, varied at random, on the training's device."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from colorbatch.training import batch_ageing
from colorbatch.training.draws import Draws
from colorbatch.training.filters import blurred, recompressed
from colorbatch.training.packed import Canvas
from colorbatch.training.parts import random_parts, resized, whole
from colorbatch.training.planes import chroma_of
from colorbatch.training.simulated_hints import simulated_hints

_T = TypeVar("_T")


@dataclass(frozen=True)
class Variation:
    """Random variation of the pictures between epochs; shares are in 0..1, of all pictures."""

    crop: bool = False
    """Use a random part of the picture, mirrored half of the time, instead of the whole picture."""
    softened: float = 0.0
    sharpened: float = 0.0
    recompressed: float = 0.0
    """Share with artefacts of a JPEG of medium quality."""
    aged: float = 0.0
    """Share whose luma is aged."""
    hinted: float | None = None
    """Share with hints; ``None``: the network has no hints."""


class Batch(NamedTuple):
    """N pictures, float32."""

    luma: Tensor
    """``[N, 1, side, side]`` in 0..1."""
    rgb: Tensor
    """The truth, ``[N, 3, side, side]`` in 0..1."""
    hints: Tensor | None = None
    """``[N, 3, side, side]``: Cb, Cr and weight."""


def whole_batch(canvas: Canvas, side: int) -> Batch:
    """Return unvaried pictures, resized to squares."""
    planes = resized(canvas, whole(canvas.heights, canvas.widths), side)
    return Batch(planes[:, :1], planes[:, 1:])


def varied_batch(canvas: Canvas, side: int, variation: Variation, draws: Draws) -> Batch:
    """Return pictures varied at random; ``side`` is a multiple of 8."""
    sizes = canvas.heights, canvas.widths
    parts = random_parts(*sizes, draws) if variation.crop else whole(*sizes)
    planes = resized(canvas, parts, side)
    luma, rgb = planes[:, :1], planes[:, 1:]
    count = len(luma)
    batch_ageing.apply_to(draws.some(count, variation.softened), soften, luma, draws)
    batch_ageing.apply_to(draws.some(count, variation.sharpened), sharpen, luma, draws)
    aged = draws.some(count, variation.aged)
    if len(aged):
        luma[aged], rgb[aged] = batch_ageing.age(luma[aged], rgb[aged], draws)
    batch_ageing.apply_to(draws.some(count, variation.recompressed), recompress, luma, draws)
    if variation.hinted is None:
        return Batch(luma, rgb)
    return Batch(luma, rgb, simulated_hints(chroma_of(rgb), variation.hinted, draws))


def soften(luma: Tensor, draws: Draws) -> Tensor:
    """Blur, as enlarging or a coarse codec does."""
    return blurred(luma, draws.uniform(len(luma), 0.3, 1.5) * batch_ageing.scale(luma))


def sharpen(luma: Tensor, draws: Draws) -> Tensor:
    """Sharpen by an unsharp mask, as scanners, cameras and programs that reduce pictures do."""
    soft = blurred(luma, draws.uniform(len(luma), 0.5, 1.3) * batch_ageing.scale(luma))
    return (luma + draws.uniform(len(luma), 0.3, 1.8) * (luma - soft)).clamp(0, 1)


def recompress(luma: Tensor, draws: Draws) -> Tensor:
    """Add the artefacts of a JPEG of quality 50 to 91."""
    return recompressed(luma, draws.integers(len(luma), 50, 92))


def prefetched(items: Iterable[_T]) -> Iterator[_T]:
    """Yield the same items, but prepare the next one in another thread while one is used.

    That thread computes alone: a second pool of PyTorch's threads would compete with the first for the cores.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(max_workers=1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        following = pool.submit(next, iterator, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, iterator, None)
            yield item
