"""The record of a run: one row for each source, kept in a journal while it runs and in the manifest afterwards."""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, get_args

from colorbatch.atomic import write_bytes
from colorbatch.errors import OutputInUseError, OutputUnwritableError
from colorbatch.job import Status
from colorbatch.lock import try_lock

logger = logging.getLogger(__name__)

MANIFEST_NAME = "colorbatch-manifest.jsonl"
STATE_FOLDER = ".colorbatch"
_JOURNAL_NAME = "journal.jsonl"
SCHEMA = 1


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
    seconds: float | None = None
    finished_at: str | None = None
    """UTC, ISO 8601."""
    version: str | None = None
    """Of colorbatch."""
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        """Return the row as one line of ASCII JSON."""
        return json.dumps(asdict(self), ensure_ascii=True, sort_keys=True).encode("ascii") + b"\n"

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
        texts = (row.output, row.input_sha256, row.output_sha256, row.model_sha256, row.settings_sha256)
        if row.status not in get_args(Status) or not all(isinstance(text, str | None) for text in texts):
            raise ValueError("a field has the wrong type")
        return row


class Manifest:
    """The rows of an output folder: those of earlier runs, and those that this one adds."""

    def __init__(self, folder: Path) -> None:
        """Open the journal of this run, which keeps others away, and read what earlier ones left, finished or not.

        Raises:
            OutputInUseError: another run is at work in the folder.
            OutputUnwritableError: the output folder cannot be written.

        """
        self._manifest_path = folder / MANIFEST_NAME
        self._journal_path = folder / STATE_FOLDER / _JOURNAL_NAME
        try:
            self._journal = _open_alone(self._journal_path)
            if self._journal.tell():
                self._journal.write(b"\n")  # ends a line that a crash may have torn
        except OSError as error:
            raise OutputUnwritableError(f"cannot write to {folder}: {error.strerror or error}") from error
        self.previous: Mapping[str, Row] = {
            row.input: row for path in (self._manifest_path, self._journal_path) for row in _read_rows(path)
        }
        self._rows: dict[str, Row] = {}

    def append(self, row: Row) -> None:
        """Add a row, on disk before this returns. Call it after the output is in place, never before.

        Raises:
            OutputUnwritableError: the disk is full or gone.

        """
        try:
            self._journal.write(row.to_json())
            os.fsync(self._journal.fileno())
        except OSError as error:
            raise OutputUnwritableError(f"cannot write the journal: {error.strerror or error}") from error
        self._rows[row.input] = row

    def __contains__(self, input_name: object) -> bool:
        """Return whether this run has added a row for that input."""
        return input_name in self._rows

    def finish(self, remaining: Iterable[Row] = ()) -> None:
        """Write the manifest, sorted by input, and drop the journal.

        Args:
            remaining: rows of the sources that this run did not reach.

        Raises:
            OutputUnwritableError: the disk is full or gone; the journal then stays.

        """
        rows = {row.input: row for row in remaining} | self._rows
        write_bytes(self._manifest_path, b"".join(rows[key].to_json() for key in sorted(rows)))
        with contextlib.suppress(OSError):  # a journal that stays tells the next run nothing new
            if os.name == "nt":  # which cannot delete an open file; elsewhere the lock is held until it is gone
                self._journal.close()
            self._journal_path.unlink()
            self._journal_path.parent.rmdir()
        self._journal.close()

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._journal.close()


def _open_alone(path: Path) -> BinaryIO:
    """Return the journal, opened for appending and locked.

    Raises:
        OutputInUseError: another run holds it.
        OSError: it cannot be opened.

    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            journal = path.open("ab", buffering=0)  # nothing is left to write when it is closed
        except FileNotFoundError:  # a run that just finished took the folder away
            continue
        if not try_lock(journal):
            journal.close()
            raise OutputInUseError(f"another run is at work in {path.parent.parent}")
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(journal.fileno()), path.stat()):
                return journal
        journal.close()  # a run that just finished deleted it after it was opened here


def sha256_of(path: Path) -> str | None:
    """Return the sha256 of a file, or ``None`` when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _read_rows(path: Path) -> list[Row]:
    """Return the rows of a manifest or journal; lines that a crash tore are passed over."""
    rows: list[Row] = []
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return rows
    except OSError as error:
        raise OutputUnwritableError(f"cannot read {path}: {error.strerror or error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(Row.from_json(line))
        except (ValueError, TypeError, RecursionError) as error:
            logger.warning("%s, line %d is passed over: %s", path, number, error)
    return rows
