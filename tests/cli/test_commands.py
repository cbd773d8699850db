import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, CommandLine, small_model
from PIL import Image

from colorbatch.cli import parity
from colorbatch.cli.main import COMMANDS
from colorbatch.inference.contract import ParityFigure
from colorbatch_export import Comparison, ParityReport


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_stands_in_the_documentation(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert command_line(command, "--help") == 0
    shown = capsys.readouterr().out
    assert "Example:" in shown
    assert f"colorbatch {command}" in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def test_the_help_lists_every_command(command_line: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line("--help") == 0
    shown = capsys.readouterr().out
    assert all(f"  {command} " in shown for command in COMMANDS)


def test_the_help_waits_for_nothing_that_only_work_needs() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "colorbatch", "--help"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    imported = {line.split("|")[-1].strip() for line in lines}
    assert "colorbatch.cli.main" in imported
    assert not {name for name in imported if name.startswith("colorbatch.")} - {
        *("colorbatch.cli", "colorbatch.cli.main", "colorbatch.cli.terminal"),
        *("colorbatch.errors", "colorbatch.progress", "colorbatch.text", "colorbatch.version"),
    }
    assert not imported & {"numpy", "PIL", "onnxruntime", "onnx", "torch", "rich", "fsspec", "urllib.request"}


def test_the_help_of_run_shows_every_option_once_in_groups_the_everyday_ones_first(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line("run", "--help") == 0
    shown = capsys.readouterr().out
    names = re.findall(r"^  (?:-\w, )?(--[\w-]+)", shown, re.MULTILINE)
    options = [each for each in import_module("colorbatch.cli.run").command.params if each.param_type_name == "option"]
    assert sorted(names) == sorted(["--help", *(max(each.opts, key=len) for each in options)])
    titles = re.findall(r"^(\w.*):$", shown, re.MULTILINE)
    everyday_ones, *others = titles
    assert everyday_ones == "Everyday options"
    assert others == ["Colour", "Files", "A watched folder", "Speed, and many machines", "Record", "Other options"]
    everyday = shown.index("  -n, --dry-run")
    assert shown.index("Everyday options:") < everyday < shown.index("Colour:")
    assert shown[: shown.index("Colour:")].count("\n") < 40  # on one screen


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_group_names_only_options_that_exist(command: str) -> None:
    found = import_module(f"colorbatch.cli.{command}").command
    names = {name for each in found.params for name in each.opts}
    assert {name for group in found.groups.values() for name in group} - names == set()


def test_models_are_told_with_quality_time_and_use(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line("models") == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert cells == [
        ["default", "best", "1", "14.2 MB", "unless you know better"],
        ["fast", "a little paler", "1/2", "7.8 MB", "many pictures, no GPU"],
        ["unet", "lower", "3/4", "19.2 MB", "only for comparison"],
    ]


@pytest.mark.parametrize(
    ("worst", "mean", "of", "line"),
    [
        (1.8e-7, 0.0, "max_abs", "PASS: max 1.8e-7 (limit 1e-4)"),
        (0.02, 0.0, "max_abs", "FAIL: max 2e-2 (limit 1e-4)"),
        (float("nan"), 0.0, "max_abs", "FAIL: max nan (limit 1e-4)"),
        (0.0, 0.0, "max_abs", "PASS: max 0e0 (limit 1e-4)"),
        (0.3, 2.13, "mean_rgb_levels", "PASS: mean 2.1 levels of RGB (limit 3)"),
        (0.3, 3.4, "mean_rgb_levels", "FAIL: mean 3.4 levels of RGB (limit 3)"),
    ],
)
def test_the_verdict_of_parity_is_one_line(worst: float, mean: float, of: ParityFigure, line: str) -> None:
    found = Comparison(
        "pictures",
        None,
        hinted=False,
        shape=(1, 1, 8, 8),
        max_abs=worst,
        mean_abs=0.0,
        max_rgb_levels=0,
        mean_rgb_levels=mean,
    )
    report = ParityReport([found], 3.0 if of == "mean_rgb_levels" else 1e-4, "cpu", of)
    assert parity.verdict(report) == line


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
