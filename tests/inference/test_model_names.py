"""The names of models, and where their files are looked for."""

import hashlib
import os
from pathlib import Path

import pytest
from helpers import small_model

from colorbatch.errors import ModelRefusedError
from colorbatch.inference.model_file import name_with, read_model_file
from colorbatch.inference.model_names import SEARCH_PATH, built_in_models, named_models


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two folders of the search path, between entries that lead nowhere."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    monkeypatch.setenv(SEARCH_PATH, os.pathsep.join(["", str(first), str(tmp_path / "gone"), str(second)]))
    monkeypatch.chdir(tmp_path)
    return first, second


def write(path: Path, cb: float) -> str:
    data = small_model((cb, 0.0)).SerializeToString()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def test_a_name_is_that_of_a_file_in_the_first_folder_that_has_it(folders: tuple[Path, Path]) -> None:
    first, second = folders
    expected = write(first / "ddcolor.onnx", 0.1)
    write(second / "ddcolor.onnx", 0.2)
    other = write(second / "zhang.v2.onnx", 0.3)
    assert read_model_file("ddcolor").sha256 == expected
    assert read_model_file("zhang.v2").sha256 == other
    assert list(named_models()) == [*built_in_models(), "ddcolor", "zhang.v2"]


def test_a_built_in_name_is_never_taken_by_a_file(folders: tuple[Path, Path]) -> None:
    write(folders[0] / "default.onnx", 0.1)
    assert read_model_file("default").path == built_in_models()["default"]


def test_a_name_takes_precedence_over_a_file_without_extension(folders: tuple[Path, Path], tmp_path: Path) -> None:
    expected = write(folders[0] / "ddcolor.onnx", 0.1)
    own = write(tmp_path / "ddcolor", 0.2)
    assert read_model_file("ddcolor").sha256 == expected
    assert read_model_file("./ddcolor" if os.sep == "/" else ".\\ddcolor").sha256 == own


def test_a_file_name_is_a_path_and_no_name(folders: tuple[Path, Path], tmp_path: Path) -> None:
    write(folders[0] / "x.onnx.onnx", 0.1)
    expected = write(tmp_path / "x.onnx", 0.2)
    assert read_model_file("x.onnx").sha256 == expected


@pytest.mark.parametrize("name", ["../outside", "sub/inner", ".", "..", "", "folder", "*"])
def test_a_name_never_leads_out_of_the_folders_or_deeper(folders: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    write(tmp_path / "outside.onnx", 0.1)
    (folders[0] / "sub").mkdir()
    (folders[0] / "folder.onnx").mkdir()
    write(folders[0] / "sub" / "inner.onnx", 0.1)
    with pytest.raises(ModelRefusedError):
        read_model_file(name)


@pytest.mark.usefixtures("folders")
def test_an_unknown_name_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    write(tmp_path / "second" / "ddcolor.onnx", 0.1)
    with pytest.raises(ModelRefusedError) as refused:
        read_model_file("ddcolour")
    assert str(refused.value) == (
        "cannot read the model ddcolour: no built-in model or file has this name; "
        f"there are: default, fast, unet, ddcolor; ddcolour.onnx is not in {tmp_path / 'first'}, "
        f"{tmp_path / 'gone'} (no such folder), {tmp_path / 'second'} (COLORBATCH_MODELS)"
    )
    assert refused.value.advice == "Did you mean ddcolor?"


def test_a_model_is_known_by_its_hash_whatever_its_name(folders: tuple[Path, Path]) -> None:
    (folders[0] / "broken.onnx").write_bytes(b"no model")
    write(folders[0] / "a.onnx", 0.1)
    sha256 = write(folders[1] / "b.onnx", 0.2)
    assert name_with(sha256, "a") == "b"
    write(folders[1] / "b.onnx", 0.3)
    assert name_with(sha256, "b") is None
