import json
import re
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
from helpers import ROOT, CommandLine


def test_what_works_here_is_told_in_words(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command_line("doctor", tmp_path) == 0
    stdout, stderr = capsys.readouterr()
    assert stderr == ""
    lines = stdout.splitlines()
    assert any(line.split() == ["provider", "cpu", "works"] for line in lines)
    assert any(line.startswith("model default  ") and line.endswith(": works") for line in lines)
    assert any(re.fullmatch(r"kinds of pictures  (\d+) of \1 work", line) for line in lines)
    assert not any(line.startswith("TIFF") for line in lines)
    assert any(line.startswith(f"folder {tmp_path}  can be written to, ") for line in lines)
    assert lines[-1] == "colorbatch run can work here."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_default")
def test_the_rest_is_told_on_request(command_line: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line("doctor", "--all") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "JPEG 2000       read and written" in lines
    assert any(line.startswith("numpy ") for line in lines)
    assert any(line.startswith("extra train ") for line in lines)
    assert any(re.search("sha256 [0-9a-f]{64}: works$", line) for line in lines)


@pytest.mark.usefixtures("small_default")
@pytest.mark.parametrize("options", [[], ["--all"]])
@pytest.mark.parametrize("has_gpu", [False, True])
def test_packages_for_a_gpu_are_named_only_where_there_is_one(
    command_line: CommandLine,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    *,
    has_gpu: bool,
) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    monkeypatch.setattr("colorbatch.machine.has_nvidia_gpu", lambda: has_gpu)
    assert command_line("doctor", *options) == 0
    shown = capsys.readouterr().out
    assert ("pip uninstall onnxruntime" in shown) == has_gpu
    assert ("no NVIDIA GPU was found" in shown) != has_gpu


@pytest.mark.usefixtures("small_default")
def test_json_has_all_of_it(command_line: CommandLine, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command_line("doctor", "--json", tmp_path) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["works"] is True
    assert {each["name"] for each in found["providers"]} >= {"cpu", "cuda"}
    assert {"kind": "TIFF, lzw", "reads": True, "writes": True, "problem": ""} in found["codecs"]
    assert found["folder"]["path"] == str(tmp_path)
    assert {"cpu", "train", "heif"} <= {each["name"] for each in found["extras"]}


@pytest.mark.usefixtures("small_default")
def test_a_folder_that_cannot_be_written_is_exit_4(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "evil\n").write_bytes(b"x")
    assert command_line("doctor", tmp_path / "evil\n" / "out") == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "colorbatch run cannot work here."
    assert any("evil\\n" in line for line in lines)


@pytest.mark.usefixtures("small_default")
def test_a_folder_that_does_not_exist_is_called_that(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command_line("doctor", tmp_path / "misspelt" / "out") == 0
    (line,) = [each for each in capsys.readouterr().out.splitlines() if "misspelt" in each]
    assert f"does not exist; colorbatch run can create it, in {tmp_path}, " in line


def test_without_onnxruntime_it_says_so_with_the_pip_line_and_exit_4() -> None:
    code = (
        "import sys\n"
        "for name in ('onnxruntime', 'torch', 'onnx'): sys.modules[name] = None\n"
        "sys.argv = ['colorbatch', 'doctor']\n"
        "from colorbatch.cli.main import main\n"
        "main()\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert found.returncode == 4, found.stderr
    assert "no provider works; cpu: the package onnxruntime is not installed" in found.stdout
    assert "pip install 'colorbatch[cpu]'" in found.stdout
    assert found.stderr == ""


@pytest.mark.usefixtures("small_default")
def test_versions_are_told_without_importing_torch(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert command_line("doctor", "--json") == 0
    assert "works" in json.loads(capsys.readouterr().out)
