"""The whole way by the command line: train, stop, resume, export, verify, run."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers import SAMPLES, CommandLine, MakePictures
from networks import Plain, small_ones

from colorbatch.training.architectures import ARCHITECTURES, build_network


@pytest.fixture(params=["small", pytest.param("real", marks=pytest.mark.slow)])
def _network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with small_ones():
        if request.param == "small":
            monkeypatch.setitem(ARCHITECTURES, "unet", Plain)
        yield


@pytest.mark.usefixtures("_network")
def test_train_export_verify_run(
    command_line: CommandLine,
    make_pictures: MakePictures,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = make_pictures("photos", "a.png", "sub/b.png", "c.png")
    training = tmp_path / "training"
    recipe = ("--out", training, "--size", 64, "--batch-size", 2, "--keep", 1, "--device", "cpu")
    assert command_line("train", photos, *recipe, "--epochs", 1) == 0
    assert "Epoch [1/1], Loss: 0." in capsys.readouterr().err
    assert command_line("train", photos, *recipe, "--epochs", 2) == 2
    assert "Use --resume" in capsys.readouterr().err
    assert command_line("train", photos, *recipe, "--epochs", 2, "--resume") == 0
    stderr = capsys.readouterr().err
    assert "Epoch [2/2], Loss: 0." in stderr
    assert "Epoch [1/2]" not in stderr

    checkpoint, model = training / "checkpoints" / "colorization_epoch_2.pth", tmp_path / "mine.onnx"
    assert command_line("export", checkpoint, "-o", model) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "passed (tolerance 0.0001)" in shown.err
    rows = [[cell.strip() for cell in line.split("│")[1:5]] for line in shown.err.splitlines() if line[:1] == "│"]
    assert rows == [["noise", "", "no", "4"], ["pictures", "", "no", "4"]]  # two sizes, in batches of 1 and 2
    assert re.fullmatch(r"PASS: max \d(\.\d)?e-\d+ \(limit 1e-4\)", shown.err.splitlines()[-1])
    assert command_line("verify", model, checkpoint, "--provider", "cpu") == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("PASS: max ")
    other = tmp_path / "other.pth"
    torch.save(build_network("unet").state_dict(), other)
    assert command_line("verify", "--json", model, other) == 6
    assert '"passed": false' in capsys.readouterr().out
    assert command_line("run", "--model", model, SAMPLES / "still_life", tmp_path / "out") == 0


def test_folders_that_do_not_pair_are_exit_2(
    command_line: CommandLine, make_pictures: MakePictures, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    color, gray = make_pictures("color", "a.png", "b.png"), make_pictures("gray", "a.png", mode="L")
    assert command_line("train", color, "--gray-dir", gray, "--out", tmp_path / "out") == 2
    assert "no b.png" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", ["0", "-1", "some", "1.5"])
def test_keep_takes_all_best_or_a_number(
    command_line: CommandLine, tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    assert command_line("train", tmp_path, "--keep", value) == 2
    assert "is not all, best or a number above 0" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_leaves_a_training_that_can_go_on(make_pictures: MakePictures, tmp_path: Path) -> None:
    photos = make_pictures("photos", *(f"{number}.png" for number in range(4)))
    out = tmp_path / "out"
    options = ["--out", out, "--size", "64", "--batch-size", "1", "--epochs", "1000", "--keep", "1", "--device", "cpu"]
    command = [sys.executable, "-m", "colorbatch", "train", *map(str, (photos, *options))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not (out / "loss.png").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in stderr
    assert "Traceback" not in stderr
    content = torch.load(out / "checkpoints" / "last.pth", weights_only=True)
    assert content["state"]["epoch"] >= 1
    assert "optimizer" in content
