"""What is written when a network is adopted, and the command."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import foreign_files as files
import numpy as np
import onnx
import pytest
from foreign_colors import PICTURES, saved
from helpers import CommandLine
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import ParityError, UsageError
from colorbatch.inference.model_file import read_model_file
from colorbatch_export.adapters import gate
from colorbatch_export.adapters.adopting import adopt_model
from colorbatch_export.adapters.authors import chroma_by_authors
from colorbatch_export.comparison import ParityReport

Array = NDArray[Any]
pytestmark = pytest.mark.usefixtures("small_pictures")


def test_the_contract_names_the_network_and_the_file(tmp_path: Path) -> None:
    source = saved(files.ddcolor(opset=17, kind=files.HALF), tmp_path)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    adopt_model(source, tmp_path / "model.onnx", model_license="CC0-1.0")
    contract = read_model_file(str(tmp_path / "model.onnx")).contract
    assert (contract.name, contract.architecture, contract.working_size) == ("model", "ddcolor", files.SIDE)
    assert (contract.precision, contract.tiling, contract.size_multiple) == ("fp16", "whole", 1)
    assert (contract.checkpoint_sha256, contract.license) == (sha256, "CC0-1.0")
    assert "ImageNet" in contract.training_data
    assert contract.adapted_from is not None
    assert (contract.adapted_from.kind, contract.adapted_from.sha256) == ("ddcolor", sha256)
    assert (contract.adapted_from.fit, contract.resizes) == ("stretch", True)
    assert contract.adapted_from.values == "grey RGB from 0 to 1 in, a and b out"
    assert contract.credit == f"model (adapted from ddcolor, sha256:{sha256})"
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)


def test_an_existing_output_is_kept(tmp_path: Path) -> None:
    source = saved(files.ddcolor(), tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists already"):
        adopt_model(source, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == b"mine"
    with pytest.raises(UsageError, match="was exported for 64 x 64"):
        adopt_model(source, tmp_path / "other.onnx", working_size=128)


def test_an_output_that_can_be_no_model_is_refused_before_the_work(
    tmp_path: Path, command_line: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(files.ddcolor(), tmp_path)
    before = source.read_bytes()
    (tmp_path / "folder.onnx").mkdir()
    for output in (tmp_path, tmp_path / "folder.onnx", tmp_path / "model.pth", tmp_path / "model"):
        with pytest.raises(UsageError, match="cannot write the model to") as refused:
            adopt_model(source, output)
        assert "ends in .onnx" in refused.value.advice
    with pytest.raises(UsageError, match="from which it is made"):
        adopt_model(source, tmp_path / "folder.onnx" / ".." / source.name)
    assert source.read_bytes() == before
    for word in ("adopt", "export"):  # a folder without a name of its own
        assert command_line(word, ".") == 3
        assert "cannot read .: Is a directory" in capsys.readouterr().err


def test_an_output_made_meanwhile_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "model.onnx"

    def interrupt(_: ParityReport) -> None:
        output.write_bytes(b"mine")

    with pytest.raises(UsageError, match="exists already"):
        adopt_model(saved(files.ddcolor(), tmp_path), output, on_report=interrupt)
    assert output.read_bytes() == b"mine"


def test_without_parity_no_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def others(*arguments: Any) -> Array:  # noqa: ANN401 (those of the original)
        found: Array = chroma_by_authors(*arguments) + np.float32(0.02)
        return found

    monkeypatch.setattr(gate, "chroma_by_authors", others)
    with pytest.raises(ParityError, match="The original network and ONNX Runtime disagree by up to"):
        adopt_model(saved(files.ddcolor(), tmp_path), tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == ["any name.onnx"]


def test_the_command_adopts_inspects_and_runs(
    tmp_path: Path, command_line: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(files.ddcolor(), tmp_path)
    model = tmp_path / "mine.onnx"
    assert command_line("adopt", source, "-o", model) == 0
    told = capsys.readouterr().err
    assert told.startswith(f"{source} is a network of the kind ddcolor\nComparing a model of it ")
    assert "It is mine (adapted from ddcolor, sha256:" in told
    assert command_line("inspect", model, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    assert found["adapted_from"]["sha256"] == sha256
    assert command_line("inspect", model) == 0
    assert f"kind ddcolor, sha256 {sha256}" in " ".join(capsys.readouterr().out.split())
    assert command_line("run", PICTURES[1], tmp_path / "out.png", "--model", model) == 0
    with Image.open(tmp_path / "out.png") as image:
        packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]
    text = packet if isinstance(packet, str) else packet.decode()
    assert f"colorbatch, model mine (adapted from ddcolor, sha256:{sha256})" in text


def test_refusals_of_the_command_have_their_exit_codes(
    tmp_path: Path, command_line: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(files.zhang(), tmp_path)
    assert command_line("adopt", tmp_path / "nothing.onnx") == 3
    assert "Comparing" not in capsys.readouterr().err
    assert command_line("adopt", source) == 3
    assert command_line("adopt", source, "--kind", "zhang2016") == 0
    assert (tmp_path / "any name-colorbatch.onnx").exists()
    assert command_line("adopt", source, "--kind", "zhang2016") == 2
    assert command_line("adopt", source, "--kind", "photoshop") == 2


@pytest.mark.slow
def test_an_onnx_file_is_adopted_without_pytorch(tmp_path: Path) -> None:
    import subprocess

    source = saved(files.ddcolor(), tmp_path)
    code = (
        "import sys; sys.modules['torch'] = sys.modules['timm'] = None\n"
        "from pathlib import Path; from colorbatch_export.adapters.adopting import adopt_model\n"
        f"adopt_model(Path({str(source)!r}), Path({str(tmp_path / 'model.onnx')!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
