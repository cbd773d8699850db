"""``colorbatch models``: list the built-in models."""

import json
from dataclasses import asdict

import click

from colorbatch.cli import options, terminal
from colorbatch.inference.model_file import built_in_models, read_model_file
from colorbatch.job import DEFAULT_MODEL


@click.command("models", short_help="List the built-in models.")
@options.json_option
def command(*, as_json: bool) -> None:
    """List the models that ship with colorbatch, for --model.

    \b
    Example:
      colorbatch models
    """
    found = [read_model_file(name) for name in built_in_models()]
    if as_json:
        facts = [{**asdict(each.contract), "bytes": len(each.data), "sha256": each.sha256} for each in found]
        terminal.answer(json.dumps(facts))
        return
    rows = [
        [
            each.contract.name + (" (the default)" if each.contract.name == DEFAULT_MODEL else ""),
            each.contract.architecture,
            f"{len(each.data) / 1e6:.1f} MB",
            str(each.contract.working_size),
            "none" if each.contract.vividness is None else f"{each.contract.vividness:g}",
            each.sha256[:12],
        ]
        for each in found
    ]
    terminal.answer(terminal.table(["name", "architecture", "size", "working size", "vividness", "sha256"], rows))
