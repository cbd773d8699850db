"""Detect whether two folders are the same or nested, whatever their spelling, links or second mounts."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from colorbatch.errors import UsageError


def refuse_intersection(source: Path, output: Path) -> None:
    """Raise if the source and the output are the same or nested.

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
    """Return whether ``inner`` is ``outer`` or below it, however the two are spelled.

    Raises:
        UsageError: there is a symlink loop.

    """
    if not outer.exists():
        return False
    try:
        resolved = inner.resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(f"cannot access {inner}: {error}") from error
    return any(each.exists() and each.samefile(outer) for each in (resolved, *resolved.parents))


def refuse_source_among(folders: Iterable[str], source: Path, output: Path) -> None:
    """Raise if a folder for outputs is the source or contains it, through a second mount.

    Args:
        folders: paths below the output.
        source: the source of the run.
        output: the output of the run.

    Raises:
        UsageError: one is, or does.

    """
    places = identities(source)
    for name in folders:
        with suppress(OSError):  # it does not exist yet
            if identity(os.lstat(output / name)) in places:
                raise UsageError(
                    f"{output / name} is the source {source} or contains it, through a second mount",
                    advice="Choose an output folder that does not contain the source.",
                )


def identities(path: Path) -> frozenset[tuple[int, int]]:
    """Return the identities of a path and the folders above it, which do not depend on their names."""
    resolved = path.resolve()
    return frozenset(identity(each.stat()) for each in (resolved, *resolved.parents) if each.exists())


def identity(found: os.stat_result) -> tuple[int, int]:
    """Return the identity of a file or folder: its device and inode."""
    return found.st_dev, found.st_ino
