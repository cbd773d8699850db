"""``colorbatch models``: list the built-in models, or those in folders."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from colorbatch.cli import options, terminal
from colorbatch.inference.contract import VERSION
from colorbatch.inference.model_file import ModelFile, read_model_file
from colorbatch.inference.model_names import built_in_models, search_folders
from colorbatch.operations.list_models import RefusedModel, list_models
from colorbatch.text import printable

_IN_WORDS = {
    "default": ("best", "1", "unless you know better"),
    "fast": ("a little paler", "1/2", "many pictures, no GPU"),
    "unet": ("lower", "3/4", "only for comparison"),
}
"""Quality, time of the network, and use of each model, from the model cards in ``docs``; the times were measured on one
core: 29, 15 and 23 ms for a square picture at the working size."""


_COLUMNS = ("name", "kind", "size", "working size", "licence", "contract")


@click.command("models")
@click.option("--path", "folder", type=options.PATH, metavar="DIR", help="List the .onnx files in this folder instead.")
@options.json_option
def command(folder: Path | None, *, as_json: bool) -> None:
    """List the models that ship with colorbatch, for --model: how good and how fast they are, and when to use which.

    Files in the folders of the environment variable COLORBATCH_MODELS have names too, and are listed below them.

    \b
    Example:
      colorbatch models
      colorbatch models --path models/
    """
    built_in = [] if folder is not None else [read_model_file(name) for name in built_in_models()]
    listed = [(each, list(list_models(each))) for each in ([folder] if folder is not None else _existing())]
    if as_json:
        terminal.answer(json.dumps([_facts(each) for each in (*built_in, *(one for _, own in listed for one in own))]))
        return
    if built_in:
        columns = ("name", "quality", "time on a CPU", "size", "when to use it")
        rows = [
            [each.contract.name, quality, time, _megabytes(each.size), use]
            for each in built_in
            for quality, time, use in [_IN_WORDS[each.contract.name]]
        ]
        terminal.answer(terminal.table(columns, rows))
    for place, found in listed:
        _show(place, found)
    terminal.answer("More about one of them: colorbatch inspect NAME. One of your own: --model PATH")


def _existing() -> Sequence[Path]:
    """Return the folders of the search path that exist: a missing one must not hide the others."""
    return [each for each in search_folders() if each.is_dir()]


def _show(folder: Path, found: Sequence[ModelFile | RefusedModel]) -> None:
    models = [each for each in found if isinstance(each, ModelFile)]
    if models:
        terminal.answer(terminal.table(_COLUMNS, [_row(each) for each in models], title=printable(str(folder))))
    for each in found:
        if isinstance(each, RefusedModel):
            terminal.answer(printable(f"Not a model, {_megabytes(each.size)}: {each.reason}. {each.advice}".rstrip()))
    if not found:
        terminal.answer(f"There is no .onnx file in {printable(str(folder))}.")


def _row(model: ModelFile) -> list[str]:
    contract, name = model.contract, model.path.stem
    hidden = " (the built-in one is meant)" if name in built_in_models() else ""
    facts = [contract.architecture, _megabytes(model.size), str(contract.working_size), contract.license, str(VERSION)]
    return [printable(each) for each in (name + hidden, *facts)]


def _facts(model: ModelFile | RefusedModel) -> dict[str, Any]:
    if isinstance(model, RefusedModel):
        problem = {"problem": model.reason, "advice": model.advice}
        return {"path": str(model.path), "bytes": model.size, **problem}
    return {**asdict(model.contract), "path": str(model.path), "bytes": model.size, "sha256": model.sha256}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
