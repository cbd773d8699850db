"""What other processes get of the environment of this one: all but the private key that signs outputs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

KEY_VARIABLE = "COLORBATCH_SIGN_KEY"
"""Environment variable with the private key that signs outputs, in PEM, where no file is given."""


def environment_of_children(**more: str) -> Mapping[str, str]:
    """Return the environment for a process that this one starts: without the private key, and with ``more``."""
    return {name: value for name, value in os.environ.items() if name != KEY_VARIABLE} | more


@contextmanager
def key_hidden() -> Iterator[None]:
    """Keep the private key from processes that others start meanwhile, with the environment of this one."""
    key = os.environ.pop(KEY_VARIABLE, None)
    try:
        yield
    finally:
        if key is not None:
            os.environ[KEY_VARIABLE] = key
