"""Walk the source, and plan an output for every file in it before the first is read."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal

from colorbatch.errors import UsageError, reason_of
from colorbatch.formats.kinds import (
    PICTURE_EXTENSIONS,
    SNIFFED,
    is_evicted_picture,
    is_unsupported_picture,
    lacks_extra,
    output_extension,
    sniff,
)
from colorbatch.records.retouch import Retouch, Retouches
from colorbatch.run.output_names import family_of, free_name, namesakes
from colorbatch.run.sidecars import SIDECAR_EXTENSION, File, Sidecar, name_of_copy, read_sidecars, sidecars_of
from colorbatch.shard import Shard
from colorbatch.store.store import Entry, Store
from colorbatch.text import printable

logger = logging.getLogger(__name__)

Verdict = Literal["colour", "skipped", "failed"]
NOT_SELECTED = "not in the list given with --only"
"""Reason of an excluded source; its row and whatever an earlier run made of it are kept."""
NOT_DOWNLOADED = "it is in iCloud, not on this disk. Download it in the Finder or in Files."
NOT_A_PICTURE = "not a picture file name"
A_SIDECAR = "an XMP sidecar of a picture"
NOT_SUPPORTED = "not a supported kind"
RAW_NOT_READ = "a raw file; to have them developed: pip install 'colorbatch[raw]'"
"""Reasons of sources whose extensions are not those of a kind that is read; the last two are pictures."""
_OF_PICTURES = frozenset({NOT_SUPPORTED, RAW_NOT_READ})
_NAMES_SHOWN = 3
_LENIENT = "Without --strict-match, this is only a warning."
_HEADS_AT_ONCE = 16
"""Number of sources of a remote store whose first bytes are read concurrently: small requests that mostly wait."""
_CHUNK = 1000


@dataclass(frozen=True)
class PlannedPicture:
    """A file of the source and the plan for it."""

    key: str
    """Name by which it is read from the store of the source."""
    input: str
    """Path below the source, POSIX style."""
    output_name: str = ""
    """Path below the output folder: that of the source, with an extension appended where it needs another one."""
    verdict: Verdict = "colour"
    """``skipped`` and ``failed`` are decided without reading the file."""
    reason: str = ""
    """Reason for the verdict."""
    bytes: int = 0
    """Size of the file, where it was determined."""
    etag: str | None = None
    """ETag of the file, in a store that has them."""
    namesakes: tuple[str, ...] = ()
    """Names of other outputs that some file systems take for the same name."""
    modified: float | None = None
    """Time of the last change of the file, in seconds since 1970, where it was determined."""
    retouch: Retouch | None = None
    """What a person said about it; ``None``: nothing."""
    sidecars: tuple[Sidecar, ...] = ()
    """XMP files whose names say that they are for it, the more exactly named first."""

    @property
    def possible_outputs(self) -> Sequence[str]:
        """Names that an output may be written to: the planned one, or that of a source that is copied unchanged."""
        names = (self.output_name, self.input) if self.output_name else ()
        return (*names, *map(name_of_copy, names)) if self.sidecars else names


@dataclass(frozen=True)
class EarlierOutput:
    """The output that an earlier run made from a source."""

    etag: str | None
    """ETag of the source; ``None``: a local file, whose content is taken to be of the same kind still."""
    name: str
    """Name of the output."""


def plan_batch(
    source: Store,
    output: Store,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    only: AbstractSet[str] | None = None,
    shard: Shard | None = None,
    earlier: Mapping[str, EarlierOutput] | None = None,
    retouches: Retouches | None = None,
    *,
    strict_match: bool = False,
    reads_sidecars: bool = False,
) -> list[PlannedPicture]:
    """Plan every file of ``source``, or the one file that it is, or the share of one shard, sorted by ``input``.

    Patterns are shell-style (``*``, ``?``, ``[seq]``); one without a slash is compared with the name of a file, one
    with a slash with its path below the source, where ``*`` matches slashes too. ``only`` names sources by their
    ``input``; all others are excluded, with the reason ``NOT_SELECTED``. Sources that have an ``earlier`` output and
    have not changed since are not opened. ``retouches``, by input, become part of the plan; one of a source that does
    not exist is logged as a warning. XMP files beside sources become part of the plan if it ``reads_sidecars``.

    A pattern that matches nothing, and a source without pictures, is logged as a warning, or refused if
    ``strict_match``.

    Nothing is written. Links to folders and links that lead out of the tree are not followed; pipes, sockets and
    devices are never opened.

    Raises:
        UsageError: the source is missing, source and output intersect, ``only`` names files that do not exist, or
            nothing matches.
        StoreUnavailableError: the store of source or output cannot be read.

    """
    if output.is_itself_a_file():
        raise UsageError(f"the output {output.shown} is not a folder")
    source.refuse_intersection(output)
    source.remember_folder()
    found = sorted(map(_planned, source.walk(output)), key=lambda each: each.input)
    for problem in _nothing_found(source, include, exclude, found):
        if strict_match:
            raise UsageError(problem, advice=_LENIENT)
        logger.warning("%s", problem)
    _refuse_unknown(retouches or {}, found, source, strict_match=strict_match)
    found = retouched(found, retouches or {})
    if reads_sidecars:
        found = _with_sidecars(found, source, exclude)
    found = [_selected(each, include, exclude) for each in found]
    if only is not None:
        _refuse_missing(only, found, source)
    plan = _with_outputs(found, source, shard, earlier or {})
    if any(each.verdict == "failed" for each in plan):
        source.refuse_lost()
    source.refuse_within(output, {each.output_name.rpartition("/")[0] for each in plan})
    return [
        each if only is None or each.input in only else replace(each, verdict="skipped", reason=NOT_SELECTED)
        for each in plan
    ]


def _planned(entry: Entry) -> PlannedPicture:
    """Return the plan for a file as far as the listing alone determines it; its output is not named yet."""
    planned = PlannedPicture(entry.key, entry.name)
    if entry.state is not None and not entry.is_folder:
        state = entry.state
        planned = replace(planned, bytes=state.bytes, etag=state.etag, modified=state.modified)
    last = PurePosixPath(entry.name).name
    if entry.problem and (entry.is_folder or not entry.is_failure):
        return replace(planned, verdict="failed" if entry.is_failure else "skipped", reason=entry.problem)
    if not entry.problem and entry.key and is_evicted_picture(last):
        return replace(planned, verdict="failed", reason=NOT_DOWNLOADED)
    if not entry.problem and last.startswith(".") and entry.key:
        return replace(planned, verdict="skipped", reason="a hidden file")
    if entry.key and PurePosixPath(last).suffix.lower() not in PICTURE_EXTENSIONS:
        reason = NOT_SUPPORTED if is_unsupported_picture(last) else NOT_A_PICTURE
        return replace(planned, verdict="skipped", reason=reason)
    if entry.key and not entry.problem and lacks_extra(last):
        return replace(planned, verdict="skipped", reason=RAW_NOT_READ)
    return replace(planned, verdict="failed", reason=entry.problem) if entry.problem else planned


def _refuse_missing(only: AbstractSet[str], found: Sequence[PlannedPicture], source: Store) -> None:
    """Check that all files that a list names exist.

    Raises:
        UsageError: some do not.

    """
    missing = sorted(only - {each.input for each in found})
    if missing:
        raise UsageError(
            f"the list names files that are not in {source.shown}: {_some(missing)}",
            advice="A list has one path per line, below the source, as the report exports it.",
        )


def retouched(plan: Sequence[PlannedPicture], retouches: Retouches) -> list[PlannedPicture]:
    """Return a plan with what a person said about each source, by its input, and nothing else of that kind."""
    return [replace(each, retouch=retouches.get(each.input)) for each in plan]


def _refuse_unknown(
    retouches: Retouches, found: Sequence[PlannedPicture], source: Store, *, strict_match: bool
) -> None:
    """Warn if a person said something about files that do not exist.

    Raises:
        UsageError: that is so, and ``strict_match`` is given.

    """
    unknown = sorted(retouches.keys() - {each.input for each in found})
    if unknown:
        problem = f"the retouch record names files that are not in {source.shown}: {_some(unknown)}"
        if strict_match:
            raise UsageError(problem, advice=_LENIENT)
        logger.warning("%s", problem)


def _with_sidecars(found: Sequence[PlannedPicture], source: Store, exclude: Sequence[str]) -> list[PlannedPicture]:
    """Return the plan with the sidecars of each picture; those that are excluded are not used."""
    beside = [_planned(each) for each in source.list_beside()]
    files = [
        File(each.key, each.input, each.etag)
        for each in (*found, *beside)
        if _is_sidecar(each) and not any(_matches(each.input, pattern) for pattern in exclude)
    ]
    if not files:
        return list(found)
    pictures = (each.input for each in (*found, *beside) if each.verdict != "skipped" or each.reason in _OF_PICTURES)
    sidecars = sidecars_of(pictures, files)
    taken = {each.name for belonging in sidecars.values() for each in belonging}
    return [
        replace(each, reason=A_SIDECAR) if each.input in taken else replace(each, sidecars=sidecars.get(each.input, ()))
        for each in found
    ]


def sidecars_beside(name: str, store: Store) -> tuple[Sidecar, ...]:
    """Return the sidecars of a store that is a single file, read.

    Raises:
        StoreUnavailableError: the store does not respond.

    """
    (planned,) = _with_sidecars([PlannedPicture("", name)], store, ())
    return read_sidecars(name, planned.sidecars, store)


def _is_sidecar(planned: PlannedPicture) -> bool:
    return planned.reason == NOT_A_PICTURE and PurePosixPath(planned.input).suffix.lower() == SIDECAR_EXTENSION


def _some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(map(printable, names[:_NAMES_SHOWN])) + more


def _selected(planned: PlannedPicture, include: Sequence[str], exclude: Sequence[str]) -> PlannedPicture:
    if planned.verdict != "colour":
        return planned
    if any(_matches(planned.input, pattern) for pattern in exclude):
        return replace(planned, verdict="skipped", reason="excluded")
    if include and not any(_matches(planned.input, pattern) for pattern in include):
        return replace(planned, verdict="skipped", reason="not included")
    return planned


def _nothing_found(
    source: Store, include: Sequence[str], exclude: Sequence[str], found: Sequence[PlannedPicture]
) -> Iterator[str]:
    """Yield a sentence if there are no pictures, and for each pattern that matches nothing.

    A pattern for the files of a folder that is skipped as a whole matches it.
    """
    if all(each.verdict == "skipped" for each in found):
        yield f"there are no pictures in {source.shown}" + ("" if found else ": it is empty")
    for option, pattern in (*(("--include", each) for each in include), *(("--exclude", each) for each in exclude)):
        if not any(_matches(each.input, pattern) or _is_below(each, pattern) for each in found):
            yield (
                f"no file matches {option} {printable(pattern)}; case matters, and a pattern with a slash is compared "
                "with the path below the source"
            )


def _is_below(planned: PlannedPicture, pattern: str) -> bool:
    """Return whether a pattern is for everything in a folder that is skipped or cannot be read."""
    return planned.verdict != "colour" and _matches(f"{planned.input}/", pattern)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name if "/" in pattern else name.rsplit("/", 1)[-1], pattern)


def _with_outputs(
    found: list[PlannedPicture], source: Store, shard: Shard | None, earlier: Mapping[str, EarlierOutput]
) -> list[PlannedPicture]:
    """Return the plan, or the share of one shard, with a unique name for each output.

    The first bytes of every picture are read, since its content decides, not its name; outside the shard, only where
    names of outputs could collide.
    """
    mine = {each.input for each in found if shard is None or shard.holds(each.input)}
    families = {family_of(each.input) for each in found if each.input in mine}
    planned = _all_sniffed([each for each in found if family_of(each.input) in families], source, earlier)
    taken = {each.input for each in planned}  # a copy has the name of its source, and so may one of an earlier run
    for index, each in enumerate(planned):
        name = each.output_name
        if name in ("", each.input):
            continue
        name = free_name(each.input, name.removeprefix(each.input), taken)
        taken.add(name)
        planned[index] = replace(each, output_name=name)
    planned = _with_namesakes(planned, [each.input for each in found if each.input not in mine])
    return [each for each in planned if each.input in mine]


def _with_namesakes(planned: list[PlannedPicture], others: list[str]) -> list[PlannedPicture]:
    """Return the plan with the names of other outputs that may be the same on some file systems."""
    alike = namesakes([each.output_name for each in planned] + others)
    if not alike:
        return planned
    return [replace(each, namesakes=tuple(alike.get(each.output_name, ()))) for each in planned]


def _all_sniffed(
    found: Sequence[PlannedPicture], source: Store, earlier: Mapping[str, EarlierOutput]
) -> list[PlannedPicture]:
    """Return the plan with outputs named as the content of each picture requires, which need not be unique."""

    def sniffed(planned: PlannedPicture) -> PlannedPicture:
        return _sniffed(planned, source, earlier.get(planned.input)) if planned.verdict == "colour" else planned

    if not source.is_remote:
        return list(map(sniffed, found))
    with ThreadPoolExecutor(_HEADS_AT_ONCE) as pool:
        starts = range(0, len(found), _CHUNK)
        return [each for start in starts for each in pool.map(sniffed, found[start : start + _CHUNK])]


def _sniffed(planned: PlannedPicture, source: Store, earlier: EarlierOutput | None) -> PlannedPicture:
    if earlier is not None and earlier.etag == planned.etag and earlier.name.startswith(planned.input):
        return replace(planned, output_name=earlier.name)
    try:
        head = source.head(planned.key, SNIFFED)
    except OSError as error:
        return replace(planned, verdict="failed", reason=f"cannot read the file: {reason_of(error)}")
    kind = sniff(head.start)
    appended = output_extension(kind, PurePosixPath(planned.input).suffix) if kind else ""
    return replace(planned, output_name=planned.input + appended, bytes=head.size, modified=head.modified)
