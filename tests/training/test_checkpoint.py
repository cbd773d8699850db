import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import small_model

from colorbatch.errors import CheckpointRefusedError, ExitCode
from colorbatch.training import checkpoint
from colorbatch.training.checkpoint import EpochMetrics, TrainingState
from colorbatch.training.config import Keep
from colorbatch.training.unet import ColorizationUNet


@pytest.fixture(scope="module")
def network() -> ColorizationUNet:
    torch.manual_seed(1)
    return ColorizationUNet().eval()


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_plain_state_dict_of_the_seeds_code_loads(network: ColorizationUNet, tmp_path: Path) -> None:
    path = tmp_path / "seed.pth"
    torch.save(network.state_dict(), path)  # exactly what the seed's code does
    found, loaded = checkpoint.load_network(path)
    assert same(found, network)
    assert (loaded.architecture, loaded.size) == ("unet", None)


def test_an_epoch_checkpoint_loads(network: ColorizationUNet, tmp_path: Path) -> None:
    path = checkpoint.save_epoch(tmp_path, TrainingState("unet", 128, 16, "0", epoch=3), network)
    assert path == tmp_path / "checkpoints" / "colorization_epoch_3.pth"
    found, loaded = checkpoint.load_network(path)
    assert same(found, network)
    assert loaded.size == 128


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code from a checkpoint ran",)


@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: {"format": checkpoint.FORMAT, "state": evil}])
@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, 2))])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    wrap: Callable[[Evil], object],
    save: Callable[[object, Path], object],
) -> None:
    path = tmp_path / "evil.pth"
    save(wrap(Evil()), path)
    with pytest.raises(CheckpointRefusedError, match="contains code") as refused:
        checkpoint.load_checkpoint(path)
    assert refused.value.exit_code == ExitCode.MODEL_REFUSED
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"weights": 5},
        [1, 2],
        {"format": checkpoint.FORMAT},
        {"format": checkpoint.FORMAT, "state": {"architecture": [], "size": "x"}, "weights": 5},
        {"format": checkpoint.FORMAT, "state": {"architecture": "unet", "size": 64}, "weights": 5},
        {"format": checkpoint.FORMAT, "state": {}, "weights": {}},
        {"format": checkpoint.FORMAT, "state": {"architecture": "other", "size": 64}, "weights": {}},
        {"enc1.conv.weight": torch.zeros(3)},
    ],
)
def test_what_holds_no_known_network_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "x.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointRefusedError):
        checkpoint.load_network(path)


def test_a_damaged_or_missing_file_is_refused(network: ColorizationUNet, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save(network.state_dict(), path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(CheckpointRefusedError, match=r"is not a checkpoint|contains code"):
        checkpoint.load_checkpoint(path)
    path.write_bytes(b"\x80\x02.")  # pops an empty stack
    with pytest.raises(CheckpointRefusedError, match="is not a checkpoint"):
        checkpoint.load_checkpoint(path)
    with pytest.raises(CheckpointRefusedError, match="cannot read"):
        checkpoint.load_checkpoint(tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("content", "reason", "advice"),
    [
        (b"", "it is empty", "Copy it again"),
        (b"<!doctype html>", "it is a web page (HTML)", "Download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS", "git lfs pull"),
        (small_model().SerializeToString(), "it is an ONNX model", ".pth file written by colorbatch train"),
    ],
)
def test_what_is_no_checkpoint_is_called_by_its_name(tmp_path: Path, content: bytes, reason: str, advice: str) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointRefusedError) as refused:
        checkpoint.load_checkpoint(path)
    assert str(refused.value) == f"{path} is not a checkpoint: {reason}"
    assert advice in refused.value.advice


def test_weights_alone_cannot_be_resumed_from(network: ColorizationUNet, tmp_path: Path) -> None:
    path = checkpoint.save_epoch(tmp_path, TrainingState("unet", 64, 16, "0", epoch=1), network)
    path.rename(tmp_path / "checkpoints" / "last.pth")
    with pytest.raises(CheckpointRefusedError, match="only weights"):
        checkpoint.restore_last(tmp_path, network, torch.optim.Adam(network.parameters()), None, torch.device("cpu"))


@pytest.mark.parametrize(("keep", "left"), [("all", [1, 2, 3, 4]), (2, [3, 4]), (1, [4]), ("best", [2])])
def test_keep_bounds_the_disk(tmp_path: Path, keep: Keep, left: list[int]) -> None:
    losses = {1: 0.5, 2: 0.1, 3: 0.3, 4: 0.2}
    history = [EpochMetrics(epoch, 1.0 / epoch, loss, 1.0, 1.0) for epoch, loss in losses.items()]
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in (*(f"colorization_epoch_{epoch}.pth" for epoch in losses), "last.pth", "mine.pth"):
        (folder / name).touch()
    checkpoint.prune_epochs(tmp_path, keep, TrainingState("unet", 64, 16, "0", epoch=4, history=history))
    assert sorted(path.name for path in folder.iterdir()) == [
        *(f"colorization_epoch_{epoch}.pth" for epoch in left),
        "last.pth",
        "mine.pth",
    ]
