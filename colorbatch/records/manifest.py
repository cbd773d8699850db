"""The record of a run: one row per source, in a journal while it runs and in the manifest afterwards."""

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import TracebackType
from typing import NamedTuple

from colorbatch.errors import UsageError
from colorbatch.records.row import Row
from colorbatch.records.state_folder import (
    STATE_FOLDER,
    StateFile,
    journal_name,
    open_journal,
    record_name,
    state_files,
)
from colorbatch.shard import Shard
from colorbatch.store.store import Store
from colorbatch.text import to_locale, to_utf_8

logger = logging.getLogger(__name__)

MANIFEST_NAME = "colorbatch-manifest.jsonl"
_ANNOUNCEMENT = b'{"announced"'
"""Start of the journal lines that are not rows: an output is about to be written."""
_DAMAGE = ValueError, TypeError, KeyError, RecursionError
"""Errors of lines that were truncated by a crash, or altered."""


class Manifest:
    """The rows of an output folder: those of earlier runs, and those added by this one."""

    def __init__(
        self,
        output: Store,
        shard: Shard | None = None,
        possible_outputs: AbstractSet[str] = frozenset(),
        purpose: str = "a run",
    ) -> None:
        """Open the journal of this run, which excludes others, and read the records of earlier ones, finished or not.

        Shards of the same split may run at the same time; a run over all sources runs alone.

        Args:
            output: the store of the outputs.
            shard: the share of the sources that this run processes; ``None``: all.
            possible_outputs: names that the job may write, in addition to those in rows.
            purpose: what this process does with the folder, for others that find it held.

        Raises:
            OutputInUseError: another run is using the folder.
            OutputUnwritableError: the output folder cannot be written.
            StoreUnavailableError: its store does not respond, or refuses.

        """
        self._output = output
        self._shard = shard
        self._journal = open_journal(output, shard, purpose)
        try:
            rows = rows_of(output, shard)
            self.previous: Mapping[str, Row] = {**rows, **_completed_rows(output, rows, shard)}
            self.outputs = _known_outputs(output, self.previous, shard)
            if shard is None:  # a shard does not know what the others are writing
                remove_left_behind(output, possible_outputs | self.outputs.keys())
        except BaseException:
            self._journal.close()
            raise
        self._rows: dict[str, Row] = {}

    def append(self, row: Row, *, is_durable: bool = True) -> None:
        """Append a row. Call it after the output is in place, never before.

        Args:
            row: of a source.
            is_durable: whether the row is on disk before this returns; not needed without an output, since the next
                run repeats the work after a power failure.

        Raises:
            OutputUnwritableError: the disk is full or gone.
            OutputInUseError: another run considered this one, which writes to a store, dead and took over.

        """
        self._journal.add(row.to_json(), is_durable=is_durable)
        self._rows[row.input] = row

    def announce(self, output: str, sha256: str, row: Row | None = None) -> None:
        """Record that an output is about to be written, so that it is recognised as ours even without a row.

        Args:
            output: its name.
            sha256: its hash.
            row: the row that it will have. If the process is killed before that is appended, but after the output was
                written, it is completed when the records are opened again; ``None``: it has none of its own.

        Raises:
            OutputUnwritableError: the disk is full or gone.

        """
        self._journal.announce(announcement(output, sha256, row))

    def announce_row(self, row: Row) -> None:
        """Announce an output that is signed anew, also in a store.

        Signatures differ each time, so that no later run could recognise the output by its hash.

        Raises:
            OutputUnwritableError: the disk is full or gone.

        """
        self._journal.add(announcement(str(row.output), str(row.output_sha256), row))

    def __contains__(self, input_name: object) -> bool:
        """Return whether this run has appended a row for that input."""
        return input_name in self._rows

    def finish(self, remaining: Iterable[Row] = (), *, keep_shards: bool = False) -> None:
        """Write the manifest, or the record of the shard, sorted by input, and delete what it replaces.

        Args:
            remaining: rows of the sources that this run did not reach.
            keep_shards: keep the records and journals of shards for a later merge.

        Raises:
            OutputUnwritableError: the disk is full or gone; the journal is then kept.
            OutputInUseError: another run considered this one, which writes to a store, dead and took over the journal.

        """
        self._write(remaining, keep_shards=keep_shards)
        self._journal.delete()

    def checkpoint(self, remaining: Iterable[Row]) -> None:
        """Write the manifest as :meth:`finish` does, and go on: its rows are now those of an earlier run.

        Raises:
            OutputUnwritableError: the disk is full or gone; the journal is then kept.
            OutputInUseError: as for :meth:`finish`.

        """
        self.previous = self._write(remaining)
        self._journal.clear()
        for row in self._rows.values():
            for name, sha256 in row.outputs:
                self.outputs[name] = {sha256}
        self._rows = {}

    def _write(self, remaining: Iterable[Row], *, keep_shards: bool = False) -> dict[str, Row]:
        rows = {row.input: row for row in remaining} | self._rows
        name = MANIFEST_NAME if self._shard is None else record_name(self._shard)
        self._journal.hold()
        self._output.write(name, b"".join(rows[key].to_json() for key in sorted(rows)), may_replace=True)
        if self._shard is None and not keep_shards:
            with contextlib.suppress(OSError):  # one that remains contains nothing new for the next run
                for each in state_files(self._output):
                    if each.name != journal_name(None):
                        each.file.delete()
        return rows

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._journal.close()


def remove_left_behind(output: Store, outputs: AbstractSet[str]) -> None:
    """Remove incomplete files of killed processes; call it when no other process writes to the output folder.

    Args:
        output: the store of the outputs.
        outputs: names below it that are ours; other programs may be uploading to other names.

    """

    def is_ours(name: str) -> bool:
        return name in outputs or name == MANIFEST_NAME or name.startswith(f"{STATE_FOLDER}/")

    try:
        output.remove_left_behind(is_ours)
    except OSError as error:
        raise output.unavailable(error) from error


def rows_of(output: Store, shard: Shard | None = None) -> Mapping[str, Row]:
    """Return the rows of an output folder by input; those of unfinished runs and shards override the manifest.

    Args:
        output: the store of the outputs.
        shard: the share of the sources needed; records of sibling shards are not read; ``None``: all.

    Raises:
        OutputUnwritableError: they cannot be read.
        StoreUnavailableError: they cannot be read from a store.

    """
    files = state_files_for(output, shard)
    rows = {row.input: row for row in _rows_in(_manifest_lines(output), MANIFEST_NAME)}
    for each in files:
        rows |= {row.input: row for row in read_rows(output, each)}
    return rows


def state_files_for(output: Store, shard: Shard | None) -> Sequence[StateFile]:
    """Return the state files relevant to a shard, or all, the latest last."""
    try:
        return [each for each in state_files(output) if not each.is_sibling_shard(shard)]
    except OSError as error:
        raise output.unavailable(error) from error


def _known_outputs(output: Store, rows: Mapping[str, Row], shard: Shard | None) -> dict[str, set[str]]:
    """Return the sha256 values of the outputs written under each name, from rows and announcements of killed runs."""
    found: dict[str, set[str]] = {}
    for each in state_files_for(output, shard):
        if each.is_journal:
            for note in announced_in(_lines(output, each)):
                found.setdefault(note.output, set()).add(note.sha256)
    for row in rows.values():
        for name, sha256 in row.outputs:
            found.setdefault(name, set()).add(sha256)
    return found


def _completed_rows(output: Store, rows: Mapping[str, Row], shard: Shard | None) -> dict[str, Row]:
    """Return the rows that killed processes announced and whose outputs they wrote, but did not append, by input."""
    waiting: dict[str, bytes] = {}
    for each in state_files_for(output, shard):
        for line in _lines(output, each) if each.is_journal else ():
            with contextlib.suppress(*_DAMAGE):  # truncated by a crash
                values = json.loads(line)
                if "announced" not in values:
                    waiting.pop(values["input"], None)
                elif "row" in values:
                    waiting[values["row"]["input"]] = line
    announced = [each.row for each in announced_in(waiting.values()) if each.row is not None]
    return {row.input: row for row in announced if _is_written(row, rows.get(row.input), output)}


def _is_written(row: Row, earlier: Row | None, output: Store) -> bool:
    """Return whether all that a row names was written, in the place of all that an earlier row names."""
    names = {name for name, _ in row.outputs}
    if earlier is not None and earlier.outputs == row.outputs:
        return False  # it was appended, in another file
    if earlier is not None and not names.issuperset(name for name, _ in earlier.outputs):
        return False  # what has another name now was not removed yet
    return bool(names) and all(output.sha256(name) == sha256 for name, sha256 in row.outputs)


def announcement(output: str, sha256: str, row: Row | None = None) -> bytes:
    """Return the journal line saying that an output is about to be written, and perhaps which row it will have."""
    note: dict[str, object] = {"announced": to_utf_8(output), "output_sha256": sha256}
    if row is not None:
        note["row"] = json.loads(row.to_json())
    return json.dumps(note, sort_keys=True).encode("ascii") + b"\n"


class Announcement(NamedTuple):
    """Note that an output is about to be written."""

    output: str
    """Its name."""
    sha256: str
    row: Row | None
    """The row that it will have; ``None``: it has none of its own."""


def announced_in(lines: Iterable[bytes]) -> Iterator[Announcement]:
    """Yield the announcements in the lines of a journal."""
    for line in lines:
        with contextlib.suppress(*_DAMAGE):  # truncated by a crash: then nothing was written
            if line.startswith(_ANNOUNCEMENT):
                values = json.loads(line)
                yield Announcement(to_locale(values["announced"]), str(values["output_sha256"]), _row_in(values))


def _row_in(announced: Mapping[str, object]) -> Row | None:
    with contextlib.suppress(*_DAMAGE):  # it has none, or was altered
        return Row.from_json(json.dumps(announced["row"]).encode("ascii"))
    return None


def is_unfinished(output: Store) -> bool:
    """Return whether a run is using an output folder, or was killed there."""
    return any(each.is_journal for each in state_files_for(output, None))


def holder_of(output: Store) -> str:
    """Return a description of the process that is using an output folder; empty if none is.

    Raises:
        OutputUnwritableError: that cannot be determined.
        StoreUnavailableError: that cannot be determined in a store.

    """
    try:
        held = next((each for each in state_files_for(output, None) if each.is_held), None)
        holder = "" if held is None else held.file.holder
    except OSError as error:
        raise output.unavailable(error) from error
    return holder if held is None else holder or "another process"


def is_unmerged(output: Store) -> bool:
    """Return whether an output folder contains shards not yet merged into the manifest."""
    return any(each.shard is not None for each in state_files_for(output, None))


def refuse_without_rows(output: Store) -> None:
    """Raise if an output folder has no records of a run.

    Raises:
        UsageError: the folder has neither a manifest nor the journal or record of a run.
        StoreUnavailableError: its store does not respond, or refuses.

    """
    if _manifest_bytes(output) is None and not state_files_for(output, None):
        raise UsageError(
            f"{output.shown} has no {MANIFEST_NAME}",
            advice="Give an output folder of colorbatch run.",
        )


def read_rows(output: Store, file: StateFile) -> list[Row]:
    """Return the rows of a journal or a record; lines truncated by a crash are skipped.

    Raises:
        OutputUnwritableError: it cannot be read.
        StoreUnavailableError: it cannot be read from a store.

    """
    return _rows_in(_lines(output, file), file.name)


def count_lines(output: Store) -> int:
    """Return the number of lines of the manifest of an output folder; 0 if there is none.

    Raises:
        OutputUnwritableError: it cannot be read.
        StoreUnavailableError: it cannot be read from a store.

    """
    return sum(1 for line in _manifest_lines(output) if line.strip())


def _rows_in(lines: Iterable[bytes], name: str) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(_ANNOUNCEMENT):
            continue
        try:
            rows.append(Row.from_json(line))
        except _DAMAGE as error:
            logger.warning("%s, line %d is ignored: %s", name, number, error)
    return rows


def _manifest_lines(output: Store) -> list[bytes]:
    return (_manifest_bytes(output) or b"").splitlines()


def _manifest_bytes(output: Store) -> bytes | None:
    """Return the manifest; ``None``: there is none."""
    try:
        return output.read(MANIFEST_NAME)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise output.unavailable(error) from error


def _lines(output: Store, file: StateFile) -> list[bytes]:
    try:
        return file.file.read().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise output.unavailable(error) from error
