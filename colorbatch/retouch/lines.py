"""What a person said, as the page sends and receives it, and as it is written into the retouch record."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from colorbatch.records.retouch import Retouch, RetouchLine, line_of, lines_of, updated
from colorbatch.text import to_utf_8

_NAMES = tuple(each.name for each in fields(RetouchLine) if each.name not in ("input", "page"))
_SETTINGS = ("vividness", "strength", "model", "leave_grey")


def parsed_line(name: str, page: int, values: object) -> RetouchLine:
    """Return the line for a page of a source, from JSON.

    Raises:
        ValueError: a value is not valid, or has another name.

    """
    if not isinstance(values, dict):
        raise ValueError("line: expected an object")  # noqa: TRY004 (as for all others)
    unknown = sorted(values.keys() - set(_NAMES))
    if unknown:
        raise ValueError(f"{str(unknown[0])[:40]}: unknown; known are {', '.join(_NAMES)}")
    return line_of({**values, "input": to_utf_8(name), "page": page})


def values_of(line: RetouchLine) -> Mapping[str, Any]:
    """Return a line as JSON, with all fields."""
    hints = [{"x": each.x, "y": each.y, "radius": each.radius, "color": each.color} for each in line.hints]
    return {name: getattr(line, name) for name in _NAMES} | {"hints": hints}


def line_in(content: bytes, name: str, page: int) -> RetouchLine:
    """Return what a record says of a page, a note included; an empty line if that is nothing.

    As in a run, a line without an effect does not hide the one for all pages; only its note does.
    """
    found = lines_of(content, name)
    with_effect = tuple(each for each in found if each.has_effect)
    line = RetouchLine(name, page)
    if with_effect:
        retouch = Retouch(with_effect)
        line = replace(retouch.of_page(page), page=page, model=retouch.model)
    notes = {each.page: each.note for each in found}
    return replace(line, note=notes.get(page, notes.get(None, "")))


def with_line(content: bytes, line: RetouchLine, pages: int) -> bytes:
    """Return a record that says of a page what a line says, and of the other pages what it said before.

    All pages of a source have the model of the line.

    Args:
        content: of the record.
        line: with the number of its page.
        pages: number of pages of the source: the line of a single one names no page.

    """
    if pages == 1:
        return updated(updated(content, RetouchLine(line.input, 1)), replace(line, page=None))
    present = {each.page: each for each in lines_of(content, line.input)}
    shared = present.get(None)
    if shared is not None and not line.has_effect:  # without a line of its own, the page would get the shared one
        for number in range(1, pages + 1):
            own = present.get(number)
            if number != line.page and (own is None or not own.has_effect):
                content = updated(content, replace(shared, page=number, note=shared.note if own is None else own.note))
        content = updated(content, RetouchLine(line.input))
    content = updated(content, line)
    for each in lines_of(content, line.input):
        if each.page != line.page and each.has_effect and each.model != line.model:
            content = updated(content, replace(each, model=line.model))
    return content


def copied(origin: RetouchLine, target: RetouchLine, *, hints: bool, settings: bool) -> RetouchLine:
    """Return a line with the hints or the settings of another; notes are never copied."""
    found = replace(target, hints=origin.hints) if hints else target
    return replace(found, **{name: getattr(origin, name) for name in _SETTINGS}) if settings else found
