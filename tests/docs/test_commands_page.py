import re
import runpy

from pages import COMMANDS_PAGE, DOCS

from colorbatch.cli.main import COMMANDS

GENERATOR = DOCS / "generate_commands.py"


def test_the_page_of_all_commands_is_not_stale() -> None:
    expected = runpy.run_path(str(GENERATOR))["page"]()
    assert COMMANDS_PAGE.read_text(encoding="utf-8") == expected, f"run: python docs/{GENERATOR.name}"


def test_it_has_every_command() -> None:
    sections = re.findall(r"^## (\w+)$", COMMANDS_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == ["colorbatch", *COMMANDS]
