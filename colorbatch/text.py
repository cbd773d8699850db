"""Names and messages as they may be shown, and file names between the locale and UTF-8."""

import os


def printable(text: str) -> str:
    """Return ``text`` with everything escaped that could break a line, steer a terminal or not be encoded."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def to_utf_8(name: str) -> str:
    """Return a file name as it reads in UTF-8, so that the locale does not show in the manifest."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def to_locale(name: str) -> str:
    """Return a file name as the locale has it, from what it reads like in UTF-8."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))
