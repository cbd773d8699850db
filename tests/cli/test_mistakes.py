"""What the command line answers to a mistake: what was meant, and what to do instead."""

from pathlib import Path

import pytest
from helpers import CommandLine
from PIL import Image


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (["rnu"], "No such command 'rnu'. Did you mean run?"),
        (["Run"], "No such command 'Run'. Did you mean run?"),
        (["colorize", "in", "out"], "Did you mean colorbatch run?"),
        (["colour"], "Did you mean colorbatch run?"),
        (["help"], "Did you mean colorbatch --help?"),
        (["help", "run"], "Did you mean colorbatch run --help?"),
        (["version"], "Did you mean colorbatch --version?"),
        (["xyzzy"], "No such command 'xyzzy'."),
        (["run", "--dryrun", "in", "out"], "Did you mean '--dry-run'?"),
        (["run", "--already-colour", "skip", "in", "out"], "Did you mean '--already-color'?"),
        (["run", "--provider", "gpu", "in", "out"], "Did you mean cuda?"),
        (["run", "--provider", "CUDA", "in", "out"], "Did you mean cuda?"),
        (["run", "--already-color", "recolour", "in", "out"], "Did you mean recolor?"),
        (["run", "--engine", "thread", "in", "out"], "Did you mean threads?"),
        (["train", "--recipe", "defualt", "in"], "Did you mean default?"),
    ],
)
def test_what_was_meant_is_asked(
    command_line: CommandLine,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    question: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command_line(*arguments) == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert said.endswith(question)


def test_a_folder_in_place_of_a_command_is_given_to_run(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    assert command_line("photos", "out") == 2
    assert "Did you mean colorbatch run photos OUTPUT?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message", "advice"),
    [
        (
            "deoldify",
            "model deoldify: no built-in model or file has this name; there are: default, fast, unet",
            "a model of your own by the path",
        ),
        ("u-net", "cannot read the model u-net: no built-in", "Did you mean unet?"),
        ("Default", "cannot read the model Default: no built-in", "Did you mean default?"),
    ],
)
def test_an_unknown_model_name_lists_the_known_ones(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], name: str, message: str, advice: str
) -> None:
    assert command_line("inspect", name) == 3
    said = capsys.readouterr().err
    assert message in said
    assert advice in said


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "album.pdf",
            b"%PDF-1.7\n",
            "it is a PDF, not a picture that can be coloured. Take its pictures out with: pdfim",
        ),
        ("scan.jpg", b"%PDF-1.7\n", "it is a PDF"),
        ("film.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0", "it is a video"),
        ("all.zip", b"PK\5\6" + bytes(18), "it is an archive, not a picture that can be coloured. Unpack it"),
        ("page.jpg", b"<!DOCTYPE html>", "it is a web page (HTML)"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(
    command_line: CommandLine,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
    content: bytes,
    message: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    assert command_line("run", "--model", "unet", tmp_path / name, tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert message in said
    assert "backup" not in said
    assert "--salvage" not in said


def test_documents_among_the_sources_are_named_with_what_to_do(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], tmp_path: Path, model_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    Image.linear_gradient("L").save(source / "a.png")
    for name in ("a.pdf", "b.pdf", "c.zip", "d.tar", "notes.txt"):
        (source / name).touch()
    assert command_line("run", "--model", model_path, source, tmp_path / "out") == 0
    assert capsys.readouterr().err.splitlines()[1:5] == [
        "  4 skipped: not a supported kind (2 .pdf, 1 .tar, 1 .zip)",
        "    a PDF: Take its pictures out with: pdfimages -all FILE.pdf NAME",
        "    an archive: Unpack it, and give the folder.",
        "  1 skipped: not a picture file name",
    ]
