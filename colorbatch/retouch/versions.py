"""Versions of what the record says, by which a page notices that somebody else changed it meanwhile."""

import hashlib
from collections.abc import Iterable, Mapping

from colorbatch.records.retouch import RetouchLine, said_in

_LENGTH = 16


class ChangedError(Exception):
    """The record says something else of a page than the one knew who wants to change it."""

    def __init__(self, line: RetouchLine) -> None:
        super().__init__("it was changed meanwhile, in another tab or in the record")
        self.line = line
        """What the record says now."""


def version_of(line: RetouchLine) -> str:
    """Return the version of a line, its note included."""
    return hashlib.sha256(line.to_json()).hexdigest()[:_LENGTH]


def versions_of(content: bytes) -> Mapping[str, str]:
    """Return the version of all that a record says of each source, notes included."""
    return {name: _joint(version_of(each) for each in lines) for name, lines in said_in(content).items()}


def _joint(versions: Iterable[str]) -> str:
    return hashlib.sha256("".join(sorted(versions)).encode()).hexdigest()[:_LENGTH]
