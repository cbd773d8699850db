"""Where a package is written: a folder of its own, or a zip file beside others."""

import json
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress

from colorbatch.errors import UsageError
from colorbatch.location import Location, as_location
from colorbatch.operations.package.delivery import MARKER, FolderSink, Sink, ZipSink, is_marker, marker_files
from colorbatch.operations.package.job import PackageJob
from colorbatch.store import open_store
from colorbatch.store.journal import Journal
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
        self._present: dict[str, list[str]] = {}
        """What an earlier, killed command left, by the first folder."""
        self._marker = f"{location.name}.unfinished" if self._is_single_zip else MARKER

    @contextmanager
    def held(self) -> Iterator[Journal]:
        """Yield the journal that marks the package as unfinished, and keeps other processes out.

        Raises:
            UsageError: the destination holds something that no unfinished package of ours is.
            OutputInUseError: another process holds it.
            OutputUnwritableError, StoreUnavailableError: it cannot be written.

        """
        is_ours = self._refuse_occupied(self._names())
        journal = self._store.open_journal(self._marker, "a package")
        try:
            self._store.remember_folder()
            if not is_ours:  # another process may have finished meanwhile
                self._refuse_occupied({name for name in self._names() if not is_marker(name, self._marker)})
            journal.add(json.dumps(_MARK).encode() + b"\n")
            if not self._is_single_zip:
                self._remove_left_behind()
                self._present = _by_folder(self._names())
            yield journal
        finally:
            journal.close()

    def _remove_left_behind(self) -> None:
        """Remove what writes of a killed command left.

        Raises:
            OutputUnwritableError, StoreUnavailableError: it cannot be removed.

        """
        try:
            self._store.remove_left_behind(lambda _: True)
        except OSError as error:
            raise self._store.unavailable(error) from error

    def _names(self) -> set[str]:
        """Return what the destination holds now, by names below it; a zip file is the empty name."""
        now = open_store(self._job.destination)  # a store in the cloud keeps its listing
        if now.is_itself_a_file():
            return {""}
        found = set(now.names([]))
        if self._is_single_zip:  # its marker lies beside it
            found |= {name for name in marker_files(self._marker) if self._store.state(name)}
        return found

    def _refuse_occupied(self, names: AbstractSet[str]) -> bool:
        """Return whether there is an unfinished package of ours.

        Raises:
            UsageError: there is something else.

        """
        if "" in names:
            raise UsageError(f"{self.destination.shown} already exists", advice="Choose another name.")
        is_ours = any(is_marker(name, self._marker) for name in names)
        if names and not is_ours:
            raise UsageError(
                f"{self.destination.shown} already exists and is not empty",
                advice="Choose a new folder: nothing is overwritten.",
            )
        return is_ours

    def refuse_others(self, names: Iterable[str]) -> None:
        """Raise if the folder of several bags holds anything else.

        Args:
            names: of the bags.

        Raises:
            UsageError: it does.

        """
        if self._job.bag_size is None:
            return
        ending = ".zip" if self._job.form == "zip" else ""
        others = self._present.keys() - {to_locale(name + ending) for name in names}
        for folder in sorted(others):
            for name in self._present[folder]:
                if not is_marker(name, self._marker):
                    raise UsageError(
                        f"{self.destination.shown} holds files that are not of this package, such as {printable(name)}",
                        advice="Delete them, or choose a new folder; then run the same command again.",
                    )

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
            is_single = self._job.bag_size is None
            present = [each for folder in self._present.values() for each in folder] if is_single else None
            yield FolderSink(
                self._store,
                "" if is_single else f"{name}/",
                self._present.get(to_locale(name), ()) if present is None else present,
                last,
                algorithms,
                link=self._job.link,
            )
            return
        file_name = to_locale(f"{name}.zip") if self._job.bag_size is not None else self._job.destination.name
        try:
            with self._store.writer(file_name, may_replace=not self._is_single_zip) as file:
                sink = ZipSink(file, name, algorithms)
                try:
                    yield sink
                except BaseException:
                    with suppress(OSError, ValueError):  # the file is removed
                        sink.close()
                    raise
                sink.close()
        except FileExistsError as error:
            raise UsageError(f"{self.shown(name)} already exists", advice="Choose another name.") from error


def _by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """Return names by their first folder, or by themselves."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.partition("/")[0], []).append(name)
    return found
