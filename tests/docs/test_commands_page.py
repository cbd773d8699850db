import re
import subprocess
import sys

from pages import COMMANDS_PAGE, DOCS

from colorbatch.cli.main import COMMANDS

GENERATOR = DOCS / "generate_commands.py"


def test_the_page_of_all_commands_is_not_stale() -> None:
    """In a process of its own: click remembers the help option of a command from when it was first looked at."""
    program = "import runpy, sys; sys.stdout.buffer.write(runpy.run_path(sys.argv[1])['page']().encode())"
    found = subprocess.run([sys.executable, "-c", program, GENERATOR], capture_output=True, check=True)
    assert COMMANDS_PAGE.read_bytes() == found.stdout, f"run: python docs/{GENERATOR.name}"


def test_it_has_every_command() -> None:
    sections = re.findall(r"^## (\w+)$", COMMANDS_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == ["colorbatch", *COMMANDS]
