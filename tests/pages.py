"""What many tests of the documentation share: its pages, their blocks of code, their tables."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from helpers import ROOT

from colorbatch.cli.main import COMMANDS, colorbatch

DOCS = ROOT / "docs"
README = ROOT / "README.md"
README_ZH = ROOT / "README.zh-CN.md"
COMMANDS_PAGE = DOCS / "commands.md"
PAGES = (README, README_ZH, ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")))
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)
_CALL = re.compile(rf"(?:^|[\s`/\\;|&(=])colorbatch ((?:{'|'.join(COMMANDS)})\b[^\n|;&>)`]*)")


def short(page: Path) -> str:
    """Return how a page is named in messages."""
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A block of code."""

    language: str
    """``indented`` for one without a fence."""
    text: str
    line: int
    """Of the page, where its code begins."""


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page in its order."""
    found = [Block(match[1], match[2], _line(page, match.start(2))) for match in _FENCE.finditer(page)]
    outside = prose(page)
    for match in _INDENTED.finditer(outside):
        if outside[: match.start()].endswith("\n\n"):
            text = re.sub(r"^ {4}", "", match[0], flags=re.MULTILINE)
            found.append(Block("indented", text, _line(outside, match.start())))
    return sorted(found, key=lambda block: block.line)


def prose(page: str) -> str:
    """Return a page without what stands in fences; its lines keep their numbers."""
    return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), page)


def _line(page: str, position: int) -> int:
    return page.count("\n", 0, position) + 1


def calls(text: str) -> list[list[str]]:
    """Return the arguments of each ``colorbatch COMMAND ...`` in code or prose."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [shlex.split(match[1], comments=True) for match in _CALL.finditer(joined)]


def parse(arguments: list[str]) -> None:
    """Have click parse a command line, without running it.

    Raises:
        click.UsageError: it would be refused.

    """
    name, *others = arguments
    command(name).make_context(name, others)


def command(name: str) -> click.Command:
    """Return a command of colorbatch."""
    found = colorbatch.get_command(click.Context(colorbatch), name)
    assert found is not None
    return found


def commands() -> list[click.Command]:
    """Return every command of colorbatch."""
    return [command(name) for name in COMMANDS]


def table(page: Path, first_header: str) -> list[list[str]]:
    """Return the rows of every table of a page whose first column is headed so, without the heads."""
    rows: list[list[str]] = []
    is_inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            is_inside = False
        elif is_inside:
            rows.append(cells)
        elif cells[0] == first_header:
            is_inside = True
    return [row for row in rows if set(row[0]) != {"-"}]


def codes(cell: str) -> Iterator[str]:
    """Yield what stands in backticks."""
    yield from (match.replace("\\|", "|") for match in re.findall(r"`([^`]+)`", cell))
