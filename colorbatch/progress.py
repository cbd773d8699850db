"""How long work reports on itself, without knowing who listens."""

from typing import Protocol


class ProgressReporter(Protocol):
    """Receives the progress of one job at a time; the command line shows it, a library caller may ignore it."""

    def begin(self, total: int, label: str) -> None:
        """Start a job of ``total`` steps; ends the one before."""

    def advance(self, steps: int = 1) -> None:
        """Say that ``steps`` more steps are done."""

    def message(self, text: str) -> None:
        """Show one line that stays."""

    def end(self) -> None:
        """Close the current job; safe to call more than once."""


def printable(text: str) -> str:
    """Return ``text`` with everything escaped that could break a line, steer a terminal or not be encoded."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


class SilentProgress:
    """A reporter that tells nobody."""

    def begin(self, total: int, label: str) -> None:
        """Ignore."""

    def advance(self, steps: int = 1) -> None:
        """Ignore."""

    def message(self, text: str) -> None:
        """Ignore."""

    def end(self) -> None:
        """Ignore."""
