"""Walk the source, and plan an output for every file in it before the first is read."""

import os
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from colorbatch.errors import UsageError
from colorbatch.formats.kinds import PICTURE_EXTENSIONS, SNIFFED, output_extension, sniff
from colorbatch.location import Location, overlaps, shown
from colorbatch.overlap import identities, identity, refuse_overlap, refuse_source_among
from colorbatch.progress import printable
from colorbatch.reading import open_regular, read_regular
from colorbatch.report_folder import MARKER_NAME, REPORT_FOLDER, is_report
from colorbatch.shard import Shard
from colorbatch.store.keys import names_of, refusal
from colorbatch.store.remote import RemoteStore
from colorbatch.store.remote_file import RemoteFile

if TYPE_CHECKING:
    from upath import UPath

LONGEST_NAME = 255
"""Bytes of a file name on the usual file systems."""
_LONG_NAME = 150
"""Bytes of a file name that leave room for some twenty endings."""
Verdict = Literal["colour", "skipped", "failed"]
UNLISTED = "not in the list given with --only"
"""Why a source is left aside: whatever an earlier run made of it, and its row, stand."""
_NAMES_SHOWN = 3
_LOOKED_AT_ONCE = 16
"""Sources of a store of which the first bytes are read at the same time: each is little, and waits for an answer."""
_LISTED_AT_ONCE = 1000


@dataclass(frozen=True)
class PlannedPicture:
    """A file of the source and what is to become of it."""

    source: Path | RemoteFile
    input: str
    """Path below the source, POSIX style."""
    output_name: str = ""
    """Path below the output folder: that of the source, with an ending appended where it needs another one."""
    verdict: Verdict = "colour"
    """``skipped`` and ``failed`` are settled without reading the file."""
    reason: str = ""
    """Why it was settled."""
    bytes: int = 0
    """Of the file, where it was looked into."""
    etag: str | None = None
    """Of the file, where it lies in a store that says one."""

    def output(self, folder: Path) -> Path:
        """Return where the output belongs below ``folder``."""
        return folder / self.output_name


@dataclass(frozen=True)
class Known:
    """What an earlier run left of a source in a store."""

    etag: str
    """Of the source."""
    output: str


def read_source(planned: PlannedPicture) -> bytes:
    """Return the file of a planned picture, whole.

    Raises:
        OSError: it cannot be read, or is no regular file any more.

    """
    return read_regular(planned.source) if isinstance(planned.source, Path) else planned.source.read_bytes()


def plan_batch(
    source: Location,
    output: Location,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    only: AbstractSet[str] | None = None,
    shard: Shard | None = None,
    known: Mapping[str, Known] | None = None,
) -> list[PlannedPicture]:
    """Plan every file below ``source``, or the one file that it is, or the share of one shard, sorted by ``input``.

    Patterns are shell-style (``*``, ``?``, ``[seq]``); one without a slash is compared with the name of a file, one
    with a slash with its path below the source, in which ``*`` stands for slashes too. ``only`` names sources by their
    ``input``; all others are left aside, with the reason ``UNLISTED``. Sources of a store that are ``known`` by their
    ``input`` and have not changed are not looked into.

    Nothing is written. Links to folders and links that lead out of the tree are not followed; pipes, sockets and
    devices are never opened.

    Raises:
        UsageError: the source is missing, source and output overlap, or ``only`` names what is not there.
        StoreUnavailableError: the source, or the output, lies in a store that cannot be looked at.

    """
    found = [_chosen(each, include, exclude) for each in _found(source, output)]
    if only is not None:
        _refuse_missing(only, found, source)
    plan = _with_outputs(found, shard, known or {})
    if isinstance(source, Path) and isinstance(output, Path):
        refuse_source_among({each.output_name.rpartition("/")[0] for each in plan}, source, output)
    return [
        each if only is None or each.input in only else replace(each, verdict="skipped", reason=UNLISTED)
        for each in plan
    ]


def _found(source: Location, output: Location) -> list[PlannedPicture]:
    """Return every file of the source, sorted; what its output is called is not known yet."""
    if not isinstance(output, Path) and RemoteStore(output).is_itself_a_file():
        raise UsageError(f"the output {shown(output)} is not a folder")
    found = _found_here(source, output) if isinstance(source, Path) else _found_in_store(source, output)
    return sorted(found, key=lambda each: each.input)


def _found_here(source: Path, output: Location) -> list[PlannedPicture]:
    try:
        if not source.exists():
            raise UsageError(f"the source {source} is not there")
        if isinstance(output, Path):
            with suppress(FileNotFoundError):
                output.lstat()  # raises for a name that is too long or a link that leads to itself
            if output.exists() and not output.is_dir():
                raise UsageError(f"the output {output} is not a folder")
        if source.is_dir():
            if isinstance(output, Path):
                refuse_overlap(source, output)
            return list(_walk(source, output if isinstance(output, Path) else None))
        if not source.is_file():
            raise UsageError(f"the source {source} is neither a folder nor a regular file")
        if isinstance(output, Path) and output.exists() and output.samefile(source.resolve().parent):
            raise UsageError(f"the output {output} is the folder of the source {source.name}")
        return [PlannedPicture(source, source.name)]
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        raise UsageError(f"cannot look at {source} and {output}: {error}") from error


def _found_in_store(source: "UPath", output: Location) -> list[PlannedPicture]:
    store = RemoteStore(source)
    states = store.states()
    if not states:
        raise UsageError(
            f"the source {shown(source)} is not there, or holds nothing",
            advice="A store has no empty folders. Check bucket, path and upper and lower case.",
        )
    if set(states) == {""}:
        if not isinstance(output, Path) and overlaps(source.parent, output, is_same=True):
            raise UsageError(f"the output {shown(output)} is the folder of the source {source.name}")
        return [_of_store(RemoteFile(store, "", states[""]), source.name)]
    if not isinstance(output, Path) and overlaps(source, output):
        raise UsageError(
            f"of the source {shown(source)} and the output {shown(output)} one is the other or lies in it",
            advice="Choose an output folder outside of the source, and a source outside of the output.",
        )
    states = {name: state for name, state in states.items() if name}
    names = names_of(states)
    aside: dict[str, PlannedPicture] = {}
    found = []
    for key, state in states.items():
        folder, reason = _folder_to_skip(key, states)
        if folder:
            aside[folder] = PlannedPicture(RemoteFile(store, key, state), folder, verdict="skipped", reason=reason)
        else:
            found.append(_of_store(RemoteFile(store, key, state), names[key]))
    return [*found, *aside.values()]


def _of_store(file: RemoteFile, name: str) -> PlannedPicture:
    planned = PlannedPicture(file, name, bytes=file.state.bytes, etag=file.state.etag)
    last = PurePosixPath(name).name
    if not file.state.is_file:
        return replace(planned, verdict="skipped", reason="not a regular file")
    if last.startswith(".") and not refusal(file.name or last):
        return replace(planned, verdict="skipped", reason="a hidden file")
    if PurePosixPath(last).suffix.lower() not in PICTURE_EXTENSIONS:
        return replace(planned, verdict="skipped", reason="not named as a picture")
    reason = refusal(file.name or last)
    return replace(planned, verdict="failed", reason=reason) if reason else planned


def _folder_to_skip(key: str, keys: Mapping[str, object]) -> tuple[str, str]:
    """Return the outermost folder of a key that is left out as a whole, and why; empty texts: none is."""
    parts = key.split("/")[:-1]
    for index, part in enumerate(parts):
        folder = "/".join(parts[: index + 1])
        if part in ("", ".", ".."):
            return "", ""
        if part.startswith("."):
            return folder, "a hidden folder"
        if part == REPORT_FOLDER and f"{folder}/{MARKER_NAME}" in keys:
            return folder, "a report of colorbatch"
    return "", ""


def _refuse_missing(only: AbstractSet[str], found: Sequence[PlannedPicture], source: Location) -> None:
    """Raise where a list names what is not there.

    Raises:
        UsageError: it does.

    """
    missing = sorted(only - {each.input for each in found})
    if missing:
        more = f" and {len(missing) - _NAMES_SHOWN} more" if len(missing) > _NAMES_SHOWN else ""
        named = ", ".join(map(printable, missing[:_NAMES_SHOWN]))
        raise UsageError(
            f"the list names files that are not in {shown(source)}: {named}{more}",
            advice="It has one path a line, below the source, as the report exports it.",
        )


def picture_files(folder: Path) -> list[Path]:
    """Return the files below ``folder`` that are named as pictures, sorted.

    Raises:
        UsageError: it is not a folder, or there are none.

    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_EXTENSIONS and path.is_file())
    if not paths:
        raise UsageError(f"no pictures in {folder}", advice=f"Known endings: {' '.join(sorted(PICTURE_EXTENSIONS))}")
    return paths


def evenly(paths: Sequence[Path], limit: int | None) -> Sequence[Path]:
    """Return at most ``limit`` of the paths, spread evenly over them."""
    if limit is None or limit >= len(paths):
        return paths
    return [paths[index * len(paths) // limit] for index in range(limit)]


def _chosen(planned: PlannedPicture, include: Sequence[str], exclude: Sequence[str]) -> PlannedPicture:
    if planned.verdict != "colour":
        return planned
    if any(_matches(planned.input, pattern) for pattern in exclude):
        return replace(planned, verdict="skipped", reason="excluded")
    if include and not any(_matches(planned.input, pattern) for pattern in include):
        return replace(planned, verdict="skipped", reason="not included")
    return planned


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name if "/" in pattern else name.rsplit("/", 1)[-1], pattern)


def _with_outputs(found: list[PlannedPicture], shard: Shard | None, known: Mapping[str, Known]) -> list[PlannedPicture]:
    """Return what is planned, or the share of one shard, with a name for each output; no two of all are the same.

    The first bytes of every picture are read, since its content decides, not its name; of those outside of the shard
    only where their outputs could meet.
    """
    mine = {each.input for each in found if shard is None or shard.holds(each.input)}
    families = {_family(each.input) for each in found if each.input in mine}
    planned = _all_sniffed([each for each in found if _family(each.input) in families], known)
    taken = {each.output_name for each in planned if each.output_name == each.input}
    for index, each in enumerate(planned):
        name = each.output_name
        if name in ("", each.input):
            continue
        name = _free_name(each.input, name.removeprefix(each.input), taken)
        taken.add(name)
        planned[index] = replace(each, output_name=name)
    return [each for each in planned if each.input in mine]


def _family(name: str) -> str:
    """Return what is the same for all sources whose outputs could have the same name: theirs without its endings.

    Names so long that :func:`_free_name` may cut them are of one family in each folder.
    """
    folder, slash, last = name.rpartition("/")
    if len(os.fsencode(last)) > _LONG_NAME:
        return folder + slash
    stem, dot, ending = last.rpartition(".")
    while (dot + ending).lower() in PICTURE_EXTENSIONS:
        last = stem
        stem, dot, ending = last.rpartition(".")
    return folder + slash + last


def _free_name(name: str, extension: str, taken: set[str]) -> str:
    """Return ``name`` with ``extension`` appended until it is not taken, and cut where it would be too long."""
    folder, slash, last = name.rpartition("/")
    candidates = (folder + slash + _cut(last, extension * times) for times in count(1))
    return next(candidate for candidate in candidates if candidate not in taken)


def _cut(stem: str, ending: str) -> str:
    while len(os.fsencode(stem + ending)) > LONGEST_NAME:
        stem = stem[:-1]
    return stem + ending


def _all_sniffed(found: Sequence[PlannedPicture], known: Mapping[str, Known]) -> list[PlannedPicture]:
    """Return what is to be coloured with its output named, as far as its own content decides on that."""

    def sniffed(planned: PlannedPicture) -> PlannedPicture:
        return _sniffed(planned, known.get(planned.input)) if planned.verdict == "colour" else planned

    if all(isinstance(each.source, Path) for each in found):
        return list(map(sniffed, found))
    with ThreadPoolExecutor(_LOOKED_AT_ONCE) as pool:
        starts = range(0, len(found), _LISTED_AT_ONCE)
        return [each for start in starts for each in pool.map(sniffed, found[start : start + _LISTED_AT_ONCE])]


def _sniffed(planned: PlannedPicture, known: Known | None) -> PlannedPicture:
    if known is not None and known.etag == planned.etag and known.output.startswith(planned.input):
        return replace(planned, output_name=known.output)
    try:
        if isinstance(planned.source, Path):
            with open_regular(planned.source) as file:
                start, size = file.read(SNIFFED), os.fstat(file.fileno()).st_size
        else:
            start, size = planned.source.head(SNIFFED), planned.bytes
    except OSError as error:
        return replace(planned, verdict="failed", reason=f"cannot read the file: {error.strerror or error}")
    kind = sniff(start)
    appended = output_extension(kind, planned.source.suffix) if kind else ""
    return replace(planned, output_name=planned.input + appended, bytes=size)


def _walk(root: Path, output: Path | None) -> Iterator[PlannedPicture]:
    """Yield what is in the source.

    Raises:
        UsageError: a folder in it is, by a second mount, the output or holds it.

    """
    real_root = root.resolve()
    places = frozenset() if output is None else identities(output)
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            yield _plan(root, folder, "failed", f"cannot read the folder: {error.strerror}")
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if identity(os.lstat(path)) in places:
                    raise UsageError(
                        f"the output {output} lies in the source {root}, by a second mount: it is {path}, or in it",
                        advice="Choose an output folder outside of the source.",
                    )
                if path.name.startswith("."):
                    yield _plan(root, path, "skipped", "a hidden folder")
                elif is_report(path):
                    yield _plan(root, path, "skipped", "a report of colorbatch")
                else:
                    folders.append(path)
            else:
                yield _plan_entry(root, real_root, path, entry)


def _plan_entry(root: Path, real_root: Path, path: Path, entry: "os.DirEntry[str]") -> PlannedPicture:
    reason = _reason_to_skip(real_root, path, entry)
    return _plan(root, path, "skipped", reason) if reason else _plan(root, path)


def _reason_to_skip(real_root: Path, path: Path, entry: "os.DirEntry[str]") -> str:
    """Return why an entry that is no folder is left out; empty for a picture."""
    if entry.is_symlink():
        target = Path(os.path.realpath(path))  # unlike resolve, it bears a link that leads to itself
        if not target.is_file():
            return "a link to a folder" if target.is_dir() else "a link to no file"
        if not target.is_relative_to(real_root):
            return "a link out of the source"
    elif not entry.is_file():
        return "not a regular file"
    if path.name.startswith("."):
        return "a hidden file"
    return "" if path.suffix.lower() in PICTURE_EXTENSIONS else "not named as a picture"


def _plan(root: Path, path: Path, verdict: Verdict = "colour", reason: str = "") -> PlannedPicture:
    return PlannedPicture(path, path.relative_to(root).as_posix(), verdict=verdict, reason=reason)
