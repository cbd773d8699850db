import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from colorbatch.inference.model_names import built_in_models
from colorbatch.operations import doctor
from colorbatch.operations.doctor import diagnose
from colorbatch.store import atomic
from colorbatch.version import __version__


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the only packages that are installed, so to say; append to it."""
    packages: list[str] = []

    def version_of(package: str) -> str:
        if package not in packages:
            raise PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(doctor, "version", version_of)
    monkeypatch.setattr(
        doctor,
        "requires",
        lambda _: [
            "numpy>=1.24",
            "tomli>=2.0; python_version < '3.11'",
            "onnxruntime>=1.20; extra == 'cpu'",
            'onnxruntime-gpu>=1.20; extra == "cuda"',
            "torch>=2.9; extra == 'train'",
            "pillow-heif (>=0.21) ; extra == 'heif'",
        ],
    )
    return packages


def test_here_everything_works() -> None:
    found = diagnose()
    assert found.works
    assert found.problems == []
    assert found.versions["colorbatch"] == __version__
    assert found.versions["numpy"] == version("numpy")
    assert found.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {each.name for each in found.models} == set(built_in_models())
    assert all(re.fullmatch("[0-9a-f]{64}", each.sha256) and not each.problem for each in found.models)
    assert {each.name: each.problem for each in found.providers}["cpu"] == ""
    assert 1 <= found.cores_allowed <= found.cores
    assert found.memory > 2**28
    assert found.folder is None


@pytest.mark.usefixtures("small_default")
def test_no_provider_is_believed_before_a_model_ran_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_session: object, *_arguments: object) -> None:
        raise RuntimeError("the device is gone")

    monkeypatch.setattr("colorbatch.inference.session.Session.predict", run)
    found = diagnose()
    assert {each.name: each.problem for each in found.providers}["cpu"] == "RuntimeError: the device is gone"
    assert not found.works
    assert found.problems == ["no provider works; cpu: RuntimeError: the device is gone"]


def test_a_damaged_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "default.onnx").write_bytes(b"damaged")
    monkeypatch.setattr(doctor, "built_in_models", lambda: {"default": tmp_path / "default.onnx"})
    monkeypatch.setattr(
        "colorbatch.inference.model_names.built_in_models", lambda: {"default": tmp_path / "default.onnx"}
    )
    found = diagnose()
    assert "is not an ONNX model" in found.models[0].problem
    assert not found.works
    assert found.problems == [
        "the model default is missing or damaged. Install colorbatch again with: "
        "pip install --upgrade --force-reinstall colorbatch"
    ]


@pytest.mark.usefixtures("small_default")
def test_a_package_that_does_not_import_is_told_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("colorbatch.formats")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    found = diagnose()
    assert found.codecs == []
    assert not found.works
    assert "imagecodecs" in found.problems[0]
    assert "pip install --upgrade --force-reinstall colorbatch" in found.problems[0]


@pytest.mark.usefixtures("small_default")
def test_the_extras_are_those_of_the_package_with_what_they_lack(installed: list[str]) -> None:
    installed += ["numpy", "onnxruntime", "pillow-heif"]
    found = diagnose()
    assert found.versions == {
        "colorbatch": __version__,
        "python": found.versions["python"],
        "numpy": "1.0",
        "onnxruntime": "1.0",
        "pillow-heif": "1.0",
    }
    assert [(each.name, each.missing, each.pip) for each in found.extras] == [
        ("cpu", [], ""),
        ("cuda", ["onnxruntime-gpu"], "pip uninstall onnxruntime && pip install 'colorbatch[cuda]'"),
        ("train", ["torch"], "pip install 'colorbatch[train]'"),
        ("heif", [], ""),
    ]


@pytest.mark.usefixtures("small_default")
def test_colorbatch_that_is_not_installed_as_a_package_has_no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(_name: str) -> None:
        raise PackageNotFoundError("colorbatch")

    monkeypatch.setattr(doctor, "requires", requires)
    found = diagnose()
    assert found.extras == []
    assert set(found.versions) == {"colorbatch", "python"}


@pytest.mark.usefixtures("small_default")
def test_a_folder_is_written_to_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"x")
    found = diagnose(tmp_path).folder
    assert found is not None
    assert (found.problem, found.tried_in) == ("", str(tmp_path))
    assert (found.bytes_free or 0) > 0
    assert [each.name for each in tmp_path.iterdir()] == ["theirs"]


@pytest.mark.usefixtures("small_default")
def test_a_folder_that_is_not_there_is_tried_where_it_would_be_made(tmp_path: Path) -> None:
    found = diagnose(tmp_path / "new" / "deep").folder
    assert found is not None
    assert (found.problem, found.tried_in) == ("", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_default")
def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    found = diagnose(tmp_path / "file")
    assert not found.works
    assert "is not a folder" in found.problems[0]
    assert (tmp_path / "file").read_bytes() == b"x"


@pytest.mark.parametrize("step", ["write", "fsync", "replace", "read"])
def test_what_fails_while_writing_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    folder = tmp_path / "out"
    folder.mkdir()
    match step:
        case "write":
            monkeypatch.setattr(atomic, "atomic_writer", fails)
        case "fsync":
            monkeypatch.setattr(os, "fsync", fails)
        case "replace":
            monkeypatch.setattr(Path, "replace", fails)
        case "read":
            monkeypatch.setattr(Path, "read_bytes", lambda _: b"something else")
    problem = doctor._try_folder(folder).problem  # noqa: SLF001 (the whole diagnosis would meet these too)
    monkeypatch.undo()
    assert problem.startswith("the data read back" if step == "read" else ("OSError", "cannot write"))
    assert list(folder.iterdir()) == []


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    yield folder
    folder.chmod(0o700)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_told(closed_folder: Path) -> None:
    found = diagnose(closed_folder)
    assert "Permission denied" in found.problems[0]
