import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT
from pages import DOCS, codes, table

from colorbatch.errors import ColorbatchError
from colorbatch.records.manifest import MANIFEST_NAME

PAGE = DOCS / "troubleshooting.md"


def kinds(kind: type[ColorbatchError] = ColorbatchError) -> Iterator[type[ColorbatchError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from kinds(child)


def texts() -> str:
    """Return every string of the two packages but docstrings, without what is between the braces of f-strings."""
    found = []
    for folder in (ROOT / "colorbatch", ROOT / "export" / "colorbatch_export"):
        for path in folder.rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            found += [
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
            ]
    return "\n".join(found)


def messages(page: Path) -> list[str]:
    return [
        code
        for head in ("message", "reason", "warning", "finding")
        for row in table(page, head)
        for code in codes(row[0])
    ]


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_every_error_is_told_with_its_exit_code(kind: type[ColorbatchError]) -> None:
    rows = [row for row in table(PAGE, "class") if kind.__name__ in codes(row[0])]
    assert len(rows) == 1
    if kind is not ColorbatchError:
        assert int(rows[0][2]) == kind.exit_code
        assert kind.__bases__[0].__name__ in codes(rows[0][1])


@pytest.mark.parametrize("page", ["troubleshooting.md", "archives.md"])
def test_every_message_told_is_one_that_can_be_met(page: str) -> None:
    known = texts()
    found = messages(DOCS / page)
    assert len(found) > 10
    unknown = [
        message
        for message in found
        if not all(part.strip() in known for part in message.replace(MANIFEST_NAME, "…").split("…"))
    ]
    assert unknown == []
