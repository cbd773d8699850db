"""``colorbatch inspect``: show the contract of a model file."""

import json
from dataclasses import asdict
from typing import Any

import click

from colorbatch.cli import options, terminal
from colorbatch.inference.model_file import ModelFile, describe_tensor, read_model_file
from colorbatch.text import printable


@click.command("inspect")
@click.argument("model", type=options.MODEL, metavar="MODEL")
@options.json_option
def command(model: str, *, as_json: bool) -> None:
    """Show the contract, size, inputs and outputs of MODEL, an .onnx file or a built-in name.

    \b
    Example:
      colorbatch inspect unet
    """
    found = _facts(read_model_file(model))
    if as_json:
        terminal.answer(json.dumps(found))
        return
    terminal.answer(terminal.aligned({key.replace("_", " "): _to_text(value) for key, value in found.items()}))


def _facts(model: ModelFile) -> dict[str, Any]:
    return {
        "path": str(model.path),
        "bytes": model.size,
        "sha256": model.sha256,
        "opset": model.header.opsets.get("", 0),
        "inputs": [describe_tensor(info) for info in model.header.inputs],
        "optional_inputs": [describe_tensor(info) for info in model.header.optional_inputs],
        "outputs": [describe_tensor(info) for info in model.header.outputs],
        **asdict(model.contract),
    }


def _to_text(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    match value:
        case dict():
            return ", ".join(f"{key.replace('_', ' ')} {part}" for key, part in value.items())
        case list():
            return printable(", ".join(value)) or "none"
        case tuple():
            return f"{len(value)} bins"
        case bool():
            return "yes" if value else "no"
        case None:
            return "none"
        case _:
            return printable(str(value))
