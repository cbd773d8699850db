"""``colorbatch models``: list the built-in models."""

import json
from dataclasses import asdict

import click

from colorbatch.cli import options, terminal
from colorbatch.inference.model_file import built_in_models, read_model_file

_IN_WORDS = {
    "default": ("best", "1", "unless you know better"),
    "fast": ("a little paler", "1/2", "many pictures, no GPU"),
    "unet": ("lower", "3/4", "only for comparison"),
}
"""Quality, time of the network, and use of each model, from the model cards in ``docs``; the times were measured on one
core: 29, 15 and 23 ms for a square picture at the working size."""


@click.command("models")
@options.json_option
def command(*, as_json: bool) -> None:
    """List the models that ship with colorbatch, for --model: how good and how fast they are, and when to use which.

    \b
    Example:
      colorbatch models
    """
    found = [read_model_file(name) for name in built_in_models()]
    if as_json:
        facts = [{**asdict(each.contract), "bytes": len(each.data), "sha256": each.sha256} for each in found]
        terminal.answer(json.dumps(facts))
        return
    columns = ("name", "quality", "time on a CPU", "size", "when to use it")
    rows = [
        [each.contract.name, quality, time, f"{len(each.data) / 1e6:.1f} MB", use]
        for each in found
        for quality, time, use in [_IN_WORDS[each.contract.name]]
    ]
    terminal.answer(terminal.table(columns, rows))
    terminal.answer("More about one of them: colorbatch inspect NAME. One of your own: --model PATH")
