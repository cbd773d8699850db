"""Options that mean the same in every command, and therefore have the same name."""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, get_args

import click
from click.shell_completion import CompletionItem
from typing_extensions import override

from colorbatch.errors import UsageError
from colorbatch.inference.contract import MAX_SIZE
from colorbatch.job import DEFAULT_MODEL, MAX_STRENGTH, ColorOptions, ProviderName, SignOptions
from colorbatch.location import Location, is_url, location_of, without_secrets
from colorbatch.shard import Shard
from colorbatch.text import did_you_mean

if TYPE_CHECKING:
    from colorbatch.pixels.hint import Hint

_F = TypeVar("_F", bound=Callable[..., Any])


class _Path(click.Path):
    """A path. An empty one, as from an unset variable of a script, is refused, and so is a URL."""

    refuses_urls = True

    def convert(
        self,
        value: "str | os.PathLike[str]",
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 (click's)
        if not os.fspath(value) or "\0" in os.fspath(value):
            self.fail("the path is empty or not a path", param, ctx)
        if self.refuses_urls and is_url(os.fspath(value)):
            self.fail(f"{without_secrets(os.fspath(value))} is in a store: copy it to a folder first", param, ctx)
        return super().convert(value, param, ctx)


class _Location(_Path):
    """A path, or the URL of a store."""

    refuses_urls = False

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        if isinstance(value, str) and is_url(value) and "\0" not in value:
            return location_of(value)
        return super().convert(value, param, ctx)


@dataclass(frozen=True)
class Place:
    """What is given as SOURCE or OUTPUT of a run."""

    location: Location | None
    """``None``: a dash, for stdin or stdout."""
    is_folder: bool = False
    """Whether it ends with a slash."""


class _Place(click.ParamType):  # type: ignore[type-arg] # not generic in older releases
    """A path, the URL of a store, or a dash."""

    name = "place"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        if isinstance(value, Place):
            return value
        if value == "-":
            return Place(None)
        return Place(LOCATION.convert(value, param, ctx), str(value).endswith(("/", os.sep)))

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return LOCATION.shell_complete(ctx, param, incomplete)


def refuse_too_few(ctx: click.Context, param: click.Parameter, places: tuple[Place, ...]) -> tuple[Place, ...]:
    """Check that a source and an output are given.

    Raises:
        click.MissingParameter: one of them is not.

    """
    if len(places) < 2 and not ctx.resilient_parsing:
        missing = "'OUTPUT'" if places else "'SOURCE'"
        raise click.MissingParameter(ctx=ctx, param=param, param_hint=missing, param_type="argument")
    return places


class Choice(click.Choice):  # type: ignore[type-arg] # not generic in older releases
    """One of a few words."""

    _MEANT: ClassVar[dict[str, str]] = {"gpu": "cuda", "nvidia": "cuda"}

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            meant = self._MEANT.get(str(value).lower())
            question = f"Did you mean {meant}?" if meant in self.choices else did_you_mean(str(value), self.choices)
            self.fail(f"{error.message} {question}".rstrip(), param, ctx)


class FiniteRange(click.FloatRange):
    """A range of numbers without infinity and NaN."""

    name = "number"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and re.fullmatch(r"\d*,\d+", value.strip()):
            self.fail(f"{value!r} is not a number: write it with a point, {value.replace(',', '.')}", param, ctx)
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


class ByteCount(click.ParamType):  # type: ignore[type-arg] # not generic in older releases
    """A number of bytes: ``800MB``, ``4GB``, ``2.5 GiB``."""

    name = "size"
    _UNITS: ClassVar[dict[str, int]] = {
        "": 1,
        "b": 1,
        "kb": 10**3,
        "mb": 10**6,
        "gb": 10**9,
        "tb": 10**12,
        "kib": 2**10,
        "mib": 2**20,
        "gib": 2**30,
        "tib": 2**40,
    }

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d+(?:\.\d+)?) *([kmgt]?i?b?)", str(value).strip().lower())
        unit = found and self._UNITS.get(found[2])
        if not found or not unit or not float(found[1]) * unit >= 1:
            self.fail(f"{value!r} is not a size such as 800MB or 4GB", param, ctx)
        return int(float(found[1]) * unit)


class ShardOfJob(click.ParamType):  # type: ignore[type-arg] # not generic in older releases
    """A share of a job: ``3/7``, or ``auto`` for the task of a SLURM array."""

    name = "shard"

    @override
    def get_metavar(self, *_: object, **__: object) -> str:
        return "I/N|auto"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Shard:
        return value if isinstance(value, Shard) else Shard.parse(str(value), os.environ)


class _Model(click.ParamType):  # type: ignore[type-arg] # not generic in older releases
    """The name of a model or the path of a model file; shells complete both."""

    name = "model"

    def get_metavar(self, *_: object, **__: object) -> str:
        return "NAME|PATH"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from colorbatch.inference.model_names import named_models

        names = [CompletionItem(name) for name in named_models() if name.startswith(incomplete)]
        return [*PATH.shell_complete(ctx, param, incomplete), *names]  # in Bash, files after the names would hide them


class _Hint(click.ParamType):  # type: ignore[type-arg] # not generic in older releases
    """A place in a picture, and its colour: ``0.31,0.52,#7a8b3c``."""

    name = "hint"

    @override
    def get_metavar(self, *_: object, **__: object) -> str:
        return "X,Y,#RRGGBB"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Hint":
        from colorbatch.pixels.hint import Hint  # NumPy takes half of the time of --help

        if isinstance(value, Hint):
            return value
        try:
            x, y, color = str(value).split(",")
            return Hint(float(x), float(y), color.strip())
        except ValueError as error:
            self.fail(
                f"{value!r} is not X,Y,#RRGGBB, with X and Y from 0 to 1, such as 0.31,0.52,#7a8b3c ({error})",
                param,
                ctx,
            )


PATH = _Path(path_type=Path)
HINT = _Hint()
LOCATION = _Location(path_type=Path)
PLACE = _Place()
MODEL = _Model()
WORKING_SIZE = click.IntRange(1, MAX_SIZE)
VIVIDNESS = FiniteRange(0, 1)
STRENGTH = FiniteRange(0, MAX_STRENGTH)


def model_option(function: _F) -> _F:
    """Add ``--model``."""
    return click.option(
        "--model",
        type=MODEL,
        default=DEFAULT_MODEL,
        show_default=True,
        help="The name of a model (see colorbatch models), or an .onnx file.",
    )(function)


def provider_option(function: _F) -> _F:
    """Add ``--provider``."""
    return click.option(
        "--provider",
        type=Choice(get_args(ProviderName)),
        default="auto",
        show_default=True,
        help="Where the model runs. cpu and cuda are never replaced.",
    )(function)


def jobs_option(function: _F) -> _F:
    """Add ``--jobs``."""
    return click.option(
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Number of pictures processed at the same time. [default: one per core]",
    )(function)


def retouch_options(function: _F) -> _F:
    """Add ``--retouch`` and ``--no-retouch`` for a run that is over."""
    record = click.option(
        "--retouch",
        type=PATH,
        metavar="FILE",
        help="Retouch record of the run. [default: OUTPUT/colorbatch-retouch.jsonl]",
    )
    none = click.option("--no-retouch", "ignore_retouch", is_flag=True, help="The run was made with --no-retouch.")
    return record(none(function))


def color_options(function: _F) -> _F:
    """Add all of :class:`colorbatch.job.ColorOptions`; the command receives them as ``color``."""

    @wraps(function)
    def with_options(
        *args: Any,  # noqa: ANN401
        working_size: int | None,
        vividness: float | None,
        strength: float,
        tta: bool,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        return function(*args, color=ColorOptions(working_size, vividness, strength, tta), **kwargs)

    for option in (_tta, _strength, _vividness, _working_size):  # the help shows the last one first
        with_options = option(with_options)
    return cast("_F", with_options)


_working_size = click.option(
    "--working-size",
    type=WORKING_SIZE,
    metavar="N",
    help="Short side in pixels that the network sees; outputs keep their size. [default: from the model]",
)
_vividness = click.option(
    "--vividness",
    type=VIVIDNESS,
    metavar="V",
    help="From 0 (careful) to 1 (vivid). [default: from the model]",
)
_strength = click.option(
    "--strength",
    type=STRENGTH,
    default=1.0,
    show_default=True,
    metavar="S",
    help="Scales the colours of any model; 0 is grey.",
)
_tta = click.option(
    "--tta/--no-tta",
    default=False,
    help="Average with the mirrored picture: calmer colours, twice the time.",
)


def sign_options(function: _F) -> _F:
    """Add all of :class:`colorbatch.job.SignOptions`; the command receives them as ``signing``, or ``None``."""

    @wraps(function)
    def with_options(
        *args: Any,  # noqa: ANN401
        sign_cert: Path | None,
        sign_key: Path | None,
        tsa: str | None,
        sign_strict: bool,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        if sign_cert is None and (sign_key is not None or tsa is not None or sign_strict):
            raise UsageError("a signature needs a certificate", advice="Give its chain with --sign-cert.")
        signing = None if sign_cert is None else SignOptions(sign_cert, sign_key, tsa, strict=sign_strict)
        return function(*args, signing=signing, **kwargs)

    for option in (_sign_strict, _tsa, _sign_key, _sign_cert):
        with_options = option(with_options)
    return cast("_F", with_options)


_sign_cert = click.option(
    "--sign-cert",
    type=PATH,
    metavar="CHAIN",
    help="Sign outputs (Content Credentials, C2PA) with this certificate chain in PEM.",
)
_sign_key = click.option(
    "--sign-key",
    type=PATH,
    metavar="KEY",
    help="Its private key in PEM. [default: the content of COLORBATCH_SIGN_KEY]",
)
_tsa = click.option("--tsa", metavar="URL", help="Time-stamp authority (RFC 3161) for signatures.")
_sign_strict = click.option("--sign-strict", is_flag=True, help="Pictures that cannot be signed fail.")


def quiet_option(function: _F) -> _F:
    """Add ``--quiet``."""
    return click.option("-q", "--quiet", is_flag=True, help="Print nothing when all goes well.")(function)


def verbose_option(function: _F) -> _F:
    """Add ``--verbose``."""
    return click.option("-v", "--verbose", is_flag=True, help="Print more.")(function)


def json_option(function: _F) -> _F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")(function)


def log_file_option(function: _F) -> _F:
    """Add ``--log-file``."""
    return click.option("--log-file", type=PATH, metavar="FILE", help="Append a log of everything to this file.")(
        function
    )
