"""The record of a run: one row for each source, kept in a journal while it runs and in the manifest afterwards."""

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import TracebackType

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
"""How the lines of a journal begin that are no rows: an output is about to be written."""


class Manifest:
    """The rows of an output folder: those of earlier runs, and those that this one adds."""

    def __init__(
        self, output: Store, shard: Shard | None = None, possible_outputs: AbstractSet[str] = frozenset()
    ) -> None:
        """Open the journal of this run, which keeps others away, and read what earlier ones left, finished or not.

        The shards of one split into as many may be at work at the same time; nothing else beside a run over all.

        Args:
            output: the store of the outputs.
            shard: the share of the sources that this run is to do; ``None``: all of them.
            possible_outputs: names that the job writes to, besides those that rows name.

        Raises:
            OutputInUseError: another run is at work in the folder.
            OutputUnwritableError: the output folder cannot be written.
            StoreUnavailableError: its store does not answer, or refuses.

        """
        self._output = output
        self._shard = shard
        self._journal = open_journal(output, shard)
        try:
            self.previous = rows_of(output, shard)
            self.outputs = _written(output, self.previous, shard)
            if shard is None:  # a shard cannot tell what the others are writing
                remove_left_behind(output, possible_outputs | self.outputs.keys())
        except BaseException:
            self._journal.close()
            raise
        self._rows: dict[str, Row] = {}

    def append(self, row: Row, *, is_durable: bool = True) -> None:
        """Add a row. Call it after the output is in place, never before.

        Args:
            row: of a source.
            is_durable: the row is on disk before this returns; one of which no output was written need not be: after
                a power failure it is found out again.

        Raises:
            OutputUnwritableError: the disk is full or gone.
            OutputInUseError: another run took this one, which writes into a store, for dead.

        """
        self._journal.add(row.to_json(), is_durable=is_durable)
        self._rows[row.input] = row

    def announce(self, output: str, sha256: str) -> None:
        """Note that an output is about to be written, so that it is known as ours even if its row is never added.

        Raises:
            OutputUnwritableError: the disk is full or gone.

        """
        self._journal.announce(announcement(output, sha256))

    def __contains__(self, input_name: object) -> bool:
        """Return whether this run has added a row for that input."""
        return input_name in self._rows

    def finish(self, remaining: Iterable[Row] = (), *, keep_shards: bool = False) -> None:
        """Write the manifest, or the record of the shard, sorted by input, and drop what is in it now.

        Args:
            remaining: rows of the sources that this run did not reach.
            keep_shards: leave the records and journals of shards for a later merge.

        Raises:
            OutputUnwritableError: the disk is full or gone; the journal then stays.
            OutputInUseError: another run took this one, which writes into a store, for dead; the journal is its own.

        """
        rows = {row.input: row for row in remaining} | self._rows
        name = MANIFEST_NAME if self._shard is None else record_name(self._shard)
        self._journal.hold()
        self._output.write(name, b"".join(rows[key].to_json() for key in sorted(rows)), may_replace=True)
        if self._shard is None and not keep_shards:
            with contextlib.suppress(OSError):  # one that stays tells the next run nothing new
                for each in state_files(self._output):
                    if each.name != journal_name(None):
                        each.file.delete()
        self._journal.delete()

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._journal.close()


def remove_left_behind(output: Store, outputs: AbstractSet[str]) -> None:
    """Remove what killed processes left half written; call it when no other process writes in the output folder.

    Args:
        output: the store of the outputs.
        outputs: names below it; other programs may be uploading to all others.

    """

    def is_ours(name: str) -> bool:
        return name in outputs or name == MANIFEST_NAME or name.startswith(f"{STATE_FOLDER}/")

    output.remove_left_behind(is_ours)


def rows_of(output: Store, shard: Shard | None = None) -> Mapping[str, Row]:
    """Return the rows of an output folder by their inputs; those of unfinished runs and shards before the manifest's.

    Args:
        output: the store of the outputs.
        shard: whose sources matter: the records of the others are not read; ``None``: all.

    Raises:
        OutputUnwritableError: they cannot be read.
        StoreUnavailableError: they cannot be read from a store.

    """
    files = _read_by(output, shard)
    rows = {row.input: row for row in _rows_in(_manifest_lines(output), MANIFEST_NAME)}
    for each in files:
        rows |= {row.input: row for row in read_rows(output, each)}
    return rows


def _read_by(output: Store, shard: Shard | None) -> Sequence[StateFile]:
    """Return what is read besides the manifest, the latest last."""
    try:
        return [each for each in state_files(output) if not each.is_sibling_shard(shard)]
    except OSError as error:
        raise output.unavailable(error) from error


def _written(output: Store, rows: Mapping[str, Row], shard: Shard | None) -> dict[str, set[str]]:
    """Return the sha256 of what was written under each name, as rows tell and as killed runs announced it."""
    found: dict[str, set[str]] = {}
    for each in _read_by(output, shard):
        if each.is_journal:
            for name, sha256 in announced_in(_lines(output, each)):
                found.setdefault(name, set()).add(sha256)
    for row in rows.values():
        if row.output is not None and row.output_sha256 is not None:
            found.setdefault(row.output, set()).add(row.output_sha256)
    return found


def announcement(output: str, sha256: str) -> bytes:
    """Return the line of a journal that says that an output is about to be written."""
    note = {"announced": to_utf_8(output), "output_sha256": sha256}
    return json.dumps(note, sort_keys=True).encode("ascii") + b"\n"


def announced_in(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Yield name and sha256 of the outputs that lines of a journal say were about to be written."""
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError):  # torn by a crash: then nothing was written
            if line.startswith(_ANNOUNCEMENT):
                values = json.loads(line)
                yield to_locale(values["announced"]), str(values["output_sha256"])


def is_unfinished(output: Store) -> bool:
    """Return whether a run is at work in an output folder, or was killed there."""
    return any(each.is_journal for each in _read_by(output, None))


def is_unmerged(output: Store) -> bool:
    """Return whether an output folder holds shards that were not merged into the manifest yet."""
    return any(each.shard is not None for each in _read_by(output, None))


def refuse_without_rows(output: Store) -> None:
    """Raise where no run has left anything.

    Raises:
        UsageError: the folder has neither a manifest nor the journal or record of a run.
        StoreUnavailableError: its store does not answer, or refuses.

    """
    if _manifest_bytes(output) is None and not _read_by(output, None):
        raise UsageError(
            f"{output.shown} has no {MANIFEST_NAME}",
            advice="Give an output folder of colorbatch run.",
        )


def read_rows(output: Store, file: StateFile) -> list[Row]:
    """Return the rows of a journal or a record; lines that a crash tore are passed over.

    Raises:
        OutputUnwritableError: it cannot be read.
        StoreUnavailableError: it cannot be read from a store.

    """
    return _rows_in(_lines(output, file), file.name)


def count_lines(output: Store) -> int:
    """Return how many lines the manifest of an output folder has; 0 where there is none.

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
        except (ValueError, TypeError, RecursionError) as error:
            logger.warning("%s, line %d is ignored: %s", name, number, error)
    return rows


def _manifest_lines(output: Store) -> list[bytes]:
    return (_manifest_bytes(output) or b"").splitlines()


def _manifest_bytes(output: Store) -> bytes | None:
    """Return the manifest; ``None``: there is none."""
    try:
        return output.read(MANIFEST_NAME)
    except FileNotFoundError:
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
