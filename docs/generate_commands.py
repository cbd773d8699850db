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

<!-- Written by docs/generate_commands.py: change it, or the help texts in colorbatch/cli/, then run it again. -->

| command | what it does | more |
| --- | --- | --- |
| `colorbatch run SOURCE OUTPUT` | colours a folder of pictures | [options](run.md), [which pictures](pictures.md) |
| `colorbatch merge OUTPUT` | merges the shards of a job that ran on several machines | [many machines](scale.md) |
| `colorbatch report OUTPUT` | writes a page that shows every picture before and after, and which to check first | \
[the report](report.md) |
| `colorbatch retouch SOURCE OUTPUT` | opens a page on which you say which colours are right; later runs keep them | \
[retouch](retouch.md) |
| `colorbatch audit OUTPUT` | proves that nothing is missing and only colour was added | \
[for archives](archives.md#audit) |
| `colorbatch sign OUTPUT` | signs the outputs of a folder | [Content Credentials](content-credentials.md) |
| `colorbatch restore OUTPUT DESTINATION` | restores grey JPEGs, bit for bit | [for archives](archives.md#how-to-undo) |
| `colorbatch package OUTPUT DESTINATION` | writes a finished folder as an archive takes it: BagIt, PREMIS, IIIF | \
[packages](packages.md) |
| `colorbatch train COLOR_DIR` | trains a network on colour pictures | [train your own](train_your_own.md) |
| `colorbatch average CHECKPOINT...` | averages several checkpoints | [train your own](train_your_own.md#train) |
| `colorbatch export CHECKPOINT` | writes an ONNX model, after comparing it with PyTorch | \
[train your own](train_your_own.md#export) |
| `colorbatch adopt FILE` | makes a model of a published network: DDColor, DeOldify, Zhang 2016 and 2017 | \
[another network](bring-another-network.md) |
| `colorbatch verify MODEL CHECKPOINT` | repeats that comparison | [train your own](train_your_own.md#export) |
| `colorbatch evaluate COLOR_DIR` | measures a model on colour pictures | [train your own](train_your_own.md#measure) |
| `colorbatch inspect MODEL` | shows the contract of a model file | [the model contract](model_contract.md) |
| `colorbatch models` | lists the built-in models | [which model](pictures.md#which-model) |
| `colorbatch preview FILE` | colours one picture with several models, vividness levels or strengths, side by side; \
`--card`: a before/after card to show | [quick start](quick_start.md#4-choose) |
| `colorbatch doctor FOLDER` | tests what works on this machine, and says what to install | \
[install](install.md#check) |

Below is what `colorbatch COMMAND --help` prints. Options come before or after the folders; `--` ends them. The options
of `run` are described in more detail in [Options of run](run.md), the exit codes in
[Scripting](scripting.md#exit-codes). [Completion in the shell](completion.md) takes one line.
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
