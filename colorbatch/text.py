"""Names and messages for display, misspelt words, and file names converted between the locale and UTF-8."""

import os
import re
import shlex
from collections.abc import Iterable


def printable(text: str) -> str:
    """Return ``text`` with everything escaped that could break a line, control a terminal or fail to encode."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question that names the known word that resembles ``word`` most; empty: none does."""
    from difflib import get_close_matches  # only a mistake needs it

    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(word.lower(), by_lower, n=1)
    return f"Did you mean {by_lower[close[0]]}?" if close else ""


def shell_quoted(path: str) -> str:
    """Return a path as it is typed in a shell, all of it printable: that of POSIX, or in double quotes on Windows.

    A path that begins with a dash gets a dot in front of it. What cannot be printed is escaped as in Bash and Zsh
    (POSIX.1-2024, section 2.2.4, "Dollar-Single-Quotes").
    """
    path = f"./{path}" if path.startswith("-") else path
    if os.name == "nt":
        path = printable(path)
        return f'"{path}"' if re.search(r"[^\w.:\\/~-]", path) else path
    if path.isprintable():
        return shlex.quote(path)
    return f"$'{''.join(map(_escaped, path))}'"


def _escaped(character: str) -> str:
    """Return a character as it is typed between dollar-single-quotes."""
    if character in "'\\":
        return f"\\{character}"
    return character if character.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def to_utf_8(name: str) -> str:
    """Return a file name decoded as UTF-8, so that the manifest does not depend on the locale."""
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def to_locale(name: str) -> str:
    """Return a file name decoded in the locale, from one decoded as UTF-8."""
    if name.isascii():
        return name
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))
