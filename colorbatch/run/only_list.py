"""Read lists of sources, as a report exports and ``run --only`` accepts them."""

import json
from pathlib import Path, PurePosixPath

from colorbatch.errors import UsageError, reason_of
from colorbatch.text import to_locale


def read_list(path: Path) -> frozenset[str]:
    """Return the inputs that a list names.

    A list has one path per line, relative to the source, POSIX style, in UTF-8; bytes that are not UTF-8 are kept. A
    line that begins with a quotation mark is a JSON string, as in the manifest, so that a name can contain a line
    break. Empty lines and lines that begin with ``#`` are ignored.

    Raises:
        UsageError: the list cannot be read, or one of its lines is not such a path.

    """
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    except OSError as error:
        raise UsageError(f"cannot read the list {path}: {reason_of(error)}") from error
    lines = enumerate(text.split("\n"), start=1)
    return frozenset(_name(line.removesuffix("\r"), number, path) for number, line in lines if _is_entry(line))


def _is_entry(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _name(line: str, number: int, path: Path) -> str:
    """Return the input that a line names.

    Raises:
        UsageError: the line is not a path.

    """
    try:
        name = json.loads(line) if line.startswith('"') else line
        return to_locale(PurePosixPath(name).as_posix())
    except (ValueError, RecursionError) as error:  # UnicodeError too: not every surrogate stands for a byte
        raise UsageError(
            f"line {number} of the list {path} is not a path: {error}",
            advice="Write a name that begins with a quotation mark as a JSON string.",
        ) from error
