"""Options that mean the same in every command, and therefore have the same name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from colorbatch.contract import MAX_SIZE
from colorbatch.job import DEFAULT_MODEL, ProviderName

_F = TypeVar("_F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


def model_option(function: _F) -> _F:
    """Add ``--model``."""
    return click.option(
        "--model",
        default=DEFAULT_MODEL,
        show_default=True,
        metavar="NAME|PATH",
        help="A built-in model by its name, or an .onnx file.",
    )(function)


def provider_option(function: _F) -> _F:
    """Add ``--provider``."""
    return click.option(
        "--provider",
        type=click.Choice(get_args(ProviderName)),
        default="auto",
        show_default=True,
        help="Where the model runs. One that is named is used or refused, never replaced.",
    )(function)


def working_size_option(function: _F) -> _F:
    """Add ``--working-size``."""
    return click.option(
        "--working-size",
        type=click.IntRange(1, MAX_SIZE),
        metavar="N",
        help="Short side in pixels that the network sees; the output keeps the source's size. "
        "[default: as the model says]",
    )(function)


def quiet_option(function: _F) -> _F:
    """Add ``--quiet``."""
    return click.option("-q", "--quiet", is_flag=True, help="Say nothing when all goes well.")(function)


def verbose_option(function: _F) -> _F:
    """Add ``--verbose``."""
    return click.option("-v", "--verbose", is_flag=True, help="Say more.")(function)


def json_option(function: _F) -> _F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")(function)
