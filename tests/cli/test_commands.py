import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, CommandLine, small_model
from PIL import Image

from colorbatch.cli.main import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_stands_in_the_readme(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert command_line(command, "--help") == 0
    shown = capsys.readouterr().out
    assert "Example:" in shown
    assert f"colorbatch {command}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_help_lists_every_command(command_line: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line("--help") == 0
    shown = capsys.readouterr().out
    assert all(f"  {command} " in shown for command in COMMANDS)


def test_the_help_waits_for_nothing_that_only_work_needs() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "colorbatch", "--help"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    imported = {line.split("|")[-1].strip() for line in lines}
    assert "colorbatch.cli.main" in imported
    assert not imported & {"numpy", "PIL", "onnxruntime", "onnx", "torch", "rich", "fsspec", "urllib.request"}


def test_inspect_tells_the_contract(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], model_path: Path
) -> None:
    assert command_line("inspect", "--json", model_path) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["name"] == "small"
    assert facts["opset"] == 18
    assert facts["bytes"] == model_path.stat().st_size
    assert facts["inputs"] == ["luma float32 [N, 1, H, W]"]
    assert facts["parity"]["tolerance"] == 1e-4
    assert command_line("inspect", model_path) == 0
    shown = capsys.readouterr().out
    assert "working size" in shown
    assert facts["sha256"] in shown


def test_evaluate_prints_a_table_or_json(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], tmp_path: Path, model_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(pictures / "a.png")
    assert command_line("evaluate", "--json", "--size", 64, "--model", model_path, pictures) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pictures"] == 1
    assert set(found["model"]) == {"psnr", "ssim", "ciede2000", "colourfulness", "colourfulness_difference", "blotches"}
    assert command_line("evaluate", "--size", 64, "--model", model_path, pictures) == 0
    table = capsys.readouterr().out
    assert "leave it grey" in table
    assert f"{found['grey']['psnr']:.2f}" in table


@pytest.mark.parametrize("content", [b"", b"<html>", small_model().SerializeToString()])
@pytest.mark.parametrize("command", ["export", "verify"])
def test_what_is_no_checkpoint_is_exit_3(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, content: bytes
) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    assert command_line(command, *(["unet"] if command == "verify" else []), path) == 3
    assert "Traceback" not in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["x.pth"]
