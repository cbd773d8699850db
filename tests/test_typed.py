"""Who uses colorbatch from Python gets its types checked."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

PROGRAM = """
import numpy as np

from colorbatch import Colorizer, colorize, decode, open_model

model: Colorizer = open_model("default", provider="cpu")
pixels = colorize(np.zeros((4, 4), np.uint8), model)
reveal_type(decode(b"").first.width)
open_model(provider="tpu")
"""


def test_the_package_says_that_it_has_types() -> None:
    assert files("colorbatch").joinpath("py.typed").is_file()


@pytest.mark.slow
def test_a_typed_program_is_checked_against_the_installed_package(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=.cache", "program.py"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 'Revealed type is "int"' in found.stdout.replace("builtins.", ""), found.stdout + found.stderr
    errors = [line for line in found.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert 'Argument "provider" to "open_model" has incompatible type' in errors[0]
