"""``colorbatch doctor``: show what works on this machine."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colorbatch.cli import options, terminal
from colorbatch.errors import ExitCode
from colorbatch.text import printable

if TYPE_CHECKING:
    from colorbatch.formats.trial import Trial
    from colorbatch.operations.doctor import Diagnosis


@click.command("doctor", short_help="Test what works on this machine.")
@click.argument("folder", type=options.PATH, required=False)
@options.json_option
@click.pass_context
def command(ctx: click.Context, /, folder: Path | None, *, as_json: bool) -> None:
    """Test everything that colorbatch run needs on this machine, and say what is missing and how to install it.

    A built-in model is run on every provider, and a tiny picture of every kind is written and read. A temporary file is
    written to FOLDER, the output folder. The exit code is 0 if colorbatch run can work here, 4 if it cannot.

    \b
    Example:
      colorbatch doctor out/
    """
    from colorbatch.operations.doctor import diagnose

    terminal.set_up_logging(verbose=False, quiet=True)
    found = diagnose(folder)
    if as_json:
        terminal.answer(json.dumps(asdict(found) | {"works": found.works}))
    else:
        terminal.answer("\n\n".join(terminal.aligned(facts) for facts in _facts(found) if facts))
        terminal.answer("")
        for problem in found.problems:
            terminal.answer(printable(problem))
        terminal.answer(f"colorbatch run can{'' if found.works else 'not'} work here.")
    ctx.exit(ExitCode.OK if found.works else ExitCode.ENVIRONMENT)


def _facts(found: "Diagnosis") -> Iterator[dict[str, str]]:
    """Yield the results in groups, as texts by name."""
    from rich.filesize import decimal

    allowed = f", {found.cores_allowed} of them for this process" if found.cores_allowed != found.cores else ""
    limit = f", {decimal(found.memory_limit)} of it for this container" if found.memory_limit is not None else ""
    yield {
        **found.versions,
        "system": found.system,
        "cores": f"{found.cores}{allowed}",
        "memory": f"{decimal(found.memory)}{limit}",
    }
    yield {f"provider {each.name}": printable(each.problem) or "works" for each in found.providers}
    yield {
        f"model {each.name}": f"{decimal(each.bytes)}, sha256 {each.sha256}: {printable(each.problem) or 'works'}"
        for each in found.models
    }
    yield {each.kind: _codec_state(each) for each in found.codecs}
    yield {
        f"extra {each.name}": f"lacks {', '.join(each.missing)}: {each.pip}" if each.missing else "installed"
        for each in found.extras
    }
    if found.folder is not None:
        state = found.folder
        free = "" if state.bytes_free is None else f", {decimal(state.bytes_free)} free"
        made = "" if Path(state.tried_in) == Path(state.path).absolute() else f", to be created in {state.tried_in}"
        yield {f"folder {printable(state.path)}": printable(f"{state.problem or 'can be written to'}{made}{free}")}


def _codec_state(trial: "Trial") -> str:
    if trial.problem:
        return printable(f"{'written, not read' if trial.writes else 'does not work'}: {trial.problem}")
    return "read and written" if trial.writes else "read"
