"""The display of progress: a bar on a terminal, a line at intervals elsewhere."""

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import IO, cast

from rich.cells import cell_len, set_cell_size
from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text

from colorbatch.cli.terminal import is_terminal, say
from colorbatch.progress import Pace, ProgressReporter, SilentProgress
from colorbatch.text import printable

SECONDS_BETWEEN_LINES = 30.0
"""Interval of progress lines when stderr is not a terminal."""
_MAX_BAR_WIDTH = 40


class Bar:
    """A bar that shows how far a job is and, below it, what is in progress; it disappears at the end."""

    def __init__(self, screen: Console, unit: str) -> None:
        self._screen = screen
        self._unit = unit
        self._pace = Pace(0)
        self._names: dict[object, str] = {}
        """Names of what is in progress, in the order in which work on them began."""
        self._progress: _Progress | None = None

    def begin(self, total: int, label: str, weight: float | None = None) -> None:
        """Draw a new bar."""
        self.end()
        self._pace = Pace(total, weight)
        self._progress = _Progress(self._screen, self._pace, self._unit, self._names)
        self._progress.add_task(printable(label), total=max(total, 1))
        self._progress.start()
        self._screen.show_cursor(True)  # it would stay hidden if a second Ctrl-C ended the process

    @contextmanager
    def working_on(self, name: str) -> Iterator[None]:
        """Show the name below the bar."""
        key = object()
        encoding = self._screen.encoding  # characters that it lacks are escaped, and take more room
        self._names[key] = printable(name).encode(encoding, "backslashreplace").decode(encoding)
        try:
            yield
        finally:
            del self._names[key]

    def advance(self, steps: int = 1, *, weight: float | None = None, megapixels: float = 0.0) -> None:
        """Count steps; the bar is redrawn four times a second."""
        self._pace.advance(steps, weight=weight, megapixels=megapixels)

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._screen.print(printable(text), markup=False)

    def end(self) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class _Progress(Progress):
    """A label, a bar and facts in one line, and the names of what is in progress in another."""

    def __init__(self, screen: Console, pace: Pace, unit: str, names: dict[object, str]) -> None:
        self._screen = screen
        self._pace = pace
        self._unit = unit
        self._names = names
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(None, table_column=Column(max_width=_MAX_BAR_WIDTH)),  # narrower where the facts need the room
            TextColumn("{task.fields[facts]}", markup=False),
        )
        super().__init__(*columns, console=screen, refresh_per_second=4, transient=True, redirect_stdout=False)

    def get_renderables(self) -> Iterator[RenderableType]:
        width = self._screen.width - 1  # some terminals begin a new line after the last column
        for task in self.tasks:
            room = max(width - cell_len(task.description) - 2, 0)
            facts = _facts_of(self._pace, self._unit)
            while len(facts) > 1 and cell_len(", ".join(facts)) > room:
                facts.pop()  # the least important one is last
            self.update(task.id, completed=self._pace.done, facts=cut(", ".join(facts), room))
        yield Constrain(self.make_tasks_table(self.tasks), width)
        if names := ", ".join(self._names.copy().values()):  # other threads change them meanwhile
            yield Text(cut(f"Now: {names}", width), style="dim")


class Lines:
    """A plain line at intervals, for logs."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._pace = Pace(0)
        self._ended = threading.Event()

    def begin(self, total: int, label: str, weight: float | None = None) -> None:
        """Start to report at intervals."""
        self.end()
        self._pace, self._ended = Pace(total, weight), threading.Event()
        threading.Thread(target=self._report, args=(label, self._pace, self._ended), daemon=True).start()

    def working_on(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 (too much for a log)
        """Do nothing."""
        return nullcontext()

    def advance(self, steps: int = 1, *, weight: float | None = None, megapixels: float = 0.0) -> None:
        """Count steps."""
        self._pace.advance(steps, weight=weight, megapixels=megapixels)

    def message(self, text: str) -> None:
        """Print a line."""
        say(printable(text))

    def end(self) -> None:
        """Stop printing lines."""
        self._ended.set()

    def _report(self, label: str, pace: Pace, ended: threading.Event) -> None:
        while not ended.wait(SECONDS_BETWEEN_LINES):
            self.message(f"{label}: {', '.join(_facts_of(pace, self._unit))}")


@contextmanager
def reporter(*, quiet: bool = False, unit: str = "pictures") -> Iterator[ProgressReporter]:
    """Yield a display of progress: a bar on a terminal, plain lines elsewhere, nothing with ``quiet``."""
    shown: ProgressReporter = SilentProgress() if quiet else Lines(unit)
    if is_terminal() and not quiet:
        file = cast("IO[str]", _Stderr())
        shown = Bar(Console(file=file, force_terminal=True, highlight=False, soft_wrap=True), unit)
    try:
        yield shown
    finally:
        shown.end()


class _Stderr:
    """Stderr, except that errors of writing are ignored, so that the work continues when it is closed."""

    def __init__(self) -> None:
        self._stream = sys.stderr
        self.encoding = getattr(self._stream, "encoding", None) or "ascii"

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _facts_of(pace: Pace, unit: str) -> list[str]:
    """Return the progress of the work as short texts, the most important first."""
    facts = [f"{pace.done}/{pace.total} {unit}"]
    if (left := pace.seconds_left) is not None:
        facts.append(f"{timedelta(seconds=round(left))} left")
    if megapixels := pace.megapixels_per_second:
        facts.append(f"{megapixels:.1f} MP/s")
    if steps := pace.steps_per_second:
        facts.append(f"{steps:.1f} {unit}/s")
    return facts


def cut(text: str, width: int) -> str:
    """Return ``text``, truncated with dots if it is wider than ``width`` columns of a terminal."""
    if cell_len(text) <= width:
        return text
    dots = "..."[:width]
    return set_cell_size(text, width - len(dots)) + dots
