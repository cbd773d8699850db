"""What the terminal shows besides progress: messages, tables. Everything but requested results goes to stderr."""

import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TextIO

import click

from colorbatch.errors import ColorbatchError, ExitCode, OutputUnwritableError, reason_of
from colorbatch.progress import ProgressReporter
from colorbatch.text import printable

logger = logging.getLogger(__name__)


def is_terminal() -> bool:
    """Return whether stderr is a terminal on which lines can be redrawn."""
    try:
        return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
    except (AttributeError, ValueError):  # closed before the start, or since
        return False


def say(text: str) -> None:
    """Print a line on stderr; the work continues if that fails."""
    if sys.stderr is None:  # closed before the start
        return
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")  # click would bypass a bar that has replaced stderr
        sys.stderr.flush()


def answer(text: str, stream: TextIO | None = None) -> None:
    """Print a requested result on stdout; the work continues if its reader has closed the pipe.

    Args:
        text: the result.
        stream: stdout as it was before a thread began that may replace it meanwhile; ``None``: as it is.

    Raises:
        OutputUnwritableError: stdout is full or closed.

    """
    stream = stream or sys.stdout
    if stream is None:
        raise OutputUnwritableError("cannot write the result to stdout: it is closed", advice="")
    try:
        with suppress(BrokenPipeError):
            click.echo(text, stream)
    except (OSError, ValueError) as error:
        raise OutputUnwritableError(f"cannot write the result to stdout: {error}", advice="") from error


def show_error(error: ColorbatchError) -> None:
    """Print what is wrong and what to do."""
    logger.debug("Error: %s", printable(str(error)))
    say(f"Error: {printable(str(error))}")
    if error.advice:
        say(printable(error.advice))


def set_up_logging(*, verbose: bool, quiet: bool, log_file: Path | None = None) -> None:
    """Send the package's log records to stderr: warnings, with ``verbose`` all, with ``quiet`` errors only.

    Args:
        verbose: print more.
        quiet: print less.
        log_file: file to which everything is appended, with the time.

    Raises:
        OutputUnwritableError: the log file cannot be written.

    """
    handlers: list[logging.Handler] = [_EchoHandler()]
    handlers[0].setLevel(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    handlers[0].setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    if log_file is not None:
        try:
            handlers.append(_LogFile(log_file, encoding="utf-8", errors="backslashreplace"))
        except OSError as error:
            raise OutputUnwritableError(f"cannot write the log file {log_file}: {reason_of(error)}") from error
        form = logging.Formatter("%(asctime)s %(levelname)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        form.converter = time.gmtime
        handlers[1].setFormatter(form)
    logger = logging.getLogger("colorbatch")
    for before in logger.handlers:
        before.close()
    logger.handlers[:] = handlers
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    for outside in ("py.warnings", "tifffile", "PIL"):  # problems of a picture are recorded in its row
        logging.getLogger(outside).addHandler(logging.NullHandler())
        logging.getLogger(outside).propagate = False


def is_log(path: Path) -> bool:
    """Return whether a file is empty or begins like a log of ours."""
    try:
        with path.open("rb") as file:
            return re.match(rb"(\d{4}-\d\d-\d\dT[\d:]{8}Z [A-Z]|$)", file.read(30)) is not None
    except OSError:  # opening it for writing will fail too
        return True


class _EchoHandler(logging.Handler):
    """A handler that writes to the current stderr, which a progress bar may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


class _LogFile(logging.FileHandler):
    """A log file that reports only once that it cannot be written, and lets the work continue."""

    _is_broken = False

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        if not self._is_broken:
            self._is_broken = True
            say(f"Warning: cannot write the log file {printable(self.baseFilename)}: {sys.exc_info()[1]}")

    def close(self) -> None:
        with suppress(OSError):  # errors of writing were reported before
            super().close()


class Interrupted(KeyboardInterrupt):
    """The user or the system asked to stop before there was anything to finish."""

    def __init__(self, exit_code: ExitCode) -> None:
        super().__init__()
        self.exit_code = exit_code


class Interruption:
    """A request of the user or the system to stop; a second signal ends the process at once."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.exit_code = ExitCode.OK
        self.is_at_work = False
        """Whether work has begun; until then the first signal ends the process at once, too."""
        self.is_over = threading.Event()
        """Set by the first signal, or when there is nothing to interrupt any more."""

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Handle the first signal; the next one has its default effect."""
        self.exit_code = ExitCode.SIGINT if number == signal.SIGINT else ExitCode.SIGTERM
        self.event.set()
        self.is_over.set()
        if not self.is_at_work:
            raise Interrupted(self.exit_code)
        signal.signal(number, signal.SIG_DFL)

    def say_when_stopped(self, text: str) -> None:
        """Wait for a signal that lets work finish, and say so. For a thread: a handler may interrupt what prints."""
        self.is_over.wait()
        if self.exit_code and self.is_at_work:
            say(text)


class HoldingProgress:
    """A reporter that forwards to another, and notes when work has begun that a signal should let finish."""

    def __init__(self, progress: ProgressReporter, interruption: Interruption) -> None:
        self._interruption = interruption
        self.advance, self.message, self.end = progress.advance, progress.message, progress.end
        self.working_on = progress.working_on
        self._begin = progress.begin

    def begin(self, total: int, label: str, weight: float | None = None) -> None:
        """Begin, and defer signals from now on."""
        self._interruption.is_at_work = True
        self._begin(total, label, weight)


@contextmanager
def interruptible(stopping: str = "") -> Iterator[Interruption]:
    """Turn SIGINT, SIGTERM and a lost terminal into an event for as long as the block lasts.

    Args:
        stopping: what to say at the first signal, if work has to finish; empty: nothing.

    """
    interruption = Interruption()
    teller = threading.Thread(target=interruption.say_when_stopped, args=(stopping,), daemon=True)
    if stopping:
        teller.start()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # set by nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interruption.handle) for number in numbers}
    try:
        yield interruption
    except Exception as error:
        if interruption.exit_code and not interruption.is_at_work:
            # A package written in C that is interrupted during its import raises an error of its own instead.
            raise Interrupted(interruption.exit_code) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        interruption.is_over.set()
        if stopping:
            teller.join()


def duration(seconds: float) -> str:
    """Return a time as text: in seconds, or, from a minute on, in hours, minutes and seconds."""
    return f"{seconds:.1f} s" if seconds < 59.95 else str(timedelta(seconds=round(seconds)))


def about(seconds: float) -> str:
    """Return an estimated time as text, in units that suit how exact it is."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if minutes < 90:
        return f"about {minutes} min"
    hours = round(minutes / 60)
    return f"about {hours} h" if hours < 48 else f"about {round(hours / 24)} days"


def aligned(facts: Mapping[str, str]) -> str:
    """Return facts as text, one per line, with their names in the first column; nothing is truncated."""
    width = max(map(len, facts), default=0)
    return "\n".join(f"{name:{width}}  {value}" for name, value in facts.items())


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> str:
    """Return a table as text; the first column is words, the others are numbers. Nothing is truncated."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    screen = Console(highlight=False, color_system=None)
    with screen.capture() as capture:
        screen.print(drawn)
    return capture.get().rstrip("\n")
