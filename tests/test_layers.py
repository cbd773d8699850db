"""The rules of the house that no single module can show."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "torchvision", "onnx", "onnxscript", "matplotlib", "skimage", "scipy")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


def blocking(*packages: str) -> str:
    return f"import sys\nfor name in {packages!r}: sys.modules[name] = None\n"


def test_modules_import_only_from_the_layers_below() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run(
        [command, "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "export"), "PYTHONIOENCODING": "utf-8"},
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_run_needs_none_of_the_training_packages(tmp_path: Path) -> None:
    code = blocking(*HEAVY) + (
        "from pathlib import Path\n"
        "import colorbatch\n"
        f"job = colorbatch.BatchJob(Path('samples/animals'), Path({str(tmp_path / 'out')!r}))\n"
        "assert colorbatch.run_batch(job).done == 2\n"
    )
    found = python(code)
    assert found.returncode == 0, found.stderr


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from colorbatch.cli.main import main\n"
        "sys.argv = ['colorbatch', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([n for n in ('numpy', 'PIL', 'onnxruntime', 'tifffile') if n in sys.modules])"
    )
    found = python(code)
    assert found.stdout.splitlines()[-1] == "[]", found.stderr


def test_importing_colorbatch_imports_nothing_heavy() -> None:
    found = python("import sys, colorbatch; print([n for n in ('numpy', 'PIL', 'onnxruntime') if n in sys.modules])")
    assert found.stdout.strip() == "[]", found.stderr


@pytest.mark.parametrize(
    ("arguments", "missing", "line"),
    [
        (["run", "samples", "OUT"], "onnxruntime", "pip install 'colorbatch[cpu]'"),
        (["train", "samples", "--out", "OUT"], "torch", "pip install 'colorbatch[train]'"),
        (["train", "samples", "--out", "OUT"], "matplotlib", "pip install 'colorbatch[train]'"),
        (["export", "x.pth"], "onnx", "pip install 'colorbatch[train]'"),
        (["export", "x.pth"], "onnxscript", "pip install 'colorbatch[train]'"),
        (["export", "x.pth"], "onnxruntime", "pip install 'colorbatch[cpu]'"),
        (["verify", "unet", "x.pth"], "torch", "pip install 'colorbatch[train]'"),
        (["evaluate", "samples"], "skimage", "pip install 'colorbatch[evaluate]'"),
    ],
)
def test_a_missing_extra_is_exit_4_with_its_pip_line(
    tmp_path: Path, arguments: list[str], missing: str, line: str
) -> None:
    arguments = [str(tmp_path / "out") if each == "OUT" else each for each in arguments]
    found = python(
        blocking(missing) + f"sys.argv = ['colorbatch', *{arguments!r}]\nfrom colorbatch.cli.main import main\nmain()"
    )
    assert found.returncode == 4, found.stderr
    assert line in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "out").exists()


def test_every_public_name_is_there() -> None:
    import colorbatch

    for name in colorbatch.__all__:
        assert getattr(colorbatch, name) is not None
    assert set(dir(colorbatch)) == set(colorbatch.__all__)
    with pytest.raises(AttributeError):
        _ = colorbatch.no_such_name
