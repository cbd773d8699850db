"""Names of outputs: unique within a run."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from colorbatch.formats.kinds import PICTURE_EXTENSIONS

LONGEST_NAME = 255
"""Maximum length of a file name in bytes, on the usual file systems."""
_LONG_NAME = 150
"""Maximum length in bytes of a file name that leaves room for some twenty extensions."""


def family_of(name: str) -> str:
    """Return the key that sources share if their outputs could have the same name: the name without its extensions.

    Names so long that :func:`free_name` may shorten them form one family in each folder.
    """
    folder, slash, last = name.rpartition("/")
    if len(os.fsencode(last)) > _LONG_NAME:
        return folder + slash
    stem, dot, extension = last.rpartition(".")
    while (dot + extension).lower() in PICTURE_EXTENSIONS:
        last = stem
        stem, dot, extension = last.rpartition(".")
    return folder + slash + last


def free_name(name: str, extension: str, taken: set[str]) -> str:
    """Return ``name`` with ``extension`` appended until it is not taken, shortened where it would be too long."""
    folder, slash, last = name.rpartition("/")
    candidates = (folder + slash + _shortened(last, extension * times) for times in count(1))
    return next(candidate for candidate in candidates if candidate not in taken)


def _shortened(stem: str, extension: str) -> str:
    while len(os.fsencode(stem + extension)) > LONGEST_NAME:
        stem = stem[:-1]
    return stem + extension


def namesakes(names: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Return the names that differ only in case or in the composition of letters from others, each with those others.

    On file systems such as exFAT, APFS and NTFS, they are one name.
    """
    alike: dict[str, set[str]] = defaultdict(set)
    for name in names:
        alike[unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())].add(name)
    return {name: sorted(group - {name}) for group in alike.values() if len(group) > 1 for name in group}
