"""What the terminal shows: progress, messages, tables. Everything but asked-for results goes to stderr."""

import logging
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from colorbatch.errors import ColorbatchError, ExitCode, OutputUnwritableError
from colorbatch.progress import ProgressReporter, SilentProgress, printable

SECONDS_BETWEEN_LINES = 30.0
"""Off a terminal, progress is one line this often."""


def console() -> Console:
    """Return the console of stderr, plain when stderr is no terminal."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line on stderr; when nobody can hear it, the work goes on."""
    with suppress(OSError, ValueError):
        click.echo(text, err=True)


def answer(text: str) -> None:
    """Print what was asked for on stdout; when its reader has seen enough and gone, the work goes on.

    Raises:
        OutputUnwritableError: stdout is full or closed.

    """
    try:
        with suppress(BrokenPipeError):
            click.echo(text)
    except (OSError, ValueError) as error:
        raise OutputUnwritableError(f"cannot write the result to stdout: {error}", advice="") from error


def show_error(error: ColorbatchError) -> None:
    """Print what is wrong and what to do."""
    say(f"Error: {printable(str(error))}")
    if error.advice:
        say(printable(error.advice))


def set_up_logging(*, verbose: bool, quiet: bool) -> None:
    """Send the package's log records to stderr: warnings, with ``verbose`` everything, with ``quiet`` errors only."""
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    handler = _EchoHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger("colorbatch")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
    for outside in ("py.warnings", "tifffile"):  # what is wrong with a picture stands in its row
        logging.getLogger(outside).addHandler(logging.NullHandler())
        logging.getLogger(outside).propagate = False


class _EchoHandler(logging.Handler):
    """Writes to whatever stderr is at that moment: a progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


@contextmanager
def reporter(*, quiet: bool = False, unit: str = "pictures") -> Iterator[ProgressReporter]:
    """Yield how progress is shown: a bar on a terminal, plain lines elsewhere, nothing when ``quiet``."""
    shown: ProgressReporter
    screen = console()
    if quiet:
        shown = SilentProgress()
    elif screen.is_terminal:
        shown = _Bar(screen, unit)
    else:
        shown = _Lines(unit)
    try:
        yield shown
    finally:
        shown.end()


class _Rate(ProgressColumn):
    """Steps a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {self._unit}/s" if speed else "")


class _Bar:
    """A rich progress bar."""

    def __init__(self, screen: Console, unit: str) -> None:
        self._screen = screen
        self._unit = unit
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def begin(self, total: int, label: str) -> None:
        self.end()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(self._unit),
            TimeRemainingColumn(),
            console=self._screen,
            transient=True,
        )
        self._task = self._progress.add_task(label, total=total)
        self._progress.start()

    def advance(self, steps: int = 1) -> None:
        if self._progress is not None:
            self._progress.advance(self._task, steps)

    def message(self, text: str) -> None:
        self._screen.print(printable(text), markup=False)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class _Lines:
    """One plain line now and then, for logs."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._label = ""
        self._total = self._done = 0
        self._begun = self._shown = 0.0

    def begin(self, total: int, label: str) -> None:
        self._label, self._total, self._done = label, total, 0
        self._begun = self._shown = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = now
            rate = self._done / (now - self._begun)
            left = (self._total - self._done) / rate
            self.message(f"{self._label}: {self._done}/{self._total}, {rate:.1f} {self._unit}/s, {left:.0f} s left")

    def message(self, text: str) -> None:
        say(printable(text))

    def end(self) -> None:
        """Nothing to close."""


class Interruption:
    """Set when the user or the system asks to stop; a second signal ends the process at once."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.exit_code = ExitCode.OK

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Handle the first signal; the next one has its default effect."""
        self.exit_code = ExitCode.SIGTERM if number == signal.SIGTERM else ExitCode.SIGINT
        self.event.set()
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn SIGINT and SIGTERM into an event for as long as the block lasts."""
    interruption = Interruption()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, interruption.handle) for number in numbers}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> str:
    """Return a table as text; the first column is words, the others are numbers."""
    drawn = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    screen = Console(highlight=False, color_system=None)
    with screen.capture() as capture:
        screen.print(drawn)
    return capture.get().rstrip("\n")
