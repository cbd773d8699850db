"""Read lists of sources: what a report exports and ``run --only`` takes."""

import json
from pathlib import Path, PurePosixPath

from colorbatch.errors import UsageError, reason_of
from colorbatch.text import to_locale


def read_list(path: Path) -> frozenset[str]:
    """Return the inputs that a list names.

    One path a line, below the source, POSIX style, in UTF-8; bytes that are none stand for themselves. A line that
    begins with a quotation mark is a JSON string, as in the manifest: so a name may hold a line break. Empty lines and
    those that begin with ``#`` say nothing.

    Raises:
        UsageError: it cannot be read, or has a line that is no such path.

    """
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    except OSError as error:
        raise UsageError(f"cannot read the list {path}: {reason_of(error)}") from error
    lines = enumerate(text.split("\n"), start=1)
    return frozenset(_name(line.removesuffix("\r"), number, path) for number, line in lines if _says_something(line))


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _name(line: str, number: int, path: Path) -> str:
    """Return the input that a line names.

    Raises:
        UsageError: it names none.

    """
    try:
        name = json.loads(line) if line.startswith('"') else line
        return to_locale(PurePosixPath(name).as_posix())
    except (ValueError, RecursionError) as error:  # UnicodeError too: half a surrogate pair is no byte
        raise UsageError(
            f"line {number} of the list {path} is not a path: {error}",
            advice="Write a name that begins with a quotation mark as a JSON string.",
        ) from error
