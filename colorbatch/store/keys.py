"""What the keys of a store are called as sources: a key may hold anything, a source has a place below a folder."""

import os
from collections.abc import Iterable, Mapping

_NOT_ON_WINDOWS = frozenset('\\:*?"<>|')
_OF_A_VERSION = "?versionId="
"""What s3fs takes for the end of a key."""


def refusal(key: str) -> str:
    """Return why a key can be no source; empty when it can."""
    parts = key.split("/")
    if "" in parts:
        return "its key has an empty part, which no folder can have"
    if "." in parts or ".." in parts:
        return "its key leads out of its folder, or to no place in it"
    if "\0" in key:
        return "its key has a zero byte, which no file name can have"
    if _OF_A_VERSION in key:
        return "its key cannot be told from that of a version"
    if os.name == "nt" and not _NOT_ON_WINDOWS.isdisjoint(key):
        return "its key has characters that no file name can have on Windows"
    return ""


def names_of(keys: Iterable[str]) -> Mapping[str, str]:
    """Return the name of each key as a source; keys that can be none are written with ``%``, unlike all others."""
    keys = list(keys)
    names = {key: key for key in keys if not refusal(key)}
    taken = set(names)
    for key in keys:
        if key in names:
            continue
        name = "/".join(map(_escaped, key.split("/")))
        while name in taken:
            name = f"%{name}"
        taken.add(name)
        names[key] = name
    return names


def _escaped(part: str) -> str:
    if part in ("", ".", ".."):
        return "%2E" * len(part) or "%"
    return part.replace("\0", "%00")
