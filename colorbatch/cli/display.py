"""How progress is shown: a bar on a terminal, a line now and then elsewhere."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from colorbatch.cli.terminal import say
from colorbatch.progress import Pace
from colorbatch.text import printable

SECONDS_BETWEEN_LINES = 30.0
"""Off a terminal, progress is one line this often."""
_WIDEST_BAR, _NARROWEST_BAR = 40, 10


class Bar:
    """How far the work is and, below that, what is being worked on; gone when it ends."""

    def __init__(self, screen: Console, unit: str) -> None:
        self._screen = screen
        self._unit = unit
        self._label = ""
        self._pace = Pace(0)
        self._names: dict[object, str] = {}
        """In the order in which work on them began."""
        self._lock = threading.Lock()
        self._live: Live | None = None

    def begin(self, total: int, label: str, weight: float | None = None) -> None:
        """Draw a new bar."""
        self.end()
        self._label, self._pace = label, Pace(total, weight)
        self._live = Live(get_renderable=self._drawn, console=self._screen, transient=True, redirect_stdout=False)
        self._live.start()
        self._screen.show_cursor(True)  # it would stay hidden if a second Ctrl-C ended us

    @contextmanager
    def working_on(self, name: str) -> Iterator[None]:
        """Name it below the bar."""
        key = object()
        with self._lock:
            self._names[key] = name
        try:
            yield
        finally:
            with self._lock:
                del self._names[key]

    def advance(self, steps: int = 1, *, weight: float | None = None, megapixels: float = 0.0) -> None:
        """Count; the bar draws itself anew four times a second."""
        self._pace.advance(steps, weight=weight, megapixels=megapixels)

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._screen.print(printable(text), markup=False)

    def end(self) -> None:
        """Take the bar away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _drawn(self) -> RenderableType:
        with self._lock:
            names = list(self._names.values())
        width = self._screen.width - 1  # some terminals begin a new line after the last column
        facts = [printable(self._label), *facts_of(self._pace, self._unit)]
        while len(facts) > 2 and _width_of(facts) > width:
            facts.pop()  # what matters least stands last
        label, told = facts[0], cut(", ".join(facts[1:]), max(width - cell_len(facts[0]) - 1, 0))
        bar_width = min(_WIDEST_BAR, width - _width_of(facts) - 1)
        line: RenderableType = Text(cut(f"{label} {told}", width))
        if bar_width >= _NARROWEST_BAR:
            line = Table.grid(padding=(0, 1))
            bar = ProgressBar(total=max(self._pace.total, 1), completed=self._pace.done, width=bar_width)
            line.add_row(Text(label), bar, Text(told))
        if not names:
            return line
        now = cut(f"Now: {', '.join(map(self._shown, names))}", width)
        return Group(line, Text(now, style="dim"))

    def _shown(self, name: str) -> str:
        """Return a name as the screen will show it: what it cannot show takes more room."""
        encoding = self._screen.encoding
        return printable(name).encode(encoding, "backslashreplace").decode(encoding)


class Lines:
    """One plain line now and then, for logs."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._pace = Pace(0)
        self._ended = threading.Event()

    def begin(self, total: int, label: str, weight: float | None = None) -> None:
        """Speak of it from now on."""
        self.end()
        self._pace, self._ended = Pace(total, weight), threading.Event()
        arguments = (label, self._pace, self._ended)
        threading.Thread(target=self._speak, args=arguments, daemon=True).start()

    def working_on(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 (too much for a log)
        """Ignore."""
        return nullcontext()

    def advance(self, steps: int = 1, *, weight: float | None = None, megapixels: float = 0.0) -> None:
        """Count."""
        self._pace.advance(steps, weight=weight, megapixels=megapixels)

    def message(self, text: str) -> None:
        """Print a line."""
        say(printable(text))

    def end(self) -> None:
        """Be silent."""
        self._ended.set()

    def _speak(self, label: str, pace: Pace, ended: threading.Event) -> None:
        while not ended.wait(SECONDS_BETWEEN_LINES):
            self.message(f"{label}: {', '.join(facts_of(pace, self._unit))}")


def facts_of(pace: Pace, unit: str) -> list[str]:
    """Return how far work is, in words, what matters most first."""
    facts = [f"{pace.done}/{pace.total} {unit}"]
    if (left := pace.seconds_left) is not None:
        facts.append(f"{timedelta(seconds=round(left))} left")
    if megapixels := pace.megapixels_per_second:
        facts.append(f"{megapixels:.1f} MP/s")
    if steps := pace.steps_per_second:
        facts.append(f"{steps:.1f} {unit}/s")
    return facts


def cut(text: str, width: int) -> str:
    """Return ``text``, or as much of its beginning as fits into so many columns of a terminal with dots behind it."""
    if cell_len(text) <= width:
        return text
    dots = "..."[:width]
    return set_cell_size(text, width - len(dots)) + dots


def _width_of(facts: Sequence[str]) -> int:
    return cell_len(facts[0]) + 1 + cell_len(", ".join(facts[1:]))
