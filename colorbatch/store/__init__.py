"""Storage of sources and outputs: local folders, and remote stores accessed through fsspec."""

from pathlib import Path

from colorbatch.location import Location
from colorbatch.store.local import LocalStore
from colorbatch.store.remote import RemoteStore
from colorbatch.store.store import Store


def open_store(location: Location) -> Store:
    """Return the store of a location, without accessing it."""
    return LocalStore(location) if isinstance(location, Path) else RemoteStore(location)
