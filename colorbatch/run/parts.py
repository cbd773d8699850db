"""The parts of a run: the sources of each model, since what a person said of a source may name another model."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from colorbatch.errors import ColorbatchError, ModelRefusedError, UsageError
from colorbatch.inference.colorizer import resolved
from colorbatch.inference.model_file import read_model_file
from colorbatch.run.colorize import Recipe
from colorbatch.run.plan import PlannedPicture
from colorbatch.text import printable


@dataclass(frozen=True)
class Part:
    """Sources that are coloured by one model."""

    recipe: Recipe
    plan: Sequence[PlannedPicture]


def parts_of(recipe: Recipe, plan: Sequence[PlannedPicture], *, is_lenient: bool = False) -> list[Part]:
    """Return the part with the model of the run, even if it is empty, and one for each other model.

    Args:
        recipe: that of the run.
        plan: all sources.
        is_lenient: whether sources whose model is refused, or does not fit the options, are to fail alone.

    Raises:
        ModelRefusedError: another model does not keep the contract.
        UsageError: the options of the run do not fit another model.

    """
    own = os.fspath(recipe.job.model)
    by_model: dict[str, list[PlannedPicture]] = {own: []}
    for each in plan:
        model = each.retouch.model if each.retouch is not None and each.verdict == "colour" else None
        by_model.setdefault(model or own, []).append(each)
    parts = [Part(recipe, by_model.pop(own))]
    for model, sources in by_model.items():
        try:
            parts.append(Part(_released(_of_record(recipe, model, sources)), sources))
        except (ModelRefusedError, UsageError) as error:
            if not is_lenient:
                raise
            failing = [replace(each, verdict="failed", reason=reason_of_refusal(error)) for each in sources]
            parts[0] = Part(recipe, [*parts[0].plan, *failing])
    return parts


def reason_of_refusal(error: ColorbatchError) -> str:
    """Return why sources fail alone for which the retouch record names a model that cannot be used."""
    cause = error.__cause__ if isinstance(error.__cause__, ColorbatchError) else error
    return f"the model that the retouch record names: {cause}"


def _of_record(recipe: Recipe, name: str, sources: Sequence[PlannedPicture]) -> Recipe:
    """Return the recipe with a model that the retouch record names for some sources.

    Raises:
        ModelRefusedError: the model does not keep the contract; the message names the record and the first source.
        UsageError: the other options do not fit it.

    """
    try:
        return with_model(recipe, name)
    except ModelRefusedError as error:
        raise ModelRefusedError(
            f"the retouch record, {printable(sources[0].input)}: {error}", advice=error.advice
        ) from error


def _released(recipe: Recipe) -> Recipe:
    """Return the recipe of a part that may have to wait long, so that its model is not held if it is large."""
    return replace(recipe, model=recipe.model.released())


def with_model(recipe: Recipe, name: str) -> Recipe:
    """Return the recipe with another model; a vividness that it does not support is left out.

    Raises:
        ModelRefusedError: the model does not keep the contract.
        UsageError: the other options do not fit it.

    """
    model, options = read_model_file(name), recipe.job.options
    if model.contract.vividness is None:
        options = replace(options, vividness=None)
    job = replace(recipe.job, model=name, options=options)
    return Recipe(job, model, resolved(options, model.contract))
