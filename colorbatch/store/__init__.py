"""Storage of sources and outputs: local folders, and remote stores accessed through fsspec."""

from pathlib import Path

from colorbatch.location import LocationLike, as_location
from colorbatch.store.local import LocalStore
from colorbatch.store.remote import RemoteStore
from colorbatch.store.store import Store


def open_store(given: LocationLike) -> Store:
    """Return the store of a location, without accessing it.

    Raises:
        UsageError, EnvironmentFailure: as :func:`colorbatch.location.as_location`.

    """
    location = as_location(given)
    return LocalStore(location) if isinstance(location, Path) else RemoteStore(location)
