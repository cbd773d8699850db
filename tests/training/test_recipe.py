from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from helpers import CommandLine, MakePictures

from colorbatch.errors import UsageError
from colorbatch.training import loop
from colorbatch.training.config import ARCHITECTURE_NAMES, TrainingConfig
from colorbatch.training.recipe import RECIPES, read_recipe


def test_there_is_a_recipe_for_the_seed_and_for_the_built_in_model() -> None:
    assert set(RECIPES) == {"seed", "default", "default-2", "default-3", "wide", "wide-2"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_sets_only_what_a_training_knows(name: str) -> None:
    assert set(read_recipe(name)) <= {field.name for field in fields(TrainingConfig)}


def test_the_recipe_of_the_seed_is_the_published_one() -> None:
    published: dict[str, Any] = {"size": 160, "batch_size": 16, "epochs": 50, "learning_rate": 1e-4, "loss": "mse"}
    assert read_recipe("seed").items() >= published.items()


@pytest.mark.parametrize("name", RECIPES)
def test_the_options_of_a_recipe_fit_together(name: str, tmp_path: Path) -> None:
    """All that is left to complain of is that there are no pictures."""
    with pytest.raises(UsageError, match="is not a folder"):
        loop.train(TrainingConfig(**{"color_dir": tmp_path / "none", "out": tmp_path / "out", **read_recipe(name)}))


def test_the_later_stage_of_wide_differs_in_what_it_shows_and_how_fast_it_learns() -> None:
    first, second = read_recipe("wide"), read_recipe("wide-2")
    assert {key for key in first if first[key] != second[key]} == {"crop", "batch_size", "epochs", "learning_rate"}


def test_every_architecture_on_offer_can_be_built() -> None:
    from colorbatch.training.architectures import ARCHITECTURES

    assert tuple(ARCHITECTURES) == ARCHITECTURE_NAMES


def test_options_on_the_command_line_come_before_the_recipe(
    command_line: CommandLine, make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[TrainingConfig] = []

    def fake_train(config: TrainingConfig, *_: object) -> loop.TrainingResult:
        received.append(config)
        return loop.TrainingResult([], finished=True, last_checkpoint=None)

    monkeypatch.setattr(loop, "train", fake_train)
    folder = make_pictures("color", "a.png")
    assert command_line("train", folder, "--epochs", 3, "--recipe", "default", "--out", tmp_path / "out") == 0
    (config,) = received
    assert config.epochs == 3
    assert config.architecture == read_recipe("default")["architecture"] == "lite0-unet"
    assert config.ema == read_recipe("default")["ema"]
    assert command_line("train", folder, "--out", tmp_path / "out") == 0
    assert received[1] == TrainingConfig(folder, tmp_path / "out")
