"""``colorbatch models``, and names of models from folders in every command."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers import CommandLine, MakePictures, small_contract, small_model
from onnx import helper
from PIL import Image

from colorbatch.inference.model_names import SEARCH_PATH
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.row import Row
from colorbatch.report.decisions import model_of


def foreign(cb: float = 0.1, cr: float = 0.0) -> onnx.ModelProto:
    """Return a model of a network of others: no vividness, no hints, one size."""
    model = small_model((cb, cr))
    del model.metadata_props[:]
    contract = small_contract(
        name="ddcolor", architecture="ddcolor", working_size=512, size_multiple=1, license="Apache-2.0"
    )
    helper.set_model_props(model, contract.to_metadata())
    return model


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "ddcolor.onnx").write_bytes(foreign().SerializeToString())
    monkeypatch.setenv(SEARCH_PATH, str(folder))
    return folder


def test_the_models_of_a_folder_are_told_and_what_is_wrong_with_others(
    models: Path, command_line: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = foreign()
    del bare.metadata_props[:]
    (models / "bare.onnx").write_bytes(bare.SerializeToString())
    (models / "b\x1bad.onnx").write_bytes(b"<html>Sign in")
    (models / "default.onnx").write_bytes(foreign(0.2).SerializeToString())
    (models / "folder.onnx").mkdir()
    (models / "text.txt").write_text("no model")
    assert command_line("models", "--path", models) == 0
    told = capsys.readouterr().out
    lines = told.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert ["ddcolor", "ddcolor", "0.0 MB", "512", "Apache-2.0", "1"] in cells
    assert cells[1][0].startswith("default (the")
    assert "the model has no colorbatch contract" in told
    assert "colorbatch adopt FILE" in told
    assert "it is a web page (HTML)" in told
    assert "\x1b" not in told
    assert "folder.onnx" not in told
    assert command_line("models", "--path", models, "--json") == 0
    found = {Path(each["path"]).name: each for each in json.loads(capsys.readouterr().out)}
    assert found["ddcolor.onnx"]["architecture"] == "ddcolor"
    assert "no colorbatch contract" in found["bare.onnx"]["problem"]
    assert len(found) == 4


def test_no_name_is_cut_short(models: Path, command_line: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    """It is what has to be given to ``--model``."""
    name = "ddcolor_artistic_512_float16-colorbatch"
    (models / "ddcolor.onnx").rename(models / f"{name}.onnx")
    assert command_line("models", "--path", models) == 0
    rows = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert "".join(rows) == name


def test_a_folder_without_models_or_none_at_all(
    tmp_path: Path, command_line: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert command_line("models", "--path", tmp_path / "empty") == 0
    assert "There is no .onnx file in" in capsys.readouterr().out
    assert command_line("models", "--path", tmp_path / "gone") == 2
    assert "cannot read the folder" in capsys.readouterr().err


def test_the_models_of_the_search_path_follow_the_built_in_ones(
    models: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SEARCH_PATH, os.pathsep.join([str(models / "gone"), str(models)]))
    assert command_line("models", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found] == ["default", "fast", "unet", "ddcolor"]


def test_a_run_by_a_name_is_made_again_when_the_name_means_another_file(
    models: Path,
    make_pictures: MakePictures,
    tmp_path: Path,
    command_line: CommandLine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, output = make_pictures("in", "a.png", "b.png", mode="L"), tmp_path / "out"
    config = tmp_path / "colorbatch.toml"
    config.write_text('[run]\nmodel = "ddcolor"\n')
    run = ("run", source, output, "--config", config, "--json")

    def kept() -> int:
        assert command_line(*run) == 0
        summary = json.loads(capsys.readouterr().out)
        assert summary["model"] == "ddcolor"
        return int(summary["kept"])

    assert (kept(), kept()) == (0, 2)
    (models / "ddcolor.onnx").rename(models / "renamed.onnx")
    config.write_text('[run]\nmodel = "renamed"\n')
    assert kept() == 2  # the same file, by its hash
    rows = [Row.from_json(line) for line in (output / MANIFEST_NAME).read_bytes().splitlines()]
    assert model_of(rows) == "renamed"
    assert str(models) not in (output / MANIFEST_NAME).read_text()
    assert os.fsencode(models) not in (output / "a.png").read_bytes()
    (models / "renamed.onnx").write_bytes(foreign(0.0, 0.1).SerializeToString())
    assert command_line("audit", output, "--source", source, "-q") == 0  # it opens no model
    capsys.readouterr()
    assert model_of(rows) == "MODEL"
    assert kept() == 0
    red, _, blue = np.asarray(Image.open(output / "a.png").convert("RGB")).reshape(-1, 3).mean(axis=0)
    assert red > blue


@pytest.mark.usefixtures("models")
def test_settings_that_it_does_not_have_are_refused_by_every_command(
    make_pictures: MakePictures,
    tmp_path: Path,
    command_line: CommandLine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    grey, colours = make_pictures("in", "a.png", mode="L"), make_pictures("truth", "a.png")
    output, sheet = tmp_path / "out", tmp_path / "sheet.png"
    commands = (
        ("run", grey, output),
        ("preview", grey / "a.png", "-o", sheet),
        ("evaluate", colours),
    )
    for command in commands:
        assert command_line(*command, "--model", "ddcolor", "--vividness", "0.5") == 2, command
        assert "the model ddcolor has no vividness" in capsys.readouterr().err
        assert command_line(*command, "--model", "ddcolor", "-q") == 0, command
    assert command_line("evaluate", colours, "--model", "ddcolor", "--hints", "3") == 2
    assert "does not support hints" in capsys.readouterr().err
    hint = ("--hint", "0.5,0.5,#ff0000", "-o", sheet.with_name("hinted.png"))
    assert command_line("preview", grey / "a.png", *hint, "--model", "ddcolor") == 1
    assert "does not support hints" in capsys.readouterr().err
