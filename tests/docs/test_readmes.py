"""The README and its translation say the same."""

import re
from pathlib import Path

from pages import README, README_ZH, blocks, codes, prose


def code(page: Path) -> list[tuple[str, list[str]]]:
    """Return language and lines of each block, without comments, which are translated."""
    return [
        (block.language, [re.sub(r"\s*#.*", "", line) for line in block.text.splitlines()])
        for block in blocks(page.read_text(encoding="utf-8"))
    ]


def rows(page: Path) -> list[list[str]]:
    """Return the code in the first cell of each table's row, or the cell itself where it is a number."""
    cells = re.findall(r"^\| (.*?)(?<!\\) \|", prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    return [list(codes(cell)) or re.findall(r"^[\d, ]+$", cell) for cell in cells]


def targets(page: Path) -> list[str]:
    """Return what is linked to, the two READMEs left out."""
    found = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    return [target for target in found if target not in (README.name, README_ZH.name)]


def test_the_blocks_of_code_are_the_same() -> None:
    assert code(README_ZH) == code(README)


def test_the_tables_have_the_same_rows() -> None:
    assert rows(README_ZH) == rows(README)


def test_the_code_in_the_text_is_the_same() -> None:
    english, chinese = (sorted(codes(prose(page.read_text(encoding="utf-8")))) for page in (README, README_ZH))
    assert chinese == english


def test_they_link_to_the_same_pages_and_to_each_other() -> None:
    assert targets(README_ZH) == targets(README)
    assert f"({README_ZH.name})" in README.read_text(encoding="utf-8")
    assert f"({README.name})" in README_ZH.read_text(encoding="utf-8")
