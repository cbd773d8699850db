"""Options from a file: ``colorbatch.toml`` in the working folder, or the one that ``--config`` names."""

import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from colorbatch.errors import UsageError
from colorbatch.location import without_secrets
from colorbatch.text import did_you_mean

CONFIG_NAME = "colorbatch.toml"
_TABLES = frozenset({"run", "evaluate", "package"})
"""Tables of the config file: one for each command with ``--config``."""
_EFFECTIVE = "colorbatch.config"
_F = TypeVar("_F", bound=Callable[..., Any])


def config_option(function: _F) -> _F:
    """Add ``--config``: options that are not given on the command line come from the table of the command."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_read,
        help=f"A TOML file with options. [default: {CONFIG_NAME} in the working folder]",
    )(function)


def effective_config(ctx: click.Context) -> Path | None:
    """Return the config file that was read, if there is one."""
    path: Path | None = ctx.meta.get(_EFFECTIVE)
    return path


_NO_SETTINGS = ("dry_run", "look")
"""Options that are no settings of a run."""


def effective_settings(ctx: click.Context) -> Mapping[str, tuple[str, str]]:
    """Return the value and the origin of every option of a command."""
    words = {ParameterSource.COMMANDLINE: "command line", ParameterSource.DEFAULT_MAP: "config file"}
    return {
        max(option.opts, key=len).lstrip("-"): (
            _to_text(ctx.params[option.name]),
            words.get(ctx.get_parameter_source(option.name), "default"),  # type: ignore[arg-type]
        )
        for option in _options(ctx)
        if option.name in ctx.params and option.name not in _NO_SETTINGS
    }


def _to_text(value: object) -> str:
    match value:
        case None:
            return "not set"
        case bool():
            return str(value).lower()
        case tuple():
            return " ".join(map(str, value)) or "none"
        case _:
            return without_secrets(str(value))


def _read(ctx: click.Context, _parameter: click.Parameter, given: Path | None) -> None:
    path = given or Path(CONFIG_NAME)
    try:
        tables = _parsed(path.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        if given is None:
            return
        raise UsageError(f"the config file {path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read the config file {path}: {error}") from error
    command = str(ctx.info_name)
    table = tables.get(command, {})
    known = {name.lstrip("-"): (option, False) for option in _options(ctx) for name in option.opts}
    known |= {name.lstrip("-"): (option, True) for option in _options(ctx) for name in option.secondary_opts}
    known = {name: found for name, found in known.items() if len(name) > 1 and name not in ("config", "help")}
    unknown = set(tables) - _TABLES or (set(table) - set(known) if isinstance(table, dict) else {command})
    if unknown:
        meant = [_meant_by(each, command, known) for each in sorted(unknown)]
        there = f"The table [{command}] may have these options: {', '.join(sorted(known))}."
        raise UsageError(
            f"the config file {path} has unknown options: {', '.join(sorted(unknown))}",
            advice=" ".join(filter(None, [*meant, there])),
        )
    values = {}
    for name, value in table.items():
        option, is_opposite = known[name]
        if is_opposite and not isinstance(value, bool):
            raise UsageError(f"in the config file {path}, {name} must be true or false")
        if option.multiple and isinstance(value, str):
            value = [value]  # noqa: PLW2901 (a single value is a list of one)
        try:
            option.type_cast_value(ctx, value)
        except click.BadParameter as error:
            raise UsageError(f"in the config file {path}, {name}: {error.message}") from error
        except (TypeError, ValueError) as error:
            raise UsageError(f"in the config file {path}, {name} has the wrong type: {value!r}") from error
        values[str(option.name)] = not value if is_opposite else value
    ctx.default_map = values
    ctx.meta[_EFFECTIVE] = path


def _meant_by(name: str, command: str, known: Collection[str]) -> str:
    """Return advice for an unknown name of a config file."""
    if name in known:
        return f"Put {name} below a line [{command}]."
    return did_you_mean(name, {*known, *_TABLES})


def _parsed(text: str) -> dict[str, Any]:
    """Parse TOML with a reader that is imported only here: the help need not wait for it."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    tables: dict[str, Any] = tomllib.loads(text)
    return tables


def _options(ctx: click.Context) -> list[click.Option]:
    return [parameter for parameter in ctx.command.params if isinstance(parameter, click.Option)]
