"""Where a package is written: a folder of its own, or a zip file beside others."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from colorbatch.errors import UsageError
from colorbatch.location import Location, as_location
from colorbatch.operations.package.delivery import MARKER, FolderSink, Sink, ZipSink, is_marker
from colorbatch.operations.package.job import PackageJob
from colorbatch.store import open_store
from colorbatch.store.store import Journal
from colorbatch.text import printable, to_locale, to_utf_8

_MARK = {"unfinished": "run the same colorbatch package again, or delete this folder"}


class Place:
    """The destination of a package, in which nothing is that is not of it."""

    def __init__(self, job: PackageJob) -> None:
        """Open the destination, without accessing it.

        Raises:
            UsageError: a zip file has another ending.

        """
        location: Location = job.destination
        self._job = job
        self._is_single_zip = job.form == "zip" and job.bag_size is None
        if self._is_single_zip and location.suffix.lower() != ".zip":
            raise UsageError(
                f"{printable(location.name)} does not end with .zip",
                advice="Give the zip file to write, or with --bag-size a folder for several.",
            )
        self.destination = open_store(location)
        self._store = open_store(as_location(location.parent)) if self._is_single_zip else self.destination
        self._base = location.stem if self._is_single_zip else location.name or "package"
        self._marker = f"{location.name}.unfinished" if self._is_single_zip else MARKER

    def refuse_occupied(self) -> None:
        """Raise if the destination holds something that no unfinished package of ours is.

        Raises:
            UsageError: it does.
            StoreUnavailableError: it cannot be accessed.

        """
        if self.destination.is_itself_a_file():
            raise UsageError(f"{self.destination.shown} already exists", advice="Choose another name.")
        names = set(self.destination.names([]))
        if names and not any(is_marker(name, self._marker) for name in names):
            raise UsageError(
                f"{self.destination.shown} already exists and is not empty",
                advice="Choose a new folder: nothing is overwritten.",
            )

    @contextmanager
    def held(self) -> Iterator[Journal]:
        """Yield the journal that marks the package as unfinished, and keeps other processes out.

        Raises:
            OutputInUseError: another process holds it.
            OutputUnwritableError, StoreUnavailableError: it cannot be written.

        """
        journal = self._store.open_journal(self._marker)
        try:
            self._store.remember_folder()
            journal.add(json.dumps(_MARK).encode() + b"\n")
            if not self._is_single_zip:
                self._store.remove_left_behind(lambda _: True)
            yield journal
        finally:
            journal.close()

    def bag_name(self, number: int, count: int) -> str:
        """Return the name of a bag, in UTF-8: of a folder, or of the one in a zip file."""
        base = to_utf_8(self._base)
        return base if self._job.bag_size is None else f"{base}-{number:0{len(str(count))}}-of-{count}"

    def shown(self, name: str) -> str:
        """Return a bag of that name as it is shown."""
        if self._job.bag_size is None:
            return self.destination.shown
        return f"{self.destination.shown}/{to_locale(name)}{'.zip' if self._job.form == 'zip' else ''}"

    @contextmanager
    def bag(self, name: str, last: str, algorithms: tuple[str, ...]) -> Iterator[Sink]:
        """Yield a bag to write; a zip file appears when the block succeeds.

        Args:
            name: of the bag.
            last: the file that says that it is whole.
            algorithms: how to hash, sha256 first.

        Raises:
            OutputUnwritableError, StoreUnavailableError: it cannot be written.

        """
        if self._job.form != "zip":
            prefix = "" if self._job.bag_size is None else f"{name}/"
            yield FolderSink(self._store, prefix, last, algorithms, link=self._job.link)
            return
        file_name = to_locale(f"{name}.zip") if self._job.bag_size is not None else self._job.destination.name
        with self._store.writer(file_name, may_replace=not self._is_single_zip) as file:
            sink = ZipSink(file, name, algorithms)
            try:
                yield sink
            except BaseException:
                with suppress(OSError, ValueError):  # the file is removed
                    sink.close()
                raise
            sink.close()
