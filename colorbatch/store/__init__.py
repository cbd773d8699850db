"""Where sources and outputs are: folders of this machine, and stores that fsspec reaches."""

from pathlib import Path

from colorbatch.location import Location
from colorbatch.store.local import LocalStore
from colorbatch.store.remote import RemoteStore
from colorbatch.store.store import Store


def open_store(location: Location) -> Store:
    """Return the store of a location; nothing is asked of it yet."""
    return LocalStore(location) if isinstance(location, Path) else RemoteStore(location)
