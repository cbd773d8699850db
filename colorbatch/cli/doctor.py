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

_EXTRAS = {"heif": "HEIC", "raw": "raw"}
"""Extras without which a kind of pictures is not read, and that kind."""


@click.command("doctor")
@click.argument("folder", type=options.PATH, required=False)
@click.option("--all", "show_all", is_flag=True, help="Show every package, model, kind of picture and extra.")
@options.json_option
@click.pass_context
def command(ctx: click.Context, /, folder: Path | None, *, show_all: bool, as_json: bool) -> None:
    """Test what colorbatch run needs on this machine, and say what is missing and how to install it.

    A built-in model is run on every provider, and a tiny picture of every kind is written and read. A temporary file is
    written to FOLDER, the output folder. The exit code is 0 if colorbatch run can work here, 4 if it cannot.

    \b
    Example:
      colorbatch doctor out/
      colorbatch doctor --all
    """
    from colorbatch.operations.doctor import diagnose

    terminal.set_up_logging(verbose=False, quiet=True)
    found = diagnose(folder)
    if as_json:
        terminal.answer(json.dumps(asdict(found) | {"works": found.works}))
    else:
        terminal.answer(
            "\n\n".join(terminal.aligned(facts) for facts in (_facts if show_all else _short_facts)(found) if facts)
        )
        terminal.answer("")
        for problem in found.problems:
            terminal.answer(printable(problem))
        terminal.answer(f"colorbatch run can{'' if found.works else 'not'} work here.")
    ctx.exit(ExitCode.OK if found.works else ExitCode.ENVIRONMENT)


def _short_facts(found: "Diagnosis") -> Iterator[dict[str, str]]:
    """Yield what a user needs in groups, as texts by name: what works as a whole, and what does not, one by one."""
    from rich.filesize import decimal

    packages = ("colorbatch", "python", "onnxruntime", "onnxruntime-gpu")
    yield {**{name: found.versions[name] for name in packages if name in found.versions}, **_machine(found)}
    models = {
        f"model {each.name}": f"{decimal(each.bytes)}: {printable(each.problem) or 'works'}" for each in found.models
    }
    yield {**_providers(found), **models}
    missing = [each for each in found.extras if each.name in _EXTRAS and each.missing]
    expected = [each for each in found.codecs if each.kind not in {_EXTRAS[extra.name] for extra in missing}]
    sound = sum(not each.problem for each in expected)
    failing = {each.kind: _codec_state(each) for each in expected if each.problem}
    yield {"kinds of pictures": f"{sound} of {len(expected)} work", **failing}
    yield {f"{_EXTRAS[each.name]} files": f"not read; to have them read: {each.pip}" for each in missing}
    yield _folder(found)


def _facts(found: "Diagnosis") -> Iterator[dict[str, str]]:
    """Yield all results in groups, as texts by name."""
    from rich.filesize import decimal

    yield {**found.versions, **_machine(found)}
    yield _providers(found)
    yield {
        f"model {each.name}": f"{decimal(each.bytes)}, sha256 {each.sha256}: {printable(each.problem) or 'works'}"
        for each in found.models
    }
    yield {each.kind: _codec_state(each) for each in found.codecs}
    yield {
        f"extra {each.name}": f"lacks {', '.join(each.missing)}: {each.pip}" if each.missing else "installed"
        for each in found.extras
        if each.name != "cuda" or found.has_gpu or not each.missing
    }
    yield _folder(found)


def _machine(found: "Diagnosis") -> dict[str, str]:
    from rich.filesize import decimal

    allowed = f", {found.cores_allowed} of them for this process" if found.cores_allowed != found.cores else ""
    limit = f", {decimal(found.memory_limit)} of it for this container" if found.memory_limit is not None else ""
    return {
        "system": found.system,
        "cores": f"{found.cores}{allowed}",
        "memory": f"{decimal(found.memory)}{limit}",
    }


def _providers(found: "Diagnosis") -> dict[str, str]:
    states = {f"provider {each.name}": printable(each.problem) or "works" for each in found.providers}
    if not found.has_gpu and states.get("provider cuda", "works") != "works":
        states["provider cuda"] = "no NVIDIA GPU was found, and none is needed"
    return states


def _folder(found: "Diagnosis") -> dict[str, str]:
    from rich.filesize import decimal

    if found.folder is None:
        return {}
    state = found.folder
    free = "" if state.bytes_free is None else f", {decimal(state.bytes_free)} free"
    if Path(state.tried_in) == Path(state.path).absolute():
        text = state.problem or "can be written to"
    else:
        text = f"does not exist; {state.problem or 'colorbatch run can create it'}, in {state.tried_in}"
    return {f"folder {printable(state.path)}": printable(f"{text}{free}")}


def _codec_state(trial: "Trial") -> str:
    if trial.problem:
        return printable(f"{'written, not read' if trial.writes else 'does not work'}: {trial.problem}")
    return "read and written" if trial.writes else "read"
