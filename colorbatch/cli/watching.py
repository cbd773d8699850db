"""``colorbatch run --watch``: what is said while a folder is watched, and its report."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from colorbatch.cli import terminal
from colorbatch.errors import ColorbatchError, UsageError
from colorbatch.job import BatchJob, BatchSummary
from colorbatch.progress import ProgressReporter
from colorbatch.run.watch import SECONDS_TO_SETTLE, Watching, refuse_unwatchable, watch_batch
from colorbatch.text import printable

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_REPORTS = 60.0
_SHARE_OF_REPORTS = 10
"""The pause after a report is at least so many times as long as it took."""


def asked_for(*, watch: bool, settle: float | None, poll: float | None, dry_run: bool) -> Watching | None:
    """Return how a folder is to be watched; ``None``: it is not.

    Raises:
        UsageError: the options do not go together.

    """
    if not watch:
        for option, value in (("--watch-settle", settle), ("--watch-poll", poll)):
            if value is not None:
                raise UsageError(f"{option} needs --watch", advice=f"Add --watch, or remove {option}.")
        return None
    if dry_run:
        raise UsageError("--watch and --dry-run exclude each other", advice="Remove one of them.")
    return Watching(SECONDS_TO_SETTLE if settle is None else settle, poll)


def follower(
    job: BatchJob, watching: Watching, *, report: bool, quiet: bool
) -> Callable[[BatchJob, ProgressReporter, threading.Event], BatchSummary]:
    """Return what takes the place of :func:`colorbatch.run.batch.run_batch`.

    Raises:
        UsageError: the job cannot be done by watching.

    """
    refuse_unwatchable(job)
    if not quiet:
        terminal.say(f"Watching {printable(str(job.source))}; Ctrl-C ends it")
    after_look = _Follower(job, report=report, quiet=quiet).after_look
    return lambda job, progress, stop: watch_batch(job, watching, progress, stop, after_look)


@dataclass
class _Follower:
    """Says what a round has done, and writes the report now and then."""

    job: BatchJob
    report: bool
    quiet: bool
    _is_outdated: bool = False
    _next_report: float = 0.0

    def after_look(self, summary: BatchSummary | None) -> None:
        """Say what a round has done; ``None``: nothing."""
        if summary is not None:
            self._is_outdated = True
            self._say(summary)
        if self.report and self._is_outdated and time.monotonic() >= self._next_report:
            self._write_report()

    def _say(self, summary: BatchSummary) -> None:
        counts = {
            "coloured": summary.coloured,
            "copied": summary.copied,
            "kept": summary.kept,
            "skipped": summary.skipped,
            "failed": summary.failed,
        }
        told = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
        if told:
            logger.debug("%s", told)
            if not self.quiet:
                terminal.say(told)

    def _write_report(self) -> None:
        """Write the report; a failure is a warning, since the pictures matter more."""
        from colorbatch.cli.report import write

        began = time.monotonic()
        try:
            source = cast("Path", self.job.source)
            output = cast("Path", self.job.output)
            write(output, source, jobs=self.job.jobs, memory_limit=self.job.memory_limit, quiet=True)
            self._is_outdated = False
        except ColorbatchError as error:
            logger.warning("the report was not written: %s", error)
        took = time.monotonic() - began
        self._next_report = time.monotonic() + max(_SECONDS_BETWEEN_REPORTS, _SHARE_OF_REPORTS * took)
