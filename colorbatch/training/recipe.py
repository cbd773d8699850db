"""Recipes: named sets of options of a training, as TOML files next to this module."""

import sys
from pathlib import Path
from typing import Any

from colorbatch.extras import needs_extra

_FOLDER = Path(__file__).parent / "recipes"
RECIPES = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def read_recipe(name: str) -> dict[str, Any]:
    """Return the fields of :class:`colorbatch.training.config.TrainingConfig` that a recipe sets, by name.

    Raises:
        MissingExtraError: this Python has no TOML reader, and the package that has one is not installed.

    """
    with needs_extra("train"):
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
    settings: dict[str, Any] = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return settings
