"""Names of files in a package: those of the folder, except where a bag could not hold them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from colorbatch.text import to_utf_8

_TO_ENCODE = re.compile(r"[%\r\n]")
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")
_MISREAD = re.compile(r"[%\x0b\x0c\x1c-\x1e\x85\u2028\u2029]|^\s|\s$")
"""What version 1.9 of bagit.py reads as another name, though RFC 8493 leaves no doubt: it decodes no ``%25``, takes
more than CR and LF for the end of a line, and drops white space."""


def encoded(path: str) -> str:
    """Return a path as the manifests and ``fetch.txt`` have it: CR, LF and ``%`` percent-encoded, and only those.

    Source: RFC 8493, section 2.1.3.
    """
    return _TO_ENCODE.sub(lambda found: f"%{ord(found[0]):02X}", path)


def is_misread(path: str) -> bool:
    """Return whether bagit.py would read the path in a manifest as that of another file."""
    return _MISREAD.search(path) is not None


def names_in_package(names: Iterable[str]) -> Mapping[str, str]:
    """Return the path in UTF-8 under which a package holds each file, by its name in the locale.

    It is the name itself, with two exceptions. Bytes that are not UTF-8, which tag files cannot hold (RFC 8493, section
    2.1.1), are written as ``_xE4``. Of names that differ in the normalization of Unicode alone, which some file
    systems take for the same (section 6.1.2), all but the first get a number.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(names, key=lambda each: (bool(_NOT_UTF_8.search(to_utf_8(each))), each)):
        path = _NOT_UTF_8.sub(lambda byte: f"_x{ord(byte[0]) - 0xDC00:02X}", to_utf_8(name))
        numbered, number = path, 1
        while unicodedata.normalize("NFC", numbered) in taken:
            number += 1
            plain = PurePosixPath(path)
            numbered = str(plain.with_name(f"{plain.stem}~{number}{plain.suffix}"))
        taken.add(unicodedata.normalize("NFC", numbered))
        found[name] = numbered
    return found


def twins(paths: Iterable[str]) -> list[str]:
    """Return the paths that differ from an earlier one in upper and lower case alone."""
    seen: set[str] = set()
    found = []
    for path in paths:
        folded = unicodedata.normalize("NFC", path).casefold()
        if folded in seen:
            found.append(path)
        seen.add(folded)
    return found
