"""Whether two folders are one or one lies in the other, by whatever spelling, link or second mount."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from colorbatch.errors import UsageError


def refuse_intersection(source: Path, output: Path) -> None:
    """Raise when one of two folders lies in the other.

    Raises:
        UsageError: they intersect.

    """
    if contains(source, output):
        raise UsageError(
            f"the output {output} is the source {source} or inside it",
            advice="Choose an output folder outside the source.",
        )
    if contains(output, source):
        raise UsageError(
            f"the source {source} is inside the output {output}, so outputs could be written among the sources",
            advice="Choose an output folder that does not contain the source.",
        )


def contains(outer: Path, inner: Path) -> bool:
    """Return whether ``inner`` is ``outer`` or lies below it, however the two are spelled.

    Raises:
        UsageError: a link leads to itself.

    """
    if not outer.exists():
        return False
    try:
        resolved = inner.resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(f"cannot access {inner}: {error}") from error
    return any(each.exists() and each.samefile(outer) for each in (resolved, *resolved.parents))


def refuse_source_among(folders: Iterable[str], source: Path, output: Path) -> None:
    """Raise where a folder that outputs go to is, by a second mount, the source or holds it.

    Args:
        folders: their paths below the output.
        source: of the run.
        output: of the run.

    Raises:
        UsageError: it does.

    """
    places = identities(source)
    for name in folders:
        with suppress(OSError):  # it is not there yet
            if identity(os.lstat(output / name)) in places:
                raise UsageError(
                    f"{output / name} is the source {source} or contains it, through a second mount",
                    advice="Choose an output folder that does not contain the source.",
                )


def identities(path: Path) -> frozenset[tuple[int, int]]:
    """Return what tells a path and the folders above it from all others, whatever they are called."""
    resolved = path.resolve()
    return frozenset(identity(each.stat()) for each in (resolved, *resolved.parents) if each.exists())


def identity(found: os.stat_result) -> tuple[int, int]:
    """Return what tells a file or folder from all others."""
    return found.st_dev, found.st_ino
