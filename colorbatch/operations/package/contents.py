"""What goes into a package: the outputs of a folder, its records, and the scans."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from colorbatch.errors import UsageError, reason_of
from colorbatch.operations.audit import Finding, findings_of_folder
from colorbatch.operations.package.job import PackageJob
from colorbatch.operations.package.names import names_in_package
from colorbatch.records.manifest import MANIFEST_NAME, refuse_without_rows, rows_of
from colorbatch.records.retouch import RETOUCH_NAME, record_in, retouches_of
from colorbatch.records.row import Row
from colorbatch.store import open_store
from colorbatch.store.report_folder import is_part_of_report
from colorbatch.store.store import Store
from colorbatch.text import to_utf_8

OUTPUTS = "outputs"
"""Folder of the outputs in a package: with the manifest in it, ``colorbatch audit`` can check it."""
SOURCES = "sources"


@dataclass(frozen=True)
class Member:
    """A file of a package."""

    path: str
    """Below the payload, in UTF-8."""
    size: int
    origin: Store | None = None
    """The store that it is copied from; ``None``: it is ``data``, or stays away."""
    key: str = ""
    """Its name in that store."""
    data: bytes = b""
    sha256: str | None = None
    """From the manifest of the folder; ``None``: unknown."""
    url: str = ""
    """Where it can be fetched, if it stays away; empty: it does not."""


@dataclass(frozen=True)
class Holding:
    """A row, and its files in a package."""

    row: Row
    name: str
    """Path of the scan in UTF-8, unique in the package."""
    output: Member | None
    source: Member | None
    sidecar: Member | None = None
    """The copy of a sidecar beside the output."""
    sidecars: Mapping[str, Member] = field(default_factory=dict)
    """By name, the sidecars of the scan that the row names, where they are at hand or can be fetched."""

    @property
    def members(self) -> Sequence[Member]:
        """All its files. A sidecar of a scan is also that of its own row, under the same path."""
        return [each for each in (self.output, self.sidecar, self.source, *self.sidecars.values()) if each is not None]


@dataclass(frozen=True)
class Contents:
    """All that goes into a package, before it is split into bags."""

    folder: Store
    holdings: Sequence[Holding]
    """By input."""
    manifest: bytes
    record: bytes
    """The retouch record; empty: there is none."""
    report: Sequence[Member]
    renamed: Mapping[str, str]
    """Paths in the package that differ from those in the folder, and the latter."""
    warnings: Sequence[str]
    findings: Sequence[Finding]
    """Why it cannot be packaged."""

    def is_changed(self) -> bool:
        """Return whether a run has changed the folder since it was read.

        Raises:
            OutputUnwritableError, StoreUnavailableError: it cannot be read.

        """
        return _bytes_of(self.folder, MANIFEST_NAME) != self.manifest


def contents_of(job: PackageJob, folder: Store, destination: Store) -> Contents:
    """Return what goes into a package, after the checks that need no reading of pictures.

    Raises:
        UsageError: the folder has no manifest, the scans do not exist, or a place is inside another.
        OutputUnwritableError, StoreUnavailableError: a folder cannot be read.

    """
    refuse_without_rows(folder)
    _refuse_intersection(folder, destination)
    manifest = _bytes_of(folder, MANIFEST_NAME)  # before the rows: a run that ends in between is noticed
    rows = rows_of(folder)
    retouches = {} if job.ignore_retouch else retouches_of(folder, job.retouch)
    scans = None if job.sources is None else _Scans(open_store(job.sources), destination)
    findings = findings_of_folder(folder, rows, retouches)
    findings += _named_twice(rows.values())
    outputs = names_in_package(name for row in rows.values() for name in _named_by(row))
    sources = names_in_package({*rows, *(name for row in rows.values() for name in row.sidecars)})
    holdings = []
    for name in sorted(rows):
        row = rows[name]
        output = None if row.output is None else _output(row, folder, outputs, findings)
        copy = None if row.sidecar_output is None else _copy(row, folder, outputs, findings)
        beside = _beside(row, job, scans, sources, copy, findings)
        source = _source(row, job, scans, sources[name], findings)
        holdings.append(Holding(row, sources[name], output, source, copy, beside))
    renamed = dict(_renamed(holdings))
    warnings = [f"{len(renamed)} names could not be kept: metadata/renamed.jsonl has them"] if renamed else []
    return Contents(
        folder,
        holdings,
        manifest,
        _record(job, folder),
        _report(folder) if job.with_report else (),
        renamed,
        warnings,
        findings,
    )


def _named_twice(rows: Iterable[Row]) -> Iterator[Finding]:
    """Yield a finding for each output that several rows name, or that is named like a record."""
    seen = {MANIFEST_NAME, RETOUCH_NAME}
    for name in (name for row in rows for name in _named_by(row)):
        if name in seen:
            yield Finding(name, "several rows name it as their output, or it is a record")
        seen.add(name)


def _named_by(row: Row) -> Iterator[str]:
    """Yield the names of the files that a row has in the output folder, whether their hashes are known or not."""
    yield from (name for name in (row.output, row.sidecar_output) if name is not None)


def _record(job: PackageJob, folder: Store) -> bytes:
    """Return the retouch record that the run was made with; empty: there is none.

    Raises:
        UsageError, OutputUnwritableError, StoreUnavailableError: it cannot be read.

    """
    if job.ignore_retouch:
        return b""
    if job.retouch is None:
        return record_in(folder)
    try:
        return job.retouch.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the retouch record {job.retouch}: {reason_of(error)}") from error


class _Scans:
    """The folder of the scans, listed once."""

    def __init__(self, store: Store, destination: Store) -> None:
        _refuse_intersection(store, destination)
        self.store = store
        self.keys = {each.name: each.key for each in store.walk(destination) if not each.is_folder and not each.problem}


def _refuse_intersection(folder: Store, destination: Store) -> None:
    """Raise if a folder to read and the destination are the same, or one is inside the other.

    Raises:
        UsageError: they are.

    """
    try:
        folder.refuse_intersection(destination)
    except UsageError as error:
        raise UsageError(
            f"{destination.shown} and {folder.shown} are the same, or one is inside the other",
            advice="Choose a destination outside the folders that are packaged.",
        ) from error


def _output(row: Row, folder: Store, names: Mapping[str, str], findings: list[Finding]) -> Member | None:
    assert row.output is not None
    state = folder.state(row.output)
    if state is None:
        findings.append(Finding(row.output, "the output cannot be read: it is not there"))
        return None
    if state.bytes != row.output_bytes and row.output_bytes is not None:
        findings.append(Finding(row.output, "the output was altered after it was made"))
        return None
    return Member(f"{OUTPUTS}/{names[row.output]}", state.bytes, folder, row.output, sha256=row.output_sha256)


def _copy(row: Row, folder: Store, names: Mapping[str, str], findings: list[Finding]) -> Member | None:
    """Return the copy of a sidecar, whose size no row says."""
    assert row.sidecar_output is not None
    state = folder.state(row.sidecar_output)
    if state is None:
        findings.append(Finding(row.sidecar_output, "the copy of a sidecar cannot be read: it is not there"))
        return None
    path = f"{OUTPUTS}/{names[row.sidecar_output]}"
    return Member(path, state.bytes, folder, row.sidecar_output, sha256=row.sidecar_output_sha256)


def copied_sidecar(row: Row) -> str | None:
    """Return the name of the sidecar that was copied beside an output, unchanged; ``None``: none, or not known."""
    is_copied = row.sidecar_output is not None and row.settings.get("sidecars") == "copy" and len(row.sidecars) == 1
    return row.sidecars[0] if is_copied else None


def _beside(
    row: Row,
    job: PackageJob,
    scans: _Scans | None,
    names: Mapping[str, str],
    copy: Member | None,
    findings: list[Finding],
) -> Mapping[str, Member]:
    """Return the sidecars that a row names, as they go into the package, or are fetched.

    Only of one that was copied does the row say the hash, and its copy the size.

    Args:
        row: of the picture.
        job: what is asked for.
        scans: the folder of the scans; ``None``: not given.
        names: paths below the sources in the package, by name.
        copy: that of the sidecar; ``None``: there is none.
        findings: receives what is missing.

    """
    found = {}
    for name in row.sidecars:
        known = copy if name == copied_sidecar(row) else None
        sha256 = None if known is None else known.sha256
        path = f"{SOURCES}/{names[name]}"
        if scans is not None and name in scans.keys:
            key = scans.keys[name]
            state = scans.store.state(key)
            found[name] = Member(path, state.bytes if state else 0, scans.store, key, sha256=sha256)
        elif job.sources_url is not None:
            if known is not None and sha256 is not None:
                found[name] = Member(path, known.size, sha256=sha256, url=url_below(job.sources_url, name))
        elif scans is not None:
            findings.append(Finding(name, "the sidecar cannot be read: it is not there"))
    return found


def _source(row: Row, job: PackageJob, scans: _Scans | None, name: str, findings: list[Finding]) -> Member | None:
    """Return the scan of a row as it goes into the package, or is fetched; ``None``: it does neither."""
    path = f"{SOURCES}/{name}"
    if scans is not None and row.input in scans.keys:
        key = scans.keys[row.input]
        state = scans.store.state(key)
        return Member(path, row.input_bytes or (state.bytes if state else 0), scans.store, key, sha256=row.input_sha256)
    if row.input_sha256 is None:  # no picture, or one that could not be read
        return None
    if job.sources_url is not None and row.input_bytes is not None:
        return Member(path, row.input_bytes, sha256=row.input_sha256, url=url_below(job.sources_url, row.input))
    if scans is not None:
        findings.append(Finding(row.input, "the source cannot be read: it is not there"))
    return None


def url_below(base: str, name: str) -> str:
    """Return the URL of a file below an address; bytes of its name that are not UTF-8 are percent-encoded as such."""
    return f"{base.rstrip('/')}/{quote(os.fsencode(name))}"


def _bytes_of(folder: Store, name: str) -> bytes:
    """Return a record of the folder; empty: there is none.

    Raises:
        OutputUnwritableError, StoreUnavailableError: it cannot be read.

    """
    try:
        return folder.read(name)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise folder.unavailable(error) from error


def _report(folder: Store) -> list[Member]:
    """Return the files of the report.

    Raises:
        UsageError: there is none.

    """
    names = [name for name in folder.names([]) if is_part_of_report(name)] if folder.has_report() else []
    if not names:
        raise UsageError(f"{folder.shown} has no report", advice="Write it first: colorbatch report OUTPUT")
    states = {name: folder.state(name) for name in sorted(names)}
    return [Member(f"{OUTPUTS}/{name}", state.bytes, folder, name) for name, state in states.items() if state]


def _renamed(holdings: Iterable[Holding]) -> Iterator[tuple[str, str]]:
    for each in holdings:
        row = each.row
        told = (
            (each.output, OUTPUTS, row.output),
            (each.sidecar, OUTPUTS, row.sidecar_output),
            (each.source, SOURCES, row.input),
        )
        for member, folder, name in told:
            if member is not None and name is not None and member.path != f"{folder}/{to_utf_8(name)}":
                yield member.path, to_utf_8(name)
