"""The fields of a line of the retouch record: what each may hold."""

import json
import os
from collections.abc import Callable, Mapping

from colorbatch.job import MAX_STRENGTH
from colorbatch.pixels.hint import DEFAULT_RADIUS, Hint
from colorbatch.text import to_locale

MAX_HINTS = 1000
"""Maximum number of hints in a line."""
MAX_NOTE = 10_000
"""Maximum number of characters of a note."""
_LONGEST_SHOWN = 60


def valid_fields(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values of the fields of a line, which are as they are in JSON.

    Raises:
        ValueError: one is not valid, or a field is unknown; the message begins with the name of the field.

    """
    return {name: _field(name, value, FIELDS) for name, value in values.items()}


def _parsed_hint(value: object) -> Hint:
    """Return a hint.

    Raises:
        ValueError: it is not valid.

    """
    if not isinstance(value, dict):
        raise ValueError(f"expected an object with x, y, radius and color, found {shown_short(value)}")  # noqa: TRY004
    missing = [name for name in ("x", "y", "color") if name not in value]
    if missing:
        raise ValueError(f"{missing[0]}: missing")
    found = {name: _field(name, each, HINT_FIELDS) for name, each in value.items()}
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
        raise ValueError(f"expected a number from {lowest:g} to {highest:g}, found {shown_short(value)}")

    return parse


def _optional(parse: Callable[[object], object]) -> Callable[[object], object]:
    return lambda value: None if value is None else parse(value)


def _text(value: object, longest: int = 4096) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError(f"expected a text of up to {longest:,} characters, found {shown_short(value)}")
    return value


def _name(value: object) -> str:
    text = _text(value)
    try:
        if text:
            return to_locale(text)
    except UnicodeError:
        pass
    raise ValueError(f"expected a path below the source, found {shown_short(value)}")


def _model(value: object) -> str:
    text = _text(value)
    try:
        if os.fsencode(text) and "\0" not in text:
            return text
    except UnicodeError:
        pass
    raise ValueError(f"expected the name or the path of a model, found {shown_short(value)}")


def _page(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
        raise ValueError(f"expected a whole number from 1, found {shown_short(value)}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {shown_short(value)}")  # noqa: TRY004
    return value


def _hints(value: object) -> tuple[Hint, ...]:
    if not isinstance(value, list) or len(value) > MAX_HINTS:
        raise ValueError(f"expected a list of up to {MAX_HINTS:,} hints, found {shown_short(value)}")
    found = []
    for number, each in enumerate(value, start=1):
        try:
            found.append(_parsed_hint(each))
        except ValueError as error:
            raise ValueError(f"hint {number}: {error}") from None
    return tuple(found)


def shown_short(value: object) -> str:
    """Return a value of JSON for a message."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


FIELDS: Mapping[str, Callable[[object], object]] = {
    "input": _name,
    "page": _optional(_page),
    "hints": _hints,
    "vividness": _optional(_number(0, 1)),
    "strength": _optional(_number(0, MAX_STRENGTH)),
    "model": _optional(_model),
    "leave_grey": _flag,
    "note": lambda value: _text(value, MAX_NOTE),
}
"""What turns the value of each field into that of a line, or raises a ValueError."""
HINT_FIELDS: Mapping[str, Callable[[object], object]] = {
    "x": _number(0, 1),
    "y": _number(0, 1),
    "radius": lambda value: DEFAULT_RADIUS if value is None else _number(0, 1)(value),
    "color": _text,
}
"""The same for the fields of a hint."""
