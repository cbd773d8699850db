"""Colours that a person used, with names: kept for the job, in ``OUT/.colorbatch/retouch-colors.json``."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from colorbatch.pixels.hint import Hint
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.store.store import Store

PALETTE_NAME = f"{STATE_FOLDER}/retouch-colors.json"
MAX_COLORS = 100
MAX_NAME = 100
"""Maximum number of characters of a name."""


@dataclass(frozen=True)
class NamedColor:
    """A colour, with the name that a person gave it."""

    color: str
    """``#rrggbb``."""
    name: str = ""


def parsed_palette(values: object) -> Sequence[NamedColor]:
    """Return colours from JSON.

    Raises:
        ValueError: they are not valid.

    """
    if not isinstance(values, list) or len(values) > MAX_COLORS:
        raise ValueError(f"colors: expected a list of up to {MAX_COLORS} colours")
    return [_parsed(each) for each in values]


def _parsed(value: object) -> NamedColor:
    """Return a colour from JSON.

    Raises:
        ValueError: it is not valid.

    """
    if not isinstance(value, dict) or not {"color"} <= value.keys() <= {"color", "name"}:
        raise ValueError("colors: expected objects with color and name")
    color, name = value["color"], value.get("name", "")
    if not isinstance(color, str) or not isinstance(name, str) or len(name) > MAX_NAME:
        raise ValueError(f"colors: expected a color, and a name of up to {MAX_NAME} characters")
    Hint(0, 0, color)
    return NamedColor(color.lower(), name)


def read_palette(output: Store) -> Sequence[NamedColor]:
    """Return the colours of a job; none if the file is missing, or not valid."""
    try:
        return parsed_palette(json.loads(output.read(PALETTE_NAME)))
    except (OSError, ValueError, RecursionError):
        return []


def write_palette(output: Store, colors: Sequence[NamedColor]) -> None:
    """Keep the colours of a job.

    Raises:
        OutputUnwritableError: they cannot be written.

    """
    content = json.dumps([asdict(each) for each in colors], ensure_ascii=True).encode("ascii")
    output.write(PALETTE_NAME, content, may_replace=True)


def merged(
    wanted: Sequence[NamedColor], known: Sequence[NamedColor], kept: Sequence[NamedColor]
) -> Sequence[NamedColor]:
    """Return the colours that one tab wants to keep, with what another one changed meanwhile.

    Args:
        wanted: by the tab, up to :data:`MAX_COLORS`.
        known: what the tab had read before it changed it.
        kept: what is kept now.

    """
    names, now = ({each.color: each.name for each in some} for some in (known, kept))
    ours = [
        replace(each, name=now.get(each.color, each.name)) if names.get(each.color) == each.name else each
        for each in wanted
        if each.color in now or names.get(each.color) != each.name
    ]
    chosen = {each.color for each in ours}
    found = ours + [each for each in kept if each.color not in names and each.color not in chosen]
    while len(found) > MAX_COLORS:
        found.remove(next((each for each in reversed(found) if not each.name), found[-1]))
    return found
