"""Write docs/commands.md: the help of every command, as ``--help`` prints it. A test fails when that page is stale.

python docs/generate_commands.py
"""

from collections.abc import Iterator
from pathlib import Path

import click

from colorbatch.cli.main import COMMANDS, colorbatch

PAGE = Path(__file__).with_name("commands.md")
_COLUMNS = 78
"""As on a terminal of 80."""
_BEGINNING = """\
# Every command

<!-- Written by docs/generate_commands.py: change the help texts in colorbatch/cli/, then run it again. -->

What `colorbatch COMMAND --help` prints. Options come before or after the folders; `--` ends them. The options of `run`
are described in more detail in [Options of run](run.md), the exit codes in [Scripting](scripting.md#exit-codes).
"""


def page() -> str:
    """Return the page as it ought to be."""
    return _BEGINNING + "".join(_sections())


def _sections() -> Iterator[str]:
    settings = colorbatch.context_settings
    group = click.Context(colorbatch, info_name="colorbatch", terminal_width=_COLUMNS, **settings)  # inherited below
    yield _section("colorbatch", colorbatch.get_help(group))
    for name in COMMANDS:
        command = colorbatch.get_command(group, name)
        assert command is not None
        yield _section(name, command.get_help(click.Context(command, parent=group, info_name=name)))


def _section(name: str, shown: str) -> str:
    return f"\n## {name}\n\n```text\n{shown.rstrip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
