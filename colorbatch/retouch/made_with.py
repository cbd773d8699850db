"""The model and the settings that the outputs of a folder were made with, so that a retouch changes nothing else."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

from colorbatch.errors import UsageError
from colorbatch.inference.model_file import name_with
from colorbatch.inference.model_names import named_models
from colorbatch.job import (
    DEFAULT_MODEL,
    AlreadyColor,
    BatchJob,
    ColorOptions,
    DigitalSourceType,
    DoubtfulColor,
    JpegLuma,
    ProviderName,
    Sidecars,
)
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.row import Row
from colorbatch.run.colorize import Recipe
from colorbatch.text import printable

_CHOICES: Mapping[str, Sequence[object]] = {
    "already_color": get_args(AlreadyColor),
    "doubtful_color": get_args(DoubtfulColor),
    "jpeg_luma": get_args(JpegLuma),
    "digital_source_type": (*get_args(DigitalSourceType), None),
    "convert_profile": (False, True),
    "sidecars": get_args(Sidecars),
    "tta": (False, True),
}
_NUMBERS = ("working_size", "vividness", "strength")
_OPTIONS = {each.name for each in fields(ColorOptions)}
_MARGIN = 1.01


@dataclass(frozen=True)
class Choices:
    """What the user chose for a session; ``None``: as the outputs were made."""

    model: str | None = None
    working_size: int | None = None
    vividness: float | None = None
    strength: float | None = None
    tta: bool | None = None
    provider: ProviderName = "auto"

    @property
    def has_options(self) -> bool:
        """Whether the user chose how to colour."""
        return any(getattr(self, name) is not None for name in _OPTIONS)

    def options(self, made: Mapping[str, object]) -> ColorOptions:
        """Return the options of the outputs, with those that the user chose in their place."""
        chosen = {name: getattr(self, name) for name in _OPTIONS if getattr(self, name) is not None}
        return ColorOptions(**{name: made[name] for name in _OPTIONS & made.keys()} | chosen)  # type: ignore[arg-type]


def usual_row(rows: Iterable[Row]) -> Row | None:
    """Return a row with the most frequent model and settings; ``None``: no output was coloured.

    Outputs about which a person said something count only if there are no others: they may have another model.
    """
    done = [row for row in rows if row.status == "done" and row.model_sha256 is not None]
    counted = [row for row in done if row.retouch_sha256 is None] or done
    kinds = Counter((row.model_sha256, row.settings_sha256) for row in counted)
    if not kinds:
        return None
    ((usual, _),) = kinds.most_common(1)
    return next(row for row in counted if (row.model_sha256, row.settings_sha256) == usual)


def refuse_other_settings(recipe: Recipe, usual: Row | None, choices: Choices) -> None:
    """Check that what is saved will be made as the other outputs were, unless the user chose otherwise.

    Args:
        recipe: that of the session.
        usual: from :func:`usual_row`.
        choices: what the user chose.

    Raises:
        UsageError: the rows do not tell all settings, as those of older versions.

    """
    if usual is None or usual.model_sha256 != recipe.model.sha256 or choices.has_options:
        return
    if usual.settings_sha256 != recipe.settings_sha256:
        raise UsageError(
            f"{MANIFEST_NAME} does not tell all settings that the outputs were made with",
            advice="Give those of the run, such as --vividness, or run the job again with this version first.",
        )


def sidecars_for(row: Row | None, job: BatchJob) -> Sidecars:
    """Return how the sidecars of a source are used, which is no part of the hash of settings: as for its output.

    Args:
        row: of the source; ``None``: it has none.
        job: that of the session, for a source whose row does not tell.

    """
    return _sidecars_said(row) or job.sidecars


def _sidecars_said(row: Row | None) -> Sidecars | None:
    """Return how the sidecars of an output were used; ``None``: it has none, and was kept whatever was chosen."""
    if row is None or row.status != "done":
        return None
    said = row.settings.get("sidecars", None if row.sidecars_sha256 is None else BatchJob.sidecars)
    return next((each for each in get_args(Sidecars) if each == said), None)


def job_of(source: Path, output: Path, rows: Iterable[Row], usual: Row | None, choices: Choices) -> BatchJob:
    """Return the job of a session: that with which most outputs were made, with what the user chose in its place.

    Args:
        source: of the job.
        output: likewise.
        rows: those of the output folder.
        usual: from :func:`usual_row`.
        choices: what the user chose.

    Raises:
        UsageError: the outputs were made by a model that is not known by a name, or with settings that this version
            does not know.

    """
    done = [row for row in rows if row.status == "done"]
    made = {} if usual is None else _checked(usual.settings)
    others = {name: value for name, value in made.items() if name not in _OPTIONS}
    if sidecars := Counter(filter(None, map(_sidecars_said, done))).most_common(1):
        others["sidecars"] = sidecars[0][0]
    largest = max(((row.width or 0) * (row.height or 0) * _MARGIN / 1e6 for row in done), default=0.0)
    return BatchJob(
        source,
        output,
        model=choices.model or (DEFAULT_MODEL if usual is None else _model_of(usual)),
        provider=choices.provider,
        options=choices.options(made),
        salvage=any(row.is_salvaged for row in done),
        max_megapixels=max(BatchJob.max_megapixels, largest),
        **others,  # type: ignore[arg-type]
    )


def _checked(settings: Mapping[str, object]) -> Mapping[str, object]:
    """Return settings from an untrusted manifest.

    Raises:
        UsageError: one is unknown, or not of its kind.

    """
    for name, value in settings.items():
        is_number = name in _NUMBERS and isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number and value not in _CHOICES.get(name, ()):
            raise UsageError(
                f"{MANIFEST_NAME} has a setting that this version does not know: "
                f"{printable(name)[:40]} = {printable(str(value))[:40]}",
                advice="Run the job again with this version first.",
            )
    return settings


def _model_of(row: Row) -> str:
    """Return the name of the model that made an output.

    Raises:
        UsageError: no model with a name did.

    """
    name = name_with(row.model_sha256, row.model)
    if name is not None:
        return name
    advice = "Give its file with --model PATH; with another model, retouched pictures would differ from the rest."
    if row.model in named_models():
        advice = f"It is the {row.model} of another version. {advice} --model {row.model} takes that of this one."
    raise UsageError(
        "the outputs were made by a model that has no name here and is not built in: "
        f"{printable(str(row.model))[:40]}, sha256 {printable(str(row.model_sha256))[:12]}",
        advice=advice,
    )
