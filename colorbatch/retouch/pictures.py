"""The pictures of a session, in the order in which to look at them: that of the report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from colorbatch.errors import UnsafeOutputError
from colorbatch.formats.kinds import output_extension, sniff
from colorbatch.records.retouch import Retouch
from colorbatch.records.row import MIGHT_BE_COLOR, NOT_REACHED, Row
from colorbatch.report import page, previews, scores
from colorbatch.report.previews import Preview
from colorbatch.run.plan import PlannedPicture
from colorbatch.store.report_folder import REPORT_FOLDER
from colorbatch.text import printable, to_utf_8

_ORDINARY_VIVIDNESS = 0.15
"""A vividness with which the confidence alone decides: an expected CIEDE2000 of 13 begins to be a concern."""
_NOTHING = Preview()


class NotFoundError(Exception):
    """There is no such picture, or page."""


@dataclass(frozen=True)
class Listed:
    """A picture of a session."""

    input: str
    """Path below the source."""
    concerns: Sequence[str] = ()
    """Reasons to look at it, strongest first."""
    score: float = 0.0
    """How much reason there is, 0..1."""


def listed(rows: Iterable[Row], plan: Iterable[PlannedPicture], output: Path) -> Sequence[Listed]:
    """Return all pictures that can be opened, those to look at first in front.

    Measures are those of the report of the folder, if it has one; nothing is decoded for the order.

    Args:
        rows: those of the output folder.
        plan: sources; of those without a row, the ones that can be coloured count.
        output: the output folder.

    """
    known = {row.input: row for row in rows}
    new = [each.input for each in plan if each.input not in known and each.verdict == "colour"]
    shown = [row for row in known.values() if _is_picture(row)] + [Row(name, reason=NOT_REACHED) for name in new]
    kept = previews.read_kept(output / REPORT_FOLDER / previews.KEPT_NAME)
    measured = [_measured(row, kept) for row in shown]
    colourful = [each.measures.colourfulness for each in measured if each.measures]
    unmeasured = _unmeasured(scores.typical(colourful))
    with_all = [
        unmeasured if each.measures is None and row.status == "done" and row.confidence is not None else each
        for row, each in zip(shown, measured, strict=True)
    ]
    return [
        Listed(each.row.input, tuple(each.concerns), round(scores.score(each.concerns), 3))
        for each in page.with_concerns(shown, with_all)
    ]


def _is_picture(row: Row) -> bool:
    """Return whether a row is of a picture, rather than of a file that was left out."""
    return row.status != "skipped" or row.reason == NOT_REACHED or row.input_sha256 is not None


def _measured(row: Row, kept: Mapping[str, tuple[list[Any], Preview]]) -> Preview:
    """Return the preview of a report with its measures, if they are of the present output."""
    if not kept:
        return _NOTHING
    stamp, preview = kept.get(to_utf_8(row.input), ([], _NOTHING))
    is_current = previews.is_of_output(stamp, row)
    return Preview(measures=preview.measures, notes=preview.notes) if is_current else _NOTHING


def _unmeasured(typical: scores.Typical) -> Preview:
    """Return a preview whose only possible concern is the confidence of the model."""
    measures = scores.Measures(
        colourfulness=typical.median**2, vividness=_ORDINARY_VIVIDNESS, purple=0.0, stains=0.0, cut_off=0.0, flat=0.0
    )
    return Preview(measures=measures)


def described(number: int, picture: Listed, row: Row | None, retouch: Retouch | None) -> dict[str, Any]:
    """Return what the page shows of a picture.

    Args:
        number: its index in the list.
        picture: the picture.
        row: its row; ``None``: no run has reached it.
        retouch: what a person said about it; ``None``: nothing.

    """
    row = row or Row(picture.input, reason=NOT_REACHED)
    is_made = not (row.status == "skipped" and row.reason == NOT_REACHED)
    return {
        "id": number,
        "input": printable(to_utf_8(picture.input)),
        "status": row.status if is_made else "not made",
        "reason": printable(row.reason) if is_made else "",
        "pages": row.frames or 1,
        "width": row.width,
        "height": row.height,
        "warnings": [printable(_for_the_page(each)) for each in row.warnings],
        "concerns": list(picture.concerns),
        "score": picture.score,
        "retouched": retouch is not None,
        "leave_grey": retouch is not None and all(line.leave_grey for line in retouch.lines),
        "version": (row.output_sha256 or row.input_sha256 or "")[:12],
    }


def _for_the_page(warning: str) -> str:
    """Return a warning with what can be done on the page in place of an option of runs."""
    if not warning.startswith(MIGHT_BE_COLOR):
        return warning
    return f"{warning.partition(';')[0]}; if it is one, leave it as it is"


def without_concerns(picture: Listed) -> Listed:
    """Return a picture whose output was made again, so that what was measured is no longer true."""
    return replace(picture, concerns=(), score=0.0)


def refuse_other_kind(planned: PlannedPicture, start: bytes) -> None:
    """Check that a source is still of the kind that its output is named for.

    Args:
        planned: as it was planned.
        start: the beginning of its file as it is now.

    Raises:
        UnsafeOutputError: it is not.

    """
    kind = sniff(start)
    appended = output_extension(kind, PurePosixPath(planned.input).suffix) if kind else ""
    is_renamed = planned.output_name != planned.input
    is_same_kind = is_renamed == bool(appended) and planned.output_name.endswith(appended)
    if planned.verdict == "colour" and not is_same_kind:
        raise UnsafeOutputError(
            f"{printable(planned.input)} is another kind of picture than before", advice="Run colorbatch run first."
        )
