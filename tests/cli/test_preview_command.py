from pathlib import Path

import numpy as np
import pytest
from helpers import CommandLine
from PIL import Image


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "scan.png"
    path.parent.mkdir()
    Image.linear_gradient("L").resize((90, 60)).save(path)
    return path


@pytest.mark.parametrize(("ending", "kind"), [("png", "PNG"), ("JPG", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_the_ending_says_how_the_sheet_is_written(
    command_line: CommandLine,
    capsys: pytest.CaptureFixture[str],
    scan: Path,
    tmp_path: Path,
    model_path: Path,
    ending: str,
    kind: str,
) -> None:
    before = scan.read_bytes()
    output = tmp_path / "sheets" / f"sheet.{ending}"
    assert command_line("preview", scan, "-o", output, "--model", model_path) == 0
    with Image.open(output) as sheet:
        assert sheet.format == kind
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
        width, height = sheet.size
    assert (abs(pixels[..., 0] - pixels[..., 2]) > 60).sum() > 90 * 60  # the small model's orange
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert stderr == f"Sheet: {output}, {width} x {height} pixels\n"
    assert scan.read_bytes() == before
    assert [each.name for each in output.parent.iterdir()] == [output.name]


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_card_is_larger_than_a_sheet_cell_and_says_where_it_is(
    command_line: CommandLine,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    model_path: Path,
    ending: str,
) -> None:
    scan, output = tmp_path / "scan.png", tmp_path / f"card.{ending}"
    Image.linear_gradient("L").resize((1200, 1600)).save(scan)
    assert command_line("preview", scan, "-o", output, "--card", "--model", model_path) == 0
    with Image.open(output) as card:
        width, height = card.size
        assert b"compositeWithTrainedAlgorithmicMedia" in output.read_bytes()
    assert 2 * 1080 * 1200 / 1600 < width < 2 * 1080
    assert 1080 < height < 1080 * 4 / 3
    assert capsys.readouterr().err == f"Card: {output}, {width} x {height} pixels\n"


def test_quiet_says_nothing(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], scan: Path, tmp_path: Path, model_path: Path
) -> None:
    assert command_line("preview", scan, "-q", "-o", tmp_path / "a.png", "--model", model_path) == 0
    assert capsys.readouterr() == ("", "")


def test_more_values_and_larger_cells_make_a_larger_sheet(
    command_line: CommandLine, scan: Path, tmp_path: Path, model_path: Path
) -> None:
    sizes = []
    for number, arguments in enumerate(
        [["--strength", 1], ["--strength", 0.5, "--strength", 1, "--working-size", 32, "--working-size", 64]]
    ):
        output = tmp_path / f"{number}.png"
        assert command_line("preview", scan, "-q", "-o", output, "--model", model_path, "--cell", 64, *arguments) == 0
        with Image.open(output) as sheet:
            sizes.append(sheet.size)
    assert sizes[1][0] > sizes[0][0]
    assert sizes[1][1] > sizes[0][1]


def test_a_file_that_is_there_is_left_alone_unless_forced(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], scan: Path, tmp_path: Path, model_path: Path
) -> None:
    output = tmp_path / "mine.png"
    output.write_bytes(b"mine")
    assert command_line("preview", scan, "-o", output, "--model", model_path) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert output.read_bytes() == b"mine"
    assert command_line("preview", scan, "-o", output, "--model", model_path, "--overwrite") == 0
    assert output.read_bytes().startswith(b"\x89PNG")


def test_the_picture_itself_is_never_written_over(
    command_line: CommandLine, scan: Path, tmp_path: Path, model_path: Path
) -> None:
    before = scan.read_bytes()
    link = tmp_path / "link.png"
    link.symlink_to(scan)
    for output in (scan, scan.parent / ".." / "in" / "scan.png", link):
        assert command_line("preview", scan, "-o", output, "--model", model_path, "--overwrite") == 2
    assert scan.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["no_such.png", "-o", "OUT/a.png"], 2, "cannot read no_such.png"),
        (["SCAN", "-o", "OUT/a.tif"], 2, "is none of: .png .jpg .jpeg .webp"),
        (["SCAN"], 2, "-o"),
        (["SCAN", "-o", "OUT/folder.png"], 2, "is a folder"),
        (["SCAN", "-o", "OUT/a.png", "--model", "nothing"], 3, "cannot read the model nothing"),
        (["SCAN", "-o", "OUT/a.png", "--vividness", "0.5"], 2, "has no vividness"),
        (["SCAN", "-o", "OUT/a.png", "--vividness", "1.5"], 2, "vividness"),
        (["SCAN", "-o", "OUT/a.png", "--card", "--strength", "1", "--strength", "2"], 2, "a card shows one result"),
        (["BROKEN", "-o", "OUT/a.png"], 1, "broken.png: not a known picture format"),
    ],
)
def test_each_failure_has_its_exit_code_and_leaves_nothing(
    command_line: CommandLine,
    capsys: pytest.CaptureFixture[str],
    scan: Path,
    tmp_path: Path,
    model_path: Path,
    arguments: list[str],
    code: int,
    told: str,
) -> None:
    out = tmp_path / "out"
    (out / "folder.png").mkdir(parents=True)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"broken")
    words = {"SCAN": str(scan), "BROKEN": str(broken)}
    given = [words.get(each, each.replace("OUT", str(out))) for each in arguments]
    if "--model" not in given:
        given += ["--model", str(model_path)]
    assert command_line("preview", *given) == code
    stderr = capsys.readouterr().err
    assert told in stderr
    assert "Traceback" not in stderr
    assert [each.name for each in out.iterdir()] == ["folder.png"]


def test_a_number_with_a_comma_is_told_how_to_be_written(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], scan: Path, tmp_path: Path
) -> None:
    assert command_line("preview", scan, "-o", tmp_path / "x.png", "--vividness", "0,8") == 2
    assert "'0,8' is not a number: write it with a point, 0.8" in capsys.readouterr().err


def test_a_folder_is_no_picture(
    command_line: CommandLine, capsys: pytest.CaptureFixture[str], scan: Path, tmp_path: Path
) -> None:
    assert command_line("preview", scan.parent, "-o", tmp_path / "x.png") == 2
    assert "is a folder" in capsys.readouterr().err
