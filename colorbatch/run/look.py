"""Look at a source before a run: what the run would make of it, from its pixels alone. Nothing is coloured or written.

A JPEG is looked at in a reduced size, in which its measures differ a little from those of the whole. The reduced
picture decides only if it would decide the same with stronger and with weaker colours; else the whole is decoded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from colorbatch.errors import PictureError
from colorbatch.formats import decode, decode_reduced, decoded_bytes
from colorbatch.job import BatchJob
from colorbatch.machine import MemoryBudget
from colorbatch.pixels import color
from colorbatch.pixels.picture import Pixels
from colorbatch.records.retouch import Retouch
from colorbatch.records.row import MIGHT_BE_COLOR
from colorbatch.run.output import read_source
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.treatment import Action, treatment_of
from colorbatch.store.store import Store

SHORT_SIDE = 256
"""Minimum short side in pixels of a reduced picture: of smaller ones, deciding takes longer than decoding the whole."""
CHROMA_FACTORS = 0.6, 1.25
"""Factors of chroma with which a reduced picture has to decide alike. Weaker colours are tried further, since the
decision changes twice on the way to grey where something small is in colour (:mod:`colorbatch.pixels.own_color`)."""
_COPIES = 2
"""Memory that a picture takes, in multiples of its decoded size in colour: decoded, and converted to sRGB."""


@dataclass(frozen=True)
class Seen:
    """What a run would do with a source, as far as a look finds."""

    action: Action | Literal["fail"]
    reason: str
    """Reason for it, as the row of the run would have it; of a source that would be coloured, the doubt about it."""


def look_at(planned: PlannedPicture, source: Store, job: BatchJob, memory: MemoryBudget) -> Seen:
    """Look at a source that the plan leaves open.

    Args:
        planned: the source.
        source: the store to read it from.
        job: the run.
        memory: budget for decoded pictures.

    Raises:
        StoreUnavailableError: neither this source can be read nor any other.

    """
    try:
        content = read_source(planned, source)
        with memory.taken(_COPIES * decoded_bytes(content)):
            return seen_in(content, planned.retouch, job)
    except PictureError as error:
        return Seen("fail", error.in_full)
    except MemoryError:
        return Seen("fail", "not enough memory")


def seen_in(content: bytes, retouch: Retouch | None, job: BatchJob) -> Seen:
    """Return what a run would do with a source of this content, given what a person said about it.

    Raises:
        PictureError: it cannot be decoded.

    """
    reduced = decode_reduced(content, SHORT_SIDE, job.max_megapixels, salvage=job.salvage)
    if reduced is not None:
        found = {_seen([pixels], retouch, job) for pixels in _with_other_chroma(reduced.first.pixels)}
        if len(found) == 1:
            return found.pop()
    whole = decode(content, job.max_megapixels, salvage=job.salvage)
    return _seen([frame.pixels for frame in whole.frames], retouch, job)


def _seen(pages: Sequence[Pixels], retouch: Retouch | None, job: BatchJob) -> Seen:
    treatment = treatment_of(pages, retouch, job)
    is_doubted = any(treatment.doubted) and job.doubtful_color == "color"
    return Seen(treatment.action, MIGHT_BE_COLOR if is_doubted else treatment.reason)


def _with_other_chroma(pixels: Pixels) -> Iterator[Pixels]:
    """Yield 8-bit pixels, ``[H, W]`` or ``[H, W, 3]``, as they are and, if they have colours, weaker and stronger."""
    yield pixels
    if pixels.ndim == 3:
        luma = color.luma_of(pixels)[..., None] * np.float32(255)
        for factor in CHROMA_FACTORS:
            levels = luma + (pixels - luma) * np.float32(factor)
            yield np.round(np.clip(levels, 0, 255)).astype(np.uint8)
