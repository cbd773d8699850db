"""What outputs are called, so that no two of a run have the same name."""

import os
from itertools import count

from colorbatch.formats.kinds import PICTURE_EXTENSIONS

LONGEST_NAME = 255
"""Bytes of a file name on the usual file systems."""
_LONG_NAME = 150
"""Bytes of a file name that leave room for some twenty endings."""


def family_of(name: str) -> str:
    """Return what is the same for all sources whose outputs could have the same name: theirs without its endings.

    Names so long that :func:`free_name` may cut them are of one family in each folder.
    """
    folder, slash, last = name.rpartition("/")
    if len(os.fsencode(last)) > _LONG_NAME:
        return folder + slash
    stem, dot, ending = last.rpartition(".")
    while (dot + ending).lower() in PICTURE_EXTENSIONS:
        last = stem
        stem, dot, ending = last.rpartition(".")
    return folder + slash + last


def free_name(name: str, extension: str, taken: set[str]) -> str:
    """Return ``name`` with ``extension`` appended until it is not taken, and cut where it would be too long."""
    folder, slash, last = name.rpartition("/")
    candidates = (folder + slash + _cut(last, extension * times) for times in count(1))
    return next(candidate for candidate in candidates if candidate not in taken)


def _cut(stem: str, ending: str) -> str:
    while len(os.fsencode(stem + ending)) > LONGEST_NAME:
        stem = stem[:-1]
    return stem + ending
