from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers import CommandLine
from networks import PLAIN, SMALL, small_ones

from colorbatch.errors import CheckpointRefusedError, UsageError
from colorbatch.training import checkpoint
from colorbatch.training.architectures import build_network
from colorbatch.training.averaging import average_checkpoints
from colorbatch.training.checkpoint import TrainingState


@pytest.fixture(autouse=True)
def _small_ones() -> Iterator[None]:
    with small_ones():
        yield


def saved(folder: Path, value: float, architecture: str = SMALL) -> Path:
    """Return a checkpoint whose every weight is ``value``."""
    network = build_network(architecture)
    with torch.no_grad():
        for weight in network.state_dict().values():
            weight.fill_(value)
    return checkpoint.save_epoch(folder, TrainingState(architecture, 128, 16, "0", epoch=round(value)), network)


def test_the_mean_is_one_of_every_weight(tmp_path: Path) -> None:
    paths = [saved(tmp_path, value) for value in (1, 2, 6)]
    average_checkpoints(paths, tmp_path / "mean.pth")
    network, loaded = checkpoint.load_network(tmp_path / "mean.pth")
    assert (loaded.architecture, loaded.size) == (SMALL, 128)
    for name, weight in network.state_dict().items():
        expected = 3.0 if weight.is_floating_point() else 1
        assert bool((weight == expected).all()), name


def test_one_that_is_given_twice_counts_twice(tmp_path: Path) -> None:
    one, four = saved(tmp_path, 1), saved(tmp_path, 4)
    average_checkpoints([one, one, four], tmp_path / "mean.pth")
    weights = checkpoint.load_checkpoint(tmp_path / "mean.pth").weights
    assert {float(weight.max()) for weight in weights.values() if weight.is_floating_point()} == {2.0}


def test_plain_state_dicts_have_a_plain_mean(tmp_path: Path) -> None:
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for path in paths:
        torch.save(build_network("unet").state_dict(), path)
    average_checkpoints(paths, tmp_path / "mean.pth")
    assert checkpoint.load_network(tmp_path / "mean.pth")[1].size is None


def test_what_has_no_mean_is_refused(tmp_path: Path) -> None:
    one, other = saved(tmp_path, 1), saved(tmp_path / "other", 1, PLAIN)
    with pytest.raises(CheckpointRefusedError, match=PLAIN):
        average_checkpoints([one, other], tmp_path / "mean.pth")
    with pytest.raises(UsageError, match="a mean needs at least two"):
        average_checkpoints([one], tmp_path / "mean.pth")
    with pytest.raises(UsageError, match="cannot write the mean"):
        average_checkpoints([one, one], one)
    assert not (tmp_path / "mean.pth").exists()


def test_the_command_writes_what_export_takes(tmp_path: Path, command_line: CommandLine) -> None:
    paths = [saved(tmp_path, value) for value in (1, 2)]
    assert command_line("average", "-q", *paths, "-o", tmp_path / "mean.pth") == 0
    assert checkpoint.load_network(tmp_path / "mean.pth")[1].architecture == SMALL
    assert command_line("average", *paths) == 2
    assert command_line("average", paths[0], tmp_path / "missing.pth", "-o", tmp_path / "mean.pth") == 3
