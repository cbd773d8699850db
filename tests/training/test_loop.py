import csv
import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import MakePictures
from networks import PLAIN, SMALL, Plain, small_ones
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from colorbatch.errors import CheckpointRefusedError, EnvironmentFailure, OutputUnwritableError, UsageError
from colorbatch.progress import SilentProgress
from colorbatch.training.architectures import ARCHITECTURES
from colorbatch.training.checkpoint import load_checkpoint, load_network
from colorbatch.training.config import TrainingConfig
from colorbatch.training.encoder import LiteEncoder
from colorbatch.training.loop import select_device, train
from colorbatch.training.unet import ColorizationUNet


class Reporter(SilentProgress):
    """Remembers messages, and asks to stop after a number of steps."""

    def __init__(self, stop: threading.Event | None = None, after: int = 0) -> None:
        self.messages: list[str] = []
        self._stop, self._left = stop, after

    def begin(self, total: int, label: str, weight: float | None = None) -> None:  # noqa: ARG002
        self._counting = label.startswith("Epoch")

    def advance(self, steps: int = 1, **_: float | None) -> None:
        self._left -= steps if self._counting else 0
        if self._stop is not None and self._left == 0:
            self._stop.set()

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def config(make_pictures: MakePictures, tmp_path: Path) -> TrainingConfig:
    folder = make_pictures("color", *(f"{number}.png" for number in range(7)))
    return TrainingConfig(folder, tmp_path / "out", size=64, batch_size=2, epochs=2, device="cpu")


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two layers trained, where it does not matter of what."""
    monkeypatch.setitem(ARCHITECTURES, "unet", Plain)


@pytest.mark.usefixtures("plain")
def test_each_epoch_leaves_what_is_promised(config: TrainingConfig) -> None:
    reporter = Reporter()
    result = train(replace(config, validation=0.3), reporter)
    assert result.finished
    assert result.last_checkpoint == config.out / "checkpoints" / "colorization_epoch_2.pth"
    assert [text for text in reporter.messages if text.startswith("Epoch")] == [
        f"Epoch [{row.epoch}/2], Loss: {row.train_loss:.4f}" for row in result.history
    ]
    assert sorted(path.name for path in (config.out / "checkpoints").iterdir()) == [
        "colorization_epoch_1.pth",
        "colorization_epoch_2.pth",
        "last.pth",
    ]
    samples = {path.name: path for path in (config.out / "record").iterdir()}
    assert set(samples) == {
        f"epoch_{epoch}_sample_{number}_{kind}.png"
        for epoch in (1, 2)
        for number in (1, 2, 3)  # three pictures are held out
        for kind in ("gray", "color")
    }
    with Image.open(samples["epoch_1_sample_1_color.png"]) as picture:
        assert (picture.mode, picture.size) == ("RGB", (64, 64))
    for number in (1, 2, 3):  # always of the same pictures
        first, second = (samples[f"epoch_{epoch}_sample_{number}_gray.png"].read_bytes() for epoch in (1, 2))
        assert first == second
    with (config.out / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "epoch",
        "train_loss",
        "validation_loss",
        "seconds",
        "images_per_second",
        "validation_psnr",
    ]
    assert [float(row["train_loss"]) for row in rows] == [row.train_loss for row in result.history]
    assert all(float(row["validation_loss"]) > 0 and float(row["images_per_second"]) > 0 for row in rows)
    with Image.open(config.out / "loss.png") as curve:
        assert curve.size[0] > 400


@pytest.fixture(scope="module")
def uninterrupted() -> Iterator[dict[str, tuple[list[float], Mapping[str, Any]]]]:
    """Return the losses and the last checkpoints of trainings that were not stopped, by what was changed."""
    found: dict[str, tuple[list[float], Mapping[str, Any]]] = {}
    yield found
    found.clear()  # these are some 100 MB each


@pytest.mark.parametrize("stop_after", [1, 3, 4, 6])  # four steps an epoch: within, at the end of, after the first
@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "constant", "architecture": PLAIN},
        pytest.param({"schedule": "cosine"}, marks=pytest.mark.slow),
        pytest.param(
            {
                "architecture": "lite0-unet",
                "crop": 64,
                "aged": 0.5,
                "ema": 0.9,
                "schedule": "cosine",
                "warmup": 0.3,
                "weight_decay": 0.1,
                "clip_norm": 1.0,
                "pretrained_rate": 0.1,
            },
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {
                "architecture": "lite2-unet",
                "crop": 64,
                "aged": 0.5,
                "softened": 0.3,
                "sharpened": 0.3,
                "recompressed": 0.3,
                "hinted": 0.5,
                "balance": 0.5,
                "validation": 0.1,
            },
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(
    config: TrainingConfig,
    tmp_path: Path,
    stop_after: int,
    changes: dict[str, Any],
    uninterrupted: dict[str, tuple[list[float], Mapping[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ARCHITECTURES, PLAIN, Plain)
    config = replace(config, **changes)
    if str(changes) not in uninterrupted:
        whole = train(config)
        assert (config.out / "loss.png").exists()
        last = load_checkpoint(config.out / "checkpoints" / "last.pth").content
        uninterrupted[str(changes)] = ([row.train_loss for row in whole.history], last)
    losses, one = uninterrupted[str(changes)]
    stop = threading.Event()
    parts = replace(config, out=tmp_path / "parts")
    assert not train(parts, Reporter(stop, stop_after), stop).finished
    torch.manual_seed(99)  # whatever happens in between
    result = train(replace(parts, resume=True))
    assert [row.train_loss for row in result.history] == losses
    other = load_checkpoint(parts.out / "checkpoints" / "last.pth").content
    assert one["weights"].keys() == other["weights"].keys()
    assert all(torch.equal(one["weights"][name], other["weights"][name]) for name in one["weights"])
    assert torch.equal(one["rng"], other["rng"])
    if config.ema:
        assert all(torch.equal(value, other["average"][name]) for name, value in one["average"].items())
    for index, moments in one["optimizer"]["state"].items():
        assert all(torch.equal(moments[key], other["optimizer"]["state"][index][key]) for key in moments)
    assert (parts.out / "loss.png").exists()


def test_the_recipe_is_adam_on_the_mean_squared_error(config: TrainingConfig) -> None:
    """One epoch of one batch, done again by hand with PyTorch's own parts."""
    config = replace(config, batch_size=16, epochs=1, amp=False)
    result = train(config)
    torch.manual_seed(config.seed)
    network = ColorizationUNet().train()
    pictures = [np.asarray(Image.open(path).resize((64, 64), 2)) for path in sorted(config.color_dir.iterdir())]
    greys = [np.asarray(Image.open(p).convert("L").resize((64, 64), 2)) for p in sorted(config.color_dir.iterdir())]
    rgb = torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2) / 255
    loss = torch.nn.MSELoss()(network(torch.tensor(np.stack(greys))[:, None] / 255), rgb)
    assert result.history[0].train_loss == pytest.approx(loss.item(), rel=1e-4)
    loss.backward()
    torch.optim.Adam(network.parameters(), lr=1e-4).step()
    trained = load_checkpoint(config.out / "checkpoints" / "colorization_epoch_1.pth").weights
    for name, value in network.state_dict().items():
        torch.testing.assert_close(trained[name], value, atol=2.1e-4, rtol=1e-3)
    moved = (trained["enc3.conv.weight"] - network.enc3.conv.weight).abs().median()
    assert moved < 1e-6, "most weights made the same step of 1e-4"


@pytest.mark.usefixtures("plain")
def test_a_cosine_schedule_falls_to_zero(config: TrainingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW) -> None:
        rates.append(self.param_groups[0]["lr"])
        step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    train(replace(config, schedule="cosine", learning_rate=1.0, keep=1))
    assert rates == pytest.approx([(1 + math.cos(math.pi * index / 8)) / 2 for index in range(8)])


def test_a_training_can_start_from_weights_and_minimise_chroma(config: TrainingConfig, tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = ColorizationUNet()
    torch.save(network.state_dict(), tmp_path / "start.pth")
    config = replace(config, init=tmp_path / "start.pth", loss="chroma", batch_size=16, epochs=1, amp=False)
    result = train(config)
    images = [Image.open(path) for path in sorted(config.color_dir.iterdir())]
    rgb = torch.tensor(np.stack([np.asarray(image.resize((64, 64), 2)) for image in images])).permute(0, 3, 1, 2) / 255
    luma = (
        torch.tensor(np.stack([np.asarray(image.convert("L").resize((64, 64), 2)) for image in images]))[:, None] / 255
    )
    error = network.train()(luma) - rgb
    # chroma is linear, so its error is the chroma of the error (ITU-T T.871, section 7)
    y = 0.299 * error[:, 0] + 0.587 * error[:, 1] + 0.114 * error[:, 2]
    expected = (((error[:, 2] - y) / 1.772) ** 2 + ((error[:, 0] - y) / 1.402) ** 2).mean() / 2
    assert result.history[0].train_loss == pytest.approx(expected.item(), rel=1e-3)


@pytest.mark.usefixtures("plain")
def test_limit_draws_the_same_pictures_each_time(config: TrainingConfig, tmp_path: Path) -> None:
    one = train(replace(config, limit=3, epochs=1))
    other = train(replace(config, limit=3, epochs=1, out=tmp_path / "other"))
    assert one.history[0].train_loss == other.history[0].train_loss


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": 65}, "--crop must be a multiple of 32"),
        ({"crop": 96}, "--size 64 is smaller than --crop 96"),
        ({"loss": "bins"}, "cannot be trained with --loss bins; it supports: mse, chroma, huber"),
        ({"architecture": "resnet"}, "no architecture 'resnet'"),
        ({"hinted": 0.1}, "the architecture unet does not support hints"),
        ({"validation": 0.1, "validation_dir": Path("x")}, "cannot be given together"),
        ({"size": 65}, "multiple of 32"),
        ({"size": 32}, "at least 64"),
        ({"validation": 0.99}, "leaves none"),
        ({"color_dir": Path("no/such/folder")}, "is not a folder"),
        ({"color_dir": Path(), "out": Path("below")}, "would be trained on"),
    ],
)
def test_options_that_do_not_fit_are_usage_errors(
    config: TrainingConfig, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(replace(config, **changes))  # type: ignore[arg-type]


@pytest.mark.usefixtures("plain")
def test_another_training_is_neither_overwritten_nor_resumed_by_mistake(
    config: TrainingConfig, make_pictures: MakePictures
) -> None:
    train(replace(config, epochs=1))
    with pytest.raises(UsageError, match="holds another training"):
        train(config)
    with pytest.raises(CheckpointRefusedError, match="or another architecture, size, crop or batch size"):
        train(replace(config, resume=True, batch_size=3))
    make_pictures("color", "new.png")
    with pytest.raises(CheckpointRefusedError, match="with other pictures"):
        train(replace(config, resume=True))
    with pytest.raises(CheckpointRefusedError, match="No such file"):
        train(replace(config, out=config.out / "none", resume=True))


def test_an_output_that_cannot_be_written_is_met_before_the_first_epoch(config: TrainingConfig) -> None:
    config.out.touch()
    reporter = Reporter()
    with pytest.raises(OutputUnwritableError, match="cannot write"):
        train(config, reporter)
    assert not any(text.startswith("Epoch") for text in reporter.messages)


def test_cuda_that_is_not_there_is_an_environment_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert select_device("auto") == torch.device("cpu")
    with pytest.raises(EnvironmentFailure, match="no CUDA"):
        select_device("cuda")


@pytest.fixture
def lite(config: TrainingConfig) -> TrainingConfig:
    return replace(config, architecture="lite0-unet", crop=64, epochs=1, batch_size=8)


@pytest.mark.slow
def test_frozen_pretrained_weights_stay_and_slow_ones_move_less(lite: TrainingConfig) -> None:
    def distance(folder: str, **changes: Any) -> float:  # noqa: ANN401
        out = lite.out.with_name(folder)
        train(replace(lite, out=out, **changes))
        encoder = LiteEncoder("lite0")
        encoder.load_imagenet()
        weights = load_checkpoint(out / "checkpoints" / "colorization_epoch_1.pth").weights
        moved = weights["encoder.body.conv_stem.weight"] - encoder.body.conv_stem.weight.detach()
        return float(moved.abs().mean())

    assert distance("frozen", freeze=True) == 0
    slow, fast = distance("slow", pretrained_rate=0.1), distance("fast")
    assert slow == pytest.approx(fast / 10, rel=0.05)  # one step of Adam moves every weight by the learning rate


def test_what_is_kept_of_an_averaged_training_is_the_average(lite: TrainingConfig) -> None:
    with small_ones():
        train(replace(lite, architecture=SMALL, ema=0.9, epochs=2, batch_size=3))
    last = load_checkpoint(lite.out / "checkpoints" / "last.pth").content
    kept = load_checkpoint(lite.out / "checkpoints" / "colorization_epoch_2.pth").weights
    averaged = {name.removeprefix("module."): value for name, value in last["average"].items()}
    assert all(torch.equal(value, averaged[name]) for name, value in kept.items())
    assert not torch.equal(kept["head.logits.weight"], last["weights"]["head.logits.weight"])


@pytest.mark.usefixtures("plain")
def test_a_folder_can_be_held_out(config: TrainingConfig, make_pictures: MakePictures) -> None:
    others = make_pictures("others", "x.png", "y.png")
    result = train(replace(config, validation_dir=others, epochs=1))
    again = train(replace(config, validation_dir=others, epochs=1, out=config.out.with_name("again")))
    assert result.history[0].validation_psnr == again.history[0].validation_psnr
    assert result.history[0].images_per_second > 0
    alone = train(replace(config, epochs=1, out=config.out.with_name("alone")))
    assert alone.history[0].validation_psnr is None
    assert alone.history[0].train_loss == result.history[0].train_loss


@pytest.mark.usefixtures("plain")
def test_the_psnr_of_the_pictures_held_out_is_that_of_their_colours(config: TrainingConfig) -> None:
    """Measured again with scikit-image on what the kept checkpoint gives."""
    result = train(replace(config, validation_dir=config.color_dir, epochs=1, amp=False))
    network, _ = load_network(config.out / "checkpoints" / "colorization_epoch_1.pth")
    found = []
    for path in sorted(config.color_dir.iterdir()):
        image = Image.open(path)
        truth = np.asarray(image.resize((64, 64), 2)) / 255
        y = torch.tensor(np.asarray(image.convert("L").resize((64, 64), 2)))[None, None] / 255
        with torch.inference_mode():
            cb, cr = network.chroma(network(y))[0].numpy()
        luma = y[0, 0].numpy()
        rgb = np.stack([luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb], axis=-1)
        found.append(peak_signal_noise_ratio(truth, np.clip(rgb, 0, 1).astype(np.float64), data_range=1))
    assert result.history[0].validation_psnr == pytest.approx(np.mean(found), abs=0.01)


@pytest.mark.parametrize("architecture", [SMALL, pytest.param("lite2-unet", marks=pytest.mark.slow)])
def test_hints_are_learnt_only_where_they_are_given(lite: TrainingConfig, architecture: str) -> None:
    def learnt(folder: str, hinted: float) -> float:
        out = lite.out.with_name(folder)
        with small_ones():
            train(replace(lite, architecture=architecture, hinted=hinted, out=out))
        weights = load_checkpoint(out / "checkpoints" / "colorization_epoch_1.pth").weights
        return float(weights["hints.out.0.weight"].abs().max())  # 0 at the start

    assert learnt("without", 0) == 0
    assert learnt("with", 1) > 0
