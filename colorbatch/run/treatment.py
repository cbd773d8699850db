"""What becomes of a decoded source: coloured, copied, left or skipped, given its own colours and what a person said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from colorbatch.job import BatchJob
from colorbatch.pixels.color import Plane
from colorbatch.pixels.own_color import OwnColor, find_own_color
from colorbatch.pixels.picture import Pixels
from colorbatch.records.retouch import Retouch, RetouchLine
from colorbatch.records.row import MIGHT_BE_COLOR

IN_COLOR = "it is in colour already"
LEFT_AS_IT_IS = "left as it is, as the retouch record says"

Action = Literal["colour", "copy", "leave", "skip"]
"""``copy``: the output is the source, which is in colour; ``leave``: the same, since a person said so."""
PageAction = Literal["colour", "in colour", "perhaps in colour", "left as it is"]
"""``colour``: the page is coloured; the others say why it is kept as it is."""


@dataclass(frozen=True)
class Treatment:
    """What becomes of a source."""

    action: Action
    reason: str
    """Reason for it, as in the row; empty if the source is coloured."""
    pages: Sequence[PageAction]
    """The same for each page."""
    doubted: Sequence[bool]
    """Whether each page is coloured though it might be a colour photograph."""
    objects: Sequence[Plane | None]
    """Weights of what is in colour on each page, as :class:`~colorbatch.pixels.own_color.OwnColor` has them."""


def treatment_of(pages: Sequence[Pixels], retouch: Retouch | None, job: BatchJob) -> Treatment:
    """Decide what becomes of a source.

    Args:
        pages: its pages, grey ``[H, W]`` or RGB ``[H, W, 3]``.
        retouch: what a person said about it; ``None``: nothing.
        job: the run.

    """
    lines = lines_of(retouch, len(pages))
    found = [OwnColor() if line.leave_grey else find_own_color(page) for page, line in zip(pages, lines, strict=True)]
    actions = [page_action(own, line, job) for own, line in zip(found, lines, strict=True)]
    doubted = [
        own.is_doubtful and action == "colour" and job.already_color != "recolor" and not line.wants_color
        for own, action, line in zip(found, actions, lines, strict=True)
    ]
    action, reason = _action_of(actions, job)
    return Treatment(action, reason, actions, doubted, [own.objects for own in found])


def lines_of(retouch: Retouch | None, pages: int) -> Sequence[RetouchLine]:
    """Return what a person said about each page; empty lines where that is nothing."""
    if retouch is None:
        return [RetouchLine("")] * pages
    return [retouch.of_page(number) for number in range(1, pages + 1)]


def page_action(own: OwnColor, line: RetouchLine, job: BatchJob) -> PageAction:
    """Decide what becomes of a page.

    Args:
        own: where it has colours of its own.
        line: what a person said about it.
        job: the run.

    """
    if line.leave_grey:
        return "left as it is"
    if line.wants_color or job.already_color == "recolor":
        return "colour"
    if own.is_widespread:
        return "in colour"
    return "perhaps in colour" if own.is_doubtful and job.doubtful_color != "color" else "colour"


def _action_of(pages: Sequence[PageAction], job: BatchJob) -> tuple[Action, str]:
    """Return what becomes of a source with these pages, and the reason for the row."""
    kinds = set(pages)
    if "colour" in kinds:
        return "colour", ""
    if kinds == {"left as it is"}:
        return "leave", LEFT_AS_IT_IS
    is_certain = "perhaps in colour" not in kinds
    reason = IN_COLOR if is_certain else MIGHT_BE_COLOR
    if (job.already_color if is_certain else job.doubtful_color) == "skip":
        return "skip", reason
    return "copy", f"{reason}, copied unchanged"
