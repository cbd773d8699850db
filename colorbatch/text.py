"""Names and messages for display, and file names converted between the locale and UTF-8."""

import os


def printable(text: str) -> str:
    """Return ``text`` with everything escaped that could break a line, control a terminal or fail to encode."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def to_utf_8(name: str) -> str:
    """Return a file name decoded as UTF-8, so that the manifest does not depend on the locale."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def to_locale(name: str) -> str:
    """Return a file name decoded in the locale, from one decoded as UTF-8."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))
