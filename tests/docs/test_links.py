"""Every link of the documentation leads somewhere, and every page and picture is linked to."""

import re
from pathlib import Path

import pytest
from helpers import ROOT
from pages import DOCS, PAGES, prose, short

LINKING = (*PAGES, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", ROOT / "samples" / "README.md")


def targets(page: Path) -> list[str]:
    """Return what a page links to or shows, in this repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8")))
    return [target for target in found if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Return what GitHub and mkdocs call the headings of a page."""
    headings = re.findall(r"^#+ (.*)", prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKING, ids=short)
def test_what_is_linked_to_is_there(page: Path) -> None:
    missing = []
    for target in targets(page):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            missing.append(target)
    assert missing == []


def test_every_page_is_in_the_navigation_of_the_site_once() -> None:
    navigation = re.search(
        r"^nav:\n(.*?)^\S", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert navigation is not None
    assert sorted(re.findall(r": (\S+\.md)$", navigation[1], re.MULTILINE)) == sorted(
        page.name for page in DOCS.glob("*.md")
    )


def test_every_page_is_linked_to_from_the_first_page() -> None:
    linked = {target.partition("#")[0] for target in targets(DOCS / "README.md")}
    assert {page.name for page in DOCS.glob("*.md")} - linked == {"README.md"}


def test_every_picture_is_shown() -> None:
    shown = {(page.parent / target).resolve() for page in LINKING for target in targets(page)}
    assert {path for path in (DOCS / "images").iterdir() if path.resolve() not in shown} == set()
