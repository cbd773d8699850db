"""File names between the locale, in which Python has them, and UTF-8, in which the manifest and stores have them."""

import os


def in_utf_8(name: str) -> str:
    """Return a file name as it reads in UTF-8, so that the locale does not show in the manifest."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def of_the_locale(name: str) -> str:
    """Return a file name as the locale has it, from what it reads like in UTF-8."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))
