"""The record of a run: one row for each source, kept in a journal while it runs and in the manifest afterwards."""

import contextlib
import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePath
from types import TracebackType
from typing import BinaryIO, get_args

from colorbatch import atomic
from colorbatch.errors import OutputInUseError, OutputUnwritableError, UsageError
from colorbatch.formats import SALVAGED
from colorbatch.job import Status
from colorbatch.lock import open_locked
from colorbatch.reading import read_regular
from colorbatch.report_folder import REPORT_FOLDER
from colorbatch.shard import Shard
from colorbatch.state import StateFile, journal_path, record_path, state_files

logger = logging.getLogger(__name__)

MANIFEST_NAME = "colorbatch-manifest.jsonl"
_ANNOUNCEMENT = b'{"announced"'
"""How the lines of a journal begin that are no rows: an output is about to be written."""
SCHEMA = 1
_TEXTS = (
    *("output", "reason", "input_sha256", "output_sha256", "model", "model_sha256", "settings_sha256", "provider"),
    *("digital_source_type", "finished_at", "version"),
)
_NUMBERS = ("input_bytes", "width", "height", "bits", "frames", "seconds")


@dataclass(frozen=True)
class Row:
    """What became of one source."""

    input: str
    """Path below the source, POSIX style, undecodable bytes as surrogate escapes."""
    output: str | None = None
    """Path below the output folder; ``None``: there is no output."""
    status: Status = "skipped"
    reason: str = ""
    """Why it was skipped or failed."""
    input_sha256: str | None = None
    output_sha256: str | None = None
    input_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    bits: int | None = None
    """Bits a channel of the output."""
    frames: int | None = None
    warnings: Sequence[str] = ()
    """What could not be taken over from the source."""
    model: str | None = None
    model_sha256: str | None = None
    settings_sha256: str | None = None
    provider: str | None = None
    digital_source_type: str | None = None
    """What the output says of itself, a concept of IPTC's; ``None``: it does not say that a model made its colours."""
    seconds: float | None = None
    finished_at: str | None = None
    """UTC, ISO 8601."""
    version: str | None = None
    """Of colorbatch."""
    schema: int = SCHEMA

    @property
    def is_salvaged(self) -> bool:
        """Whether parts of the source could not be read."""
        return any(warning.startswith(SALVAGED) for warning in self.warnings)

    def to_json(self) -> bytes:
        """Return the row as one line of ASCII JSON."""
        row = replace(self, input=in_utf_8(self.input), output=self.output and in_utf_8(self.output))
        return json.dumps(asdict(row), ensure_ascii=True, sort_keys=True).encode("ascii") + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> "Row":
        """Read a row back.

        Raises:
            ValueError: it is not a row of this schema.

        """
        values = json.loads(line)
        if not isinstance(values, dict) or values.get("schema") != SCHEMA or not isinstance(values.get("input"), str):
            raise ValueError(f"not a manifest row of schema {SCHEMA}")
        known = {field.name for field in fields(cls)}
        row = cls(**{key: value for key, value in values.items() if key in known})
        texts = [getattr(row, name) for name in _TEXTS]
        if row.status not in get_args(Status) or not all(isinstance(text, str | None) for text in texts):
            raise ValueError("a field has the wrong type")
        numbers = [getattr(row, name) for name in _NUMBERS]
        if not all(number is None or (isinstance(number, int | float) and 0 <= number < 2**63) for number in numbers):
            raise ValueError("a field is no number")
        if not all(isinstance(text, str) for text in row.warnings):
            raise ValueError("its warnings are no texts")
        if not all(_is_inside(name) for name in (row.input, row.output) if name is not None):
            raise ValueError("it names a file outside of its folder")
        output = row.output and of_the_locale(row.output)
        return replace(row, input=of_the_locale(row.input), output=output, warnings=tuple(row.warnings))


class Manifest:
    """The rows of an output folder: those of earlier runs, and those that this one adds."""

    def __init__(self, folder: Path, shard: Shard | None = None) -> None:
        """Open the journal of this run, which keeps others away, and read what earlier ones left, finished or not.

        The shards of one split into as many may be at work at the same time; nothing else beside a run over all.

        Args:
            folder: of the outputs.
            shard: the share of the sources that this run is to do; ``None``: all of them.

        Raises:
            OutputInUseError: another run is at work in the folder.
            OutputUnwritableError: the output folder cannot be written.

        """
        self._folder = folder
        self._shard = shard
        self._journal_path = journal_path(folder, shard)
        try:
            self._journal = self._opened()
            self._others = [each for each in state_files(folder) if each.path != self._journal_path]
            if self._journal.tell():
                self._journal.write(b"\n")  # ends a line that a crash may have torn
        except OSError as error:
            raise OutputUnwritableError(f"cannot write to {folder}: {error.strerror or error}") from error
        if shard is None:  # a shard cannot tell what the others are writing
            atomic.remove_left_behind(folder, spared=REPORT_FOLDER)
        self.previous = rows_of(folder, shard)
        self.outputs = _written(folder, self.previous, shard)
        self._lock = threading.Lock()
        self._rows: dict[str, Row] = {}

    def _opened(self) -> BinaryIO:
        """Return the journal, opened and locked, once it is sure that no other run is in the way.

        Raises:
            OutputInUseError: one is.
            OSError: it cannot be opened.

        """
        journal = open_locked(self._journal_path)
        if journal is None:
            raise OutputInUseError(f"another run is at work in {self._folder}")
        # each run locks its own journal before it looks at those of others: of two, at least one sees the other
        in_the_way = next((each for each in state_files(self._folder) if self._is_in_the_way(each)), None)
        if in_the_way is None:
            return journal
        if not journal.tell():
            _delete(self._journal_path, journal)
        journal.close()
        if in_the_way.shard is None:
            raise OutputInUseError(f"a run over all sources is at work in {self._folder}")
        raise OutputInUseError(f"shard {in_the_way.shard} is at work in {self._folder}")

    def _is_in_the_way(self, other: StateFile) -> bool:
        if other.path == self._journal_path or _is_beside(other, self._shard):
            return False
        return other.is_held

    def append(self, row: Row, *, is_durable: bool = True) -> None:
        """Add a row. Call it after the output is in place, never before.

        Args:
            row: of a source.
            is_durable: the row is on disk before this returns; one of which no output was written need not be: after
                a power failure it is found out again.

        Raises:
            OutputUnwritableError: the disk is full or gone.

        """
        self._add(row.to_json())
        if is_durable:
            try:
                os.fsync(self._journal.fileno())
            except OSError as error:
                raise OutputUnwritableError(f"cannot write the journal: {error.strerror or error}") from error
        self._rows[row.input] = row

    def announce(self, output: str, sha256: str) -> None:
        """Note that an output is about to be written, so that it is known as ours even if its row is never added.

        Raises:
            OutputUnwritableError: the disk is full or gone.

        """
        note = {"announced": in_utf_8(output), "output_sha256": sha256}
        self._add(json.dumps(note, sort_keys=True).encode("ascii") + b"\n")

    def _add(self, line: bytes) -> None:
        try:
            with self._lock:
                self._journal.write(line)
        except OSError as error:
            raise OutputUnwritableError(f"cannot write the journal: {error.strerror or error}") from error

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

        """
        rows = {row.input: row for row in remaining} | self._rows
        path = self._folder / MANIFEST_NAME if self._shard is None else record_path(self._folder, self._shard)
        atomic.write_bytes(path, b"".join(rows[key].to_json() for key in sorted(rows)))
        if self._shard is None and not keep_shards:
            for each in self._others:
                with contextlib.suppress(OSError):  # one that stays tells the next run nothing new
                    each.path.unlink()
        _delete(self._journal_path, self._journal)
        self._journal.close()

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._journal.close()


def _delete(path: Path, journal: BinaryIO) -> None:
    """Delete a journal, and the state folder if it is empty then; one that stays tells the next run nothing new."""
    with contextlib.suppress(OSError):
        if os.name == "nt":  # which cannot delete an open file; elsewhere the lock is held until it is gone
            journal.close()
        path.unlink()
        path.parent.rmdir()


def _is_beside(other: StateFile, shard: Shard | None) -> bool:
    """Return whether a file is of another shard of the same split: it knows nothing of the sources of ``shard``."""
    return shard is not None and other.shard not in (None, shard) and other.shard.count == shard.count


def rows_of(folder: Path, shard: Shard | None = None) -> Mapping[str, Row]:
    """Return the rows of an output folder by their inputs; those of unfinished runs and shards before the manifest's.

    Args:
        folder: of the outputs.
        shard: whose sources matter: the records of the others are not read; ``None``: all.

    Raises:
        OutputUnwritableError: they cannot be read.

    """
    paths = [folder / MANIFEST_NAME, *(each.path for each in _read_by(folder, shard))]
    return {row.input: row for path in paths for row in read_rows(path)}


def _read_by(folder: Path, shard: Shard | None) -> Sequence[StateFile]:
    """Return what is read besides the manifest, the latest last."""
    try:
        return [each for each in state_files(folder) if not _is_beside(each, shard)]
    except OSError as error:
        raise OutputUnwritableError(f"cannot read {folder}: {error.strerror or error}") from error


def _written(folder: Path, rows: Mapping[str, Row], shard: Shard | None) -> dict[str, set[str]]:
    """Return the sha256 of what was written under each name, as rows tell and as killed runs announced it."""
    found: dict[str, set[str]] = {}
    for row in rows.values():
        if row.output is not None and row.output_sha256 is not None:
            found.setdefault(row.output, set()).add(row.output_sha256)
    for line in (line for each in _read_by(folder, shard) if each.is_journal for line in _lines(each.path)):
        with contextlib.suppress(ValueError, TypeError, KeyError):  # torn by a crash: then nothing was written
            if line.startswith(_ANNOUNCEMENT):
                values = json.loads(line)
                found.setdefault(of_the_locale(values["announced"]), set()).add(values["output_sha256"])
    return found


def is_unfinished(folder: Path) -> bool:
    """Return whether a run is at work in an output folder, or was killed there."""
    return any(each.is_journal for each in _read_by(folder, None))


def is_unmerged(folder: Path) -> bool:
    """Return whether an output folder holds shards that were not merged into the manifest yet."""
    return any(each.shard is not None for each in _read_by(folder, None))


def refuse_without_rows(folder: Path) -> None:
    """Raise where no run has left anything.

    Raises:
        UsageError: the folder has neither a manifest nor the journal or record of a run.

    """
    if not (folder / MANIFEST_NAME).is_file() and not _read_by(folder, None):
        raise UsageError(
            f"{folder} has no {MANIFEST_NAME}", advice="Give the folder that colorbatch run wrote its outputs to."
        )


def _is_inside(name: str) -> bool:
    """Return whether a name from a manifest, which may be anybody's, stays below the folder it is taken from."""
    path = PurePath(name)
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in name


def in_utf_8(name: str) -> str:
    """Return a file name as it reads in UTF-8, so that the locale does not show in the manifest."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def of_the_locale(name: str) -> str:
    """Return a file name as the locale has it, from what it reads like in UTF-8."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))


def sha256_of(path: Path) -> str | None:
    """Return the sha256 of a file, or ``None`` when it cannot be read."""
    try:
        return hashlib.sha256(read_regular(path)).hexdigest()
    except OSError:
        return None


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a manifest, a journal or a record; lines that a crash tore are passed over.

    Raises:
        OutputUnwritableError: it cannot be read.

    """
    rows: list[Row] = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip() or line.startswith(_ANNOUNCEMENT):
            continue
        try:
            rows.append(Row.from_json(line))
        except (ValueError, TypeError, RecursionError) as error:
            logger.warning("%s, line %d is passed over: %s", path, number, error)
    return rows


def _lines(path: Path) -> list[bytes]:
    try:
        return read_regular(path).splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputUnwritableError(f"cannot read {path}: {error.strerror or error}") from error
