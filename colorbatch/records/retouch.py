"""The retouch record: what a person said about pictures of a job, in ``OUT/colorbatch-retouch.jsonl``.

One line of JSON for each source, or for each page of one. A run reads it; a page on this machine, a script or a person
writes it.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from colorbatch.errors import UsageError, reason_of
from colorbatch.pixels.hint import Hint
from colorbatch.records.retouch_fields import shown_short, valid_fields
from colorbatch.store.store import Store
from colorbatch.text import printable, to_utf_8

logger = logging.getLogger(__name__)

SCHEMA = 1
RETOUCH_NAME = "colorbatch-retouch.jsonl"
_NAMES_OF_BROWSERS = ("colorbatch-retouch (1).jsonl", "colorbatch-retouch(1).jsonl", "colorbatch-retouch-2.jsonl")
"""Names that browsers give a second file that they save in the same folder."""
_FAULTS_SHOWN = 5


@dataclass(frozen=True)
class RetouchLine:
    """What a person said about a source, or about one page of it."""

    input: str
    """Path below the source, as in the manifest."""
    page: int | None = None
    """Number of the page, from 1; ``None``: every page without a line of its own."""
    hints: tuple[Hint, ...] = ()
    vividness: float | None = None
    """0..1; ``None``: as in the run."""
    strength: float | None = None
    """Factor of chroma, 0..2; ``None``: as in the run."""
    model: str | None = None
    """Name or path of the model for this source; ``None``: that of the run."""
    leave_grey: bool = False
    """Leave it as it is: no colours are added."""
    note: str = ""
    """For people; without an effect on the output."""

    @property
    def has_effect(self) -> bool:
        """Whether it changes the output."""
        return replace(self, note="") != RetouchLine(self.input, self.page)

    @property
    def wants_color(self) -> bool:
        """Whether a person said how it is to be coloured, so that it is coloured even if it is in colour already."""
        return bool(self.hints) or any(each is not None for each in (self.vividness, self.strength, self.model))

    def to_json(self) -> bytes:
        """Return the line as ASCII JSON, with the fields that say something."""
        values = {"schema": SCHEMA, "input": to_utf_8(self.input), **self._said()}
        return json.dumps(values, ensure_ascii=True).encode("ascii") + b"\n"

    def _said(self) -> dict[str, object]:
        empty = RetouchLine(self.input)
        said = {name: value for name, value in vars(self).items() if value != getattr(empty, name)}
        if self.hints:
            said["hints"] = [
                {"x": each.x, "y": each.y, "radius": each.radius, "color": each.color} for each in self.hints
            ]
        return said


@dataclass(frozen=True)
class Retouch:
    """All that a person said about one source."""

    lines: tuple[RetouchLine, ...]
    """Lines with an effect, at least one, by page."""

    @cached_property
    def sha256(self) -> str:
        """Hash of all that determines the output: notes and the order of lines and fields do not."""
        said = [replace(each, note="")._said() for each in self.lines]  # noqa: SLF001 (same module)
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def model(self) -> str | None:
        """Name or path of the model; ``None``: that of the run."""
        return next((each.model for each in self.lines if each.model is not None), None)

    @property
    def last_page(self) -> int:
        """Largest page number that a line names; 0 if none does."""
        return max(each.page or 0 for each in self.lines)

    def of_page(self, page: int) -> RetouchLine:
        """Return the line for a page, numbered from 1: its own, or that for all pages, or an empty one."""
        by_page = {each.page: each for each in self.lines}
        return by_page.get(page) or by_page.get(None) or RetouchLine(self.lines[0].input, page)


Retouches = Mapping[str, Retouch]
"""Retouches by input."""


def retouches_of(output: Store, path: Path | None = None) -> Retouches:
    """Return what a person said about the sources of a job; nothing if the output folder has no record.

    Args:
        output: the store of the outputs.
        path: file of the record; ``None``: that in the output folder.

    Raises:
        UsageError: the record cannot be read, or a line is not valid.
        OutputUnwritableError: that in the output folder cannot be read.
        StoreUnavailableError: it cannot be read from a store.

    """
    if path is None:
        for name in () if output.is_remote else _NAMES_OF_BROWSERS:
            if output.state(name) is not None:
                logger.warning("%s in %s is not read: rename it to %s", name, output.shown, RETOUCH_NAME)
        return newest_retouches(output)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the retouch record {path}: {reason_of(error)}") from error
    return parsed_retouches(content, str(path))


def newest_retouches(output: Store) -> Retouches:
    """Return what the record of an output folder says now; nothing if there is none.

    Raises:
        UsageError, OutputUnwritableError, StoreUnavailableError: as :func:`retouches_of`.

    """
    return parsed_retouches(record_in(output), RETOUCH_NAME)


def record_in(output: Store) -> bytes:
    """Return the content of the record of an output folder; empty if there is none.

    Raises:
        OutputUnwritableError: it cannot be read.
        StoreUnavailableError: it cannot be read from a store.

    """
    try:
        return output.read(RETOUCH_NAME)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise output.unavailable(error) from error


def parsed_retouches(content: bytes, name: str) -> Retouches:
    """Return the retouches in the content of a record; lines without an effect count as absent.

    Raises:
        UsageError: lines are not valid; the message names the first ones, and what is wrong with them.

    """
    found: dict[str, dict[int, RetouchLine]] = {}
    faults: list[str] = []
    for number, line in _numbered(content):
        try:
            parsed = _parsed(line)
            others = found.setdefault(parsed.input, {})
            _refuse_contradiction(parsed, others)
            others[number] = parsed
        except ValueError as error:
            faults.append(f"line {number}: {error}")
    if faults:
        more = f"; and {len(faults) - _FAULTS_SHOWN} more lines" if len(faults) > _FAULTS_SHOWN else ""
        raise UsageError(
            f"{printable(name)}, {printable('; '.join(faults[:_FAULTS_SHOWN]))}{more}",
            advice="Correct or remove these lines, or give --no-retouch. Nothing was changed.",
        )
    with_effect = {name: [each for each in lines.values() if each.has_effect] for name, lines in found.items()}
    return {
        name: Retouch(tuple(sorted(lines, key=lambda line: line.page or 0)))
        for name, lines in with_effect.items()
        if lines
    }


def updated(content: bytes, line: RetouchLine) -> bytes:
    """Return the content of a record with one line replaced, added, or removed if it says nothing.

    All other lines stay as they are, broken ones too.
    """
    new = line.to_json() if line.has_effect or line.note else b""
    kept = content if content.endswith(b"\n") or not content else content + b"\n"
    result, is_placed = [], False
    for each in kept.splitlines(keepends=True):
        if not _is_line_of(each, line):
            result.append(each)
        elif not is_placed:
            result.append(new)
            is_placed = True
    return b"".join(result if is_placed else [*result, new])


def lines_of(content: bytes, name: str) -> Sequence[RetouchLine]:
    """Return the valid lines of one source, notes included; broken ones are left out.

    Args:
        content: of a record.
        name: of the source, as its ``input``.

    """
    return said_in(content).get(name, [])


def said_in(content: bytes) -> Mapping[str, Sequence[RetouchLine]]:
    """Return the valid lines of a record by ``input``, notes included; broken ones are left out."""
    found: dict[str, list[RetouchLine]] = {}
    for _, line in _numbered(content):
        try:
            parsed = _parsed(line)
        except ValueError:
            continue
        found.setdefault(parsed.input, []).append(parsed)
    return found


def line_of(values: Mapping[str, object]) -> RetouchLine:
    """Return the line with these values, as they are in JSON, of the fields of a record.

    Raises:
        ValueError: one is not valid; the message begins with the name of the field.

    """
    if "input" not in values:
        raise ValueError("input: missing")
    found = valid_fields(values)
    return RetouchLine(**{name: value for name, value in found.items() if value is not None})  # type: ignore[arg-type]


def _numbered(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and text of each line that is not empty."""
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if line.strip():
            yield number, line


def _is_line_of(line: bytes, other: RetouchLine) -> bool:
    try:
        found = _parsed(line)
    except ValueError:
        return False
    return (found.input, found.page) == (other.input, other.page)


def _refuse_contradiction(line: RetouchLine, others: Mapping[int, RetouchLine]) -> None:
    """Raise if another line of the same source, by number, is for the same page or names another model.

    Raises:
        ValueError: one is, or does.

    """
    for number, other in others.items():
        if other.page == line.page:
            raise ValueError(f"input: line {number} is for the same source and page")
        if None not in (line.model, other.model) and line.model != other.model:
            raise ValueError(f"model: line {number} names another model for the same source; all pages have one")


def _parsed(line: bytes) -> RetouchLine:
    """Return a line of a record.

    Raises:
        ValueError: it is not valid; the message begins with the name of the field, if it is one.

    """
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 (as for all others)
    schema = values.pop("schema", None)
    if schema != SCHEMA or isinstance(schema, bool):
        raise ValueError(f"schema: expected {SCHEMA}, found {shown_short(schema)}")
    return line_of(values)
