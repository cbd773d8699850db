"""Write a package: the checks, the place, the files, and last what says that it is whole."""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from colorbatch.errors import reason_of
from colorbatch.machine import usable_cores
from colorbatch.operations.audit import Finding
from colorbatch.operations.package import bag, iiif, premis, scans
from colorbatch.operations.package.contents import SOURCES, Contents, Holding, Member, contents_of
from colorbatch.operations.package.delivery import Delivered, Sink, UnsoundError
from colorbatch.operations.package.file_format import UNKNOWN, format_of_file
from colorbatch.operations.package.job import Packaged, PackageJob
from colorbatch.operations.package.names import is_misread, twins
from colorbatch.operations.package.place import Place
from colorbatch.operations.package.split import Share, shares_of
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.store import open_store
from colorbatch.text import to_locale, to_utf_8

METADATA = "metadata/"
RENAMED = f"{METADATA}renamed.jsonl"
_FORMATS_AT_ONCE = 8
_AT_ONCE = 512
_T = TypeVar("_T")
_R = TypeVar("_R")


def package_batch(job: PackageJob, progress: ProgressReporter | None = None) -> Packaged:
    """Write a package of an output folder.

    A folder in which an output is missing or was altered is not packaged: the findings say what is wrong, and what was
    written until then is no bag yet. A bag that a killed process left is continued; nothing else is ever overwritten.

    Args:
        job: what is asked for.
        progress: receives updates.

    Raises:
        UsageError: the folder has no manifest, the destination holds something, or something impossible is asked for.
        OutputInUseError: another process writes this package.
        OutputUnwritableError, StoreUnavailableError: a place cannot be read or written.

    """
    place = Place(job)
    progress = progress or SilentProgress()
    contents = contents_of(job, open_store(job.folder), place.destination)
    if contents.findings:
        return Packaged(findings=list(contents.findings))
    shares = shares_of(contents, job.bag_size)
    with place.held() as journal:
        place.refuse_others(place.bag_name(number, len(shares)) for number in range(1, len(shares) + 1))
        package = _Package(job, contents, place, progress)
        try:
            if job.form == "plain":
                package.write_plain(shares[0])
            else:
                package.write_bags(shares)
        finally:
            progress.end()
        if package.found.is_finished:
            journal.hold()
            journal.delete()
    return package.found


class _Package:
    """A package that is being written."""

    def __init__(self, job: PackageJob, contents: Contents, place: Place, progress: ProgressReporter) -> None:
        self._job = job
        self._contents = contents
        self._place = place
        self._progress = progress
        self._algorithms = ("sha256", "sha512") if job.sha512 else ("sha256",)
        self.found = Packaged()

    def write_bags(self, shares: Sequence[Share]) -> None:
        """Write all bags; after the first that cannot be finished, the others are only looked through.

        Raises:
            UsageError: the destination holds files of another package.
            OutputUnwritableError, StoreUnavailableError: a place cannot be read or written.

        """
        self.found.warnings += [*_warnings(shares), *self._contents.warnings]
        for number, share in enumerate(shares, start=1):
            self._write_bag(share, number, len(shares))

    def _write_bag(self, share: Share, number: int, count: int) -> None:
        name = self._place.bag_name(number, count)
        members = list(share.members())
        group = None if self._job.bag_size is None else bag.Group(self._identifier(), number, count)
        try:
            with self._place.bag(name, bag.DECLARATION, self._algorithms) as sink:
                present = [each for each in members if not each.url]
                delivered = list(self._outcomes("Packaging", partial(_deliver, sink), present, sink.workers))
                self._refuse_unsound()
                delivered += self._shown(sink, share, bag.PAYLOAD)
                absent = [each for each in members if each.url]
                described = [*self._renamed(sink, members), *self._described(sink, share, METADATA, bag.PAYLOAD)]
                bag.write_tag_files(sink, delivered, absent, described, self._job.bag_info, self._algorithms, group)
        except _UnfinishedError:
            return
        self._count(name, share, delivered)

    def write_plain(self, share: Share) -> None:
        """Write what describes the folder, and nothing else.

        Raises:
            UsageError: the destination holds files of another package.
            OutputUnwritableError, StoreUnavailableError: a place cannot be read or written.

        """
        name = self._place.bag_name(1, 1)
        try:
            with self._place.bag(name, "", self._algorithms) as sink:
                written = [*self._described(sink, share, "", ""), *self._shown(sink, share, "")]
                self._refuse_unsound()
                sink.refuse_strangers()
        except _UnfinishedError:
            return
        self._count(name, share, written)

    def _outcomes(
        self, what: str, act: Callable[[_T], _R | Finding], items: Sequence[_T], workers: int
    ) -> Iterator[_R]:
        """Yield what becomes of each item, in order; findings are put aside.

        Args:
            what: is done, for the display.
            act: what is done to an item, in any thread.
            items: all.
            workers: number of items at the same time.

        """
        self._progress.begin(len(items), what)
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(items), _AT_ONCE):
                for outcome in pool.map(act, items[start : start + _AT_ONCE]):
                    self._progress.advance()
                    if isinstance(outcome, Finding):
                        self.found.findings.append(outcome)
                    else:
                        yield outcome

    def _refuse_unsound(self) -> None:
        """Raise if there are findings, or a run has changed the folder meanwhile.

        Raises:
            _UnfinishedError: that is so.

        """
        if not self.found.findings and self._contents.is_changed():
            self.found.findings.append(Finding(MANIFEST_NAME, "a run changed it meanwhile: package again"))
        if self.found.findings:
            raise _UnfinishedError

    def _renamed(self, sink: Sink, members: Sequence[Member]) -> Iterator[Delivered]:
        """Write which names could not be kept, if there are such."""
        paths = {each.path for each in members}
        renamed = {path: name for path, name in self._contents.renamed.items() if path in paths}
        if renamed:
            yield sink.write(RENAMED, [_renamed_line(path, name) for path, name in sorted(renamed.items())])

    def _described(self, sink: Sink, share: Share, folder: str, payload: str) -> Iterator[Delivered]:
        """Write the provenance, if it is asked for.

        Args:
            sink: the package.
            share: what is described.
            folder: where to write it, with a slash, or empty.
            payload: where the files are, with a slash, or empty.

        """
        if self._job.premis is None:
            return
        described = list(self._outcomes("Describing", _described, share.holdings, _FORMATS_AT_ONCE))
        self._refuse_unsound()
        for path, some in premis.documents(described, self._job.premis):
            yield sink.write(folder + path, premis.document(some, payload, self._job.retouched_by))

    def _shown(self, sink: Sink, share: Share, payload: str) -> list[Delivered]:
        """Write the descriptions for viewers, and the tiles, if they are asked for.

        Args:
            sink: the package.
            share: what is described.
            payload: folder of the package that will be published, with a slash, or empty.

        """
        if self._job.iiif is None:
            return []

        def write(path: str, parts: Iterable[bytes]) -> Delivered:
            return sink.write(payload + path, parts)

        act = partial(_scan_of, base=self._job.iiif, write=write if self._job.iiif_tiles else None)
        shown = [each for each in share.holdings if scans.is_shown(each)]
        found = list(self._outcomes("Describing for viewers", act, shown, usable_cores()))
        self._refuse_unsound()
        self.found.warnings += iiif.warnings([scan for scan, _ in found])
        label = to_utf_8(self._contents.folder.base_name)
        documents = iiif.documents(self._job.iiif, label, [scan for scan, _ in found])
        return [*(each for _, tiles in found for each in tiles), *(write(path, parts) for path, parts in documents)]

    def _identifier(self) -> str:
        """Return the identifier that all bags of a package share: that which was given, or one of its manifest."""
        given = {label.title(): value for label, value in self._job.bag_info}
        digest = hashlib.sha256(self._contents.manifest).hexdigest()
        return given.get("Bag-Group-Identifier", f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}")

    def _count(self, name: str, share: Share, delivered: Sequence[Delivered]) -> None:
        self.found.bags.append(self._place.shown(name))
        self.found.outputs += sum(each.output is not None for each in share.holdings)
        sources = [each for each in share.members() if each.path.startswith(f"{SOURCES}/")]
        self.found.to_fetch += sum(bool(each.url) for each in sources)
        self.found.sources += sum(not each.url for each in sources)
        self.found.bytes += sum(each.size for each in delivered)
        self.found.linked += sum(each.is_linked for each in delivered)
        self.found.kept += sum(each.is_kept for each in delivered)


class _UnfinishedError(Exception):
    """A bag cannot be finished."""


def _deliver(sink: Sink, member: Member) -> Delivered | Finding:
    try:
        return sink.deliver(member, bag.PAYLOAD + member.path)
    except UnsoundError as error:
        return Finding(to_locale(member.path), str(error))


def _described(holding: Holding) -> premis.Described | Finding:
    """Return a row with the formats of its scan and of its output."""
    found = []
    for member in (holding.source, holding.output):
        if member is None or member.origin is None:
            found.append(UNKNOWN)
            continue
        try:
            found.append(format_of_file(member.origin, member.key))
        except OSError as error:
            return Finding(to_locale(member.path), f"it cannot be read: {reason_of(error)}")
    return premis.Described(holding, *found)


def _scan_of(holding: Holding, base: str, write: scans.Write | None) -> tuple[iiif.Scan, Sequence[Delivered]] | Finding:
    """Return a scan as viewers are to show it, and the tiles that were written with ``write``."""
    try:
        return (scans.scan_of(holding, base), ()) if write is None else scans.tiled_scan_of(holding, base, write)
    except UnsoundError as error:
        return Finding(to_locale(holding.name), str(error))


def _renamed_line(path: str, name: str) -> bytes:
    return json.dumps({"path": bag.PAYLOAD + path, "name": name}).encode("ascii") + b"\n"


def _warnings(shares: Sequence[Share]) -> Iterator[str]:
    """Yield what a reader of the package may stumble over."""
    paths = [each.path for share in shares for each in share.members()]
    misread = [path for path in paths if is_misread(path)]
    if misread:
        yield (
            f"{len(misread)} names have a % or other characters that bagit.py reads wrongly, though the bag is valid, "
            f"such as {misread[0]}"
        )
    if doubled := twins(paths):
        yield (
            f"{len(doubled)} names differ from others in upper and lower case alone, and would be lost on Windows and "
            f"macOS, such as {doubled[0]}"
        )
