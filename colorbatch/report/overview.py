"""The totals of a batch: counts, megapixels, time, and the pictures that failed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from colorbatch.job import Status
from colorbatch.records.row import Row


@dataclass(frozen=True)
class Overview:
    """Totals over all rows."""

    sources: int
    counts: Mapping[Status, int]
    coloured: int
    """Number of outputs, except copies."""
    megapixels: float
    """Total size of their first pages."""
    seconds: float
    """Time during which at least one of them was in progress, without the breaks between runs."""
    failures: Sequence[Row]
    skipped: Sequence[tuple[str, int]]
    """Reasons for skipping and their counts, the most common first."""

    @property
    def pictures_per_second(self) -> float:
        """Coloured pictures per second of work."""
        return self.coloured / self.seconds if self.seconds else 0.0


def overview_of(rows: Iterable[Row]) -> Overview:
    """Count the rows of a batch."""
    rows = sorted(rows, key=lambda row: row.input)
    counts = Counter(row.status for row in rows)
    coloured = [row for row in rows if row.status == "done" and row.output_sha256 != row.input_sha256]
    return Overview(
        sources=len(rows),
        counts={"done": counts["done"], "skipped": counts["skipped"], "failed": counts["failed"]},
        coloured=len(coloured),
        megapixels=sum((row.width or 0) * (row.height or 0) for row in coloured) / 1e6,
        seconds=busy_seconds(coloured),
        failures=[row for row in rows if row.status == "failed"],
        skipped=Counter(row.reason for row in rows if row.status == "skipped").most_common(),
    )


def busy_seconds(rows: Iterable[Row]) -> float:
    """Return the seconds during which at least one of the rows was in progress, from their durations and end times."""
    spans = []
    for row in rows:
        with suppress(ValueError, OverflowError, OSError):  # a row without a valid time
            end = datetime.fromisoformat(str(row.finished_at)).timestamp()
            spans.append((end - max(0.0, row.seconds or 0.0), end))
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
