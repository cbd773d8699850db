"""Completion in the shells, as docs/completion.md has it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from colorbatch.cli.main import COMMANDS
from colorbatch.inference.model_names import built_in_models

HEAVY = ("numpy", "PIL", "onnxruntime", "tifffile", "rich")


def completions(line: str) -> tuple[list[str], list[str]]:
    """Return what Bash is offered after ``line``, and the heavy packages that were imported for it."""
    code = (
        "import json, sys\n"
        "from colorbatch.cli.main import main\n"
        "try: main()\n"
        f"finally: print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]), file=sys.stderr)\n"
    )
    words = line.split(" ")
    environment = os.environ | {
        "_COLORBATCH_COMPLETE": "bash_complete",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines(), json.loads(found.stderr)


def test_commands_that_are_imported_late_complete_without_anything_heavy() -> None:
    offered, heavy = completions("colorbatch r")
    assert set(offered) == {f"plain,{command}" for command in COMMANDS if command.startswith("r")}
    assert "plain,run" in offered
    assert heavy == []


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("colorbatch run --prov", ["plain,--provider"]),
        ("colorbatch run --model d", ["file,d", "plain,default"]),
        ("colorbatch preview --model unet --model ", ["file,", *(f"plain,{name}" for name in built_in_models())]),
        ("colorbatch inspect u", ["file,u", "plain,unet"]),
        ("colorbatch run old", ["file,old"]),
        ("colorbatch run --already-color c", ["plain,copy"]),
    ],
)
def test_options_their_values_models_and_files_complete_without_anything_heavy(line: str, offered: list[str]) -> None:
    assert completions(line) == (offered, [])


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put ``colorbatch`` on the PATH; return a folder with one model file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "colorbatch"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m colorbatch "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, ROOT / "export"))))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".config" / "fish" / "completions").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine.onnx").touch()
    return tmp_path / "work"


def documented(shell: str) -> str:
    """Return the line that the page has for a shell."""
    page = (ROOT / "docs" / "completion.md").read_text(encoding="utf-8")
    found = re.search(rf"^```{shell}\n(.+?)\n```$", page, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"no {shell}")


def output_of(shell: str, script: str, folder: Path) -> list[str]:
    found = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=False, cwd=folder)
    assert found.returncode == 0, found.stderr
    return found.stdout.split("\n")


@needs("bash")
def test_bash_completes(command: Path) -> None:
    script = documented("bash") + (
        "\n"
        "compopt() { :; }\n"  # it works only while Bash itself asks
        'asked() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()\n'
        "  $(complete -p colorbatch | sed 's/.*-F \\([^ ]*\\) .*/\\1/') colorbatch; echo \"${COMPREPLY[*]}\"; }\n"
        "asked colorbatch mod\n"
        "asked colorbatch run --model de\n"
    )
    assert output_of("bash", script, command) == ["models", "default", ""]


@needs("fish")
def test_fish_completes(command: Path) -> None:
    script = documented("fish") + "\ncomplete -C 'colorbatch mod'\ncomplete -C 'colorbatch run --model '"
    first, *others = output_of("fish", script, command)
    assert first == "models\tList the built-in models."
    assert {"default", "unet", "mine.onnx"} <= set(others)


@needs("zsh")
def test_zsh_takes_the_script(command: Path) -> None:
    """What it offers needs a person at its line editor; that the function is registered does not."""
    script = f"autoload -Uz compinit; compinit -u -D\n{documented('zsh')}\necho $_comps[colorbatch]"
    assert output_of("zsh", script, command) == ["_colorbatch_completion", ""]
