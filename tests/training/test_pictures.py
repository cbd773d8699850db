from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import MakePictures

from colorbatch.progress import SilentProgress
from colorbatch.training import dataset
from colorbatch.training.config import TrainingConfig
from colorbatch.training.pictures import TrainingPictures, balanced_weights, load_pictures

CPU = torch.device("cpu")


@pytest.fixture
def config(make_pictures: MakePictures, tmp_path: Path) -> TrainingConfig:
    folder = make_pictures("color", *(f"many/{number}.png" for number in range(16)), "few/sub/a.png")
    return TrainingConfig(folder, tmp_path / "out", size=64, crop=64, batch_size=4, aged=0.5)


def loaded(config: TrainingConfig) -> TrainingPictures:
    return load_pictures(config, CPU, SilentProgress())


def test_sources_are_drawn_by_a_power_of_their_number() -> None:
    names = ["a/1", "a/x/2", "a/y/3", "a/4", "b/1", "5.png"]
    for balance, of_a in ((1.0, 4.0), (0.5, 2.0), (0.0, 1.0)):
        weights = balanced_weights(names, balance)
        assert weights[:4].sum() == pytest.approx(of_a)
        assert weights[4:].tolist() == pytest.approx([1, 1])


def test_an_epoch_shows_every_picture_once_or_balanced_as_many(config: TrainingConfig) -> None:
    def names(balance: float, epochs: range) -> list[str]:
        pictures = loaded(replace(config, balance=balance))
        pairs = pictures.to_train.pairs
        return [pairs[place].name for epoch in epochs for place in pictures._order(epoch)]  # noqa: SLF001

    assert len(set(names(1, range(1)))) == 17
    drawn = names(0, range(60))
    assert len(drawn) == 60 * 17
    share = np.mean([name.startswith("few") for name in drawn])
    assert share == pytest.approx(0.5, abs=0.07)  # two sources, whatever their size
    assert names(0, range(3)) == names(0, range(3))


def test_seed_epoch_and_number_alone_decide_a_batch(config: TrainingConfig) -> None:
    pictures = loaded(config)
    whole, rest = list(pictures.of_epoch(1, skip=0)), list(pictures.of_epoch(1, skip=3))
    assert [len(batch.luma) for batch in whole] == [4, 4, 4, 4, 1]
    assert pictures.steps == 5
    assert all(torch.equal(one.luma, other.luma) for one, other in zip(whole[3:], rest, strict=True))
    assert not torch.equal(next(pictures.of_epoch(2, skip=0)).luma, whole[0].luma)
    assert not torch.equal(next(loaded(replace(config, seed=1)).of_epoch(1, skip=0)).luma, whole[0].luma)


@pytest.mark.parametrize("place", ["CACHE_SHARE_OF_MEMORY", "free_memory"])
def test_pictures_that_do_not_fit_give_the_same_batches(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Neither where they are decoded anew each time, nor where they stay in main memory."""
    expected = list(loaded(config).of_epoch(0, skip=0))
    monkeypatch.setattr(dataset, place, 0 if place.isupper() else lambda _: 0)
    found = list(loaded(config).of_epoch(0, skip=0))
    assert all(torch.equal(one.luma, other.luma) for one, other in zip(found, expected, strict=True))
    assert all(torch.equal(one.rgb, other.rgb) for one, other in zip(found, expected, strict=True))


def test_a_device_with_room_is_given_the_pictures_and_one_without_is_not(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def device_of_pixels(free: int) -> str:
        monkeypatch.setattr(dataset, "free_memory", lambda _: free)
        pictures = load_pictures(config, torch.device("meta"), SilentProgress())
        return pictures.to_train.dataset.canvas([0]).levels.device.type

    size = 17 * 64 * 70 * 4  # of 72 x 66 pixels, their short side shrunk to 64
    assert device_of_pixels(2 * size) == "meta"
    assert device_of_pixels(2 * size - 1) == "cpu"


def test_another_balance_is_another_training(config: TrainingConfig) -> None:
    assert loaded(config).sha256 == loaded(replace(config, balance=1.0)).sha256
    assert loaded(config).sha256 != loaded(replace(config, balance=0.7)).sha256
