"""Storage of sources and outputs: local folders, and remote stores accessed through fsspec."""

from colorbatch.job import BatchJob
from colorbatch.location import LocationLike, as_location, as_path, is_local
from colorbatch.store.local import LocalFiles, LocalStore
from colorbatch.store.remote import RemoteStore
from colorbatch.store.store import Store


def open_store(given: LocationLike) -> Store:
    """Return the store of a location, without accessing it.

    Raises:
        UsageError, EnvironmentFailure: as :func:`colorbatch.location.as_location`.

    """
    location = as_location(given)
    return LocalStore(location) if is_local(location) else RemoteStore(location)


def open_source(job: BatchJob) -> Store:
    """Return the store of the sources of a job, without accessing it.

    Raises:
        UsageError: single files of a remote store were given.

    """
    return open_store(job.source) if job.files is None else LocalFiles(as_path(job.source), job.files)
