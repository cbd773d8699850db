"""The retouch record: what a person said about pictures of a job, in ``OUT/colorbatch-retouch.jsonl``.

One line of JSON for each source, or for each page of one. A run reads it; a page on this machine, a script or a person
writes it.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from colorbatch.errors import UsageError, reason_of
from colorbatch.job import MAX_STRENGTH
from colorbatch.pixels.hint import DEFAULT_RADIUS, Hint
from colorbatch.store.store import Store
from colorbatch.text import printable, to_locale, to_utf_8

logger = logging.getLogger(__name__)

SCHEMA = 1
RETOUCH_NAME = "colorbatch-retouch.jsonl"
_NAMES_OF_BROWSERS = ("colorbatch-retouch (1).jsonl", "colorbatch-retouch(1).jsonl", "colorbatch-retouch-2.jsonl")
"""Names that browsers give a second file that they save in the same folder."""
MAX_HINTS = 1000
"""Maximum number of hints in a line."""
MAX_NOTE = 10_000
"""Maximum number of characters of a note."""
_FAULTS_SHOWN = 5
_LONGEST_SHOWN = 60


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
    found = {name: _field(name, value, _FIELDS) for name, value in values.items()}
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
        raise ValueError(f"schema: expected {SCHEMA}, found {_short(schema)}")
    return line_of(values)


def _parsed_hint(value: object) -> Hint:
    """Return a hint.

    Raises:
        ValueError: it is not valid.

    """
    if not isinstance(value, dict):
        raise ValueError(f"expected an object with x, y, radius and color, found {_short(value)}")  # noqa: TRY004
    missing = [name for name in ("x", "y", "color") if name not in value]
    if missing:
        raise ValueError(f"{missing[0]}: missing")
    found = {name: _field(name, each, _HINT_FIELDS) for name, each in value.items()}
    return Hint(**found)  # type: ignore[arg-type]


def _field(name: str, value: object, known: Mapping[str, Callable[[object], object]]) -> object:
    """Return the value of a field.

    Raises:
        ValueError: it is not valid, or the field is unknown.

    """
    if name not in known:
        raise ValueError(f"{name[:40]}: unknown; known are {', '.join(known)}")
    try:
        return known[name](value)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(f"{name}: ") else f"{name}: {text}") from None


def _number(lowest: float, highest: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and lowest <= value <= highest:
            return float(value)
        raise ValueError(f"expected a number from {lowest:g} to {highest:g}, found {_short(value)}")

    return parse


def _optional(parse: Callable[[object], object]) -> Callable[[object], object]:
    return lambda value: None if value is None else parse(value)


def _text(value: object, longest: int = 4096) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError(f"expected a text of up to {longest:,} characters, found {_short(value)}")
    return value


def _name(value: object) -> str:
    text = _text(value)
    try:
        if text:
            return to_locale(text)
    except UnicodeError:
        pass
    raise ValueError(f"expected a path below the source, found {_short(value)}")


def _model(value: object) -> str:
    text = _text(value)
    try:
        if os.fsencode(text) and "\0" not in text:
            return text
    except UnicodeError:
        pass
    raise ValueError(f"expected the name or the path of a model, found {_short(value)}")


def _page(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
        raise ValueError(f"expected a whole number from 1, found {_short(value)}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {_short(value)}")  # noqa: TRY004
    return value


def _hints(value: object) -> tuple[Hint, ...]:
    if not isinstance(value, list) or len(value) > MAX_HINTS:
        raise ValueError(f"expected a list of up to {MAX_HINTS:,} hints, found {_short(value)}")
    found = []
    for number, each in enumerate(value, start=1):
        try:
            found.append(_parsed_hint(each))
        except ValueError as error:
            raise ValueError(f"hint {number}: {error}") from None
    return tuple(found)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


_FIELDS: Mapping[str, Callable[[object], object]] = {
    "input": _name,
    "page": _optional(_page),
    "hints": _hints,
    "vividness": _optional(_number(0, 1)),
    "strength": _optional(_number(0, MAX_STRENGTH)),
    "model": _optional(_model),
    "leave_grey": _flag,
    "note": lambda value: _text(value, MAX_NOTE),
}
_HINT_FIELDS: Mapping[str, Callable[[object], object]] = {
    "x": _number(0, 1),
    "y": _number(0, 1),
    "radius": lambda value: DEFAULT_RADIUS if value is None else _number(0, 1)(value),
    "color": _text,
}
