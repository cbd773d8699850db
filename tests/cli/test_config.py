import json
import re
from pathlib import Path

import pytest
from helpers import CommandLine
from PIL import Image


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.linear_gradient("L").save(folder / "a.png")
    monkeypatch.chdir(tmp_path)
    return folder


def settings(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    found: dict[str, str] = json.loads(capsys.readouterr().out)["settings"]
    return found


def test_options_come_from_the_working_folder_and_the_command_line_goes_first(
    command_line: CommandLine, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("colorbatch.toml").write_text(
        '[run]\nmodel = "unet"\nworking-size = 96\nstrength = 0.5\nexclude = ["*.bak", "tmp/*"]\nno-mark = true\n'
    )
    assert command_line("run", "--dry-run", "--json", "--strength", "0.7", source, "out") == 0
    found = settings(capsys)
    assert (found["model"], found["working-size"], found["strength"]) == ("unet", "96", "0.7")
    assert (found["exclude"], found["mark"]) == ("*.bak tmp/*", "false")


def test_a_named_file_is_read_instead(
    command_line: CommandLine, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("colorbatch.toml").write_text("[run]\nstrength = 0.5\n")
    Path("other.toml").write_text("\ufeff[run]\njobs = 3\nexclude = '*.bak'\n[evaluate]\nsize = 64\n")
    assert command_line("run", "--dry-run", "--json", "--config", "other.toml", source, "out") == 0
    found = settings(capsys)
    assert (found["jobs"], found["strength"], found["exclude"]) == ("3", "1.0", "*.bak")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\nvividnes = 1\n", "has unknown options: vividnes"),
        ("[run]\nalready-colour = 'copy'\n", "Did you mean already-color?"),
        ("[rum]\n", "Did you mean run?"),
        ("vividness = 1\n", "Put vividness below a line [run]."),
        ("[rum]\n", "has unknown options: rum"),
        ("run = 3\n", "has unknown options: run"),
        ("[run]\nstrength = 9\n", "colorbatch.toml, strength: 9.0 is not in the range"),
        ("[run]\nstrength = [1]\n", "strength has the wrong type"),
        ("[run]\njobs = 1979-05-27\n", "jobs"),
        ("[run]\nlog-file = 3\n", "log-file has the wrong type"),
        ('[run]\nlog-file = "a\\u0000b"\n', "the path is empty or not a path"),
        ("[run]\ntimeout = inf\n", "not a finite number"),
        ("a = " + "[" * 5000, "cannot read the config file"),
        ("[run]\nno-mark = 3\n", "no-mark must be true or false"),
        ("[run", "cannot read the config file"),
    ],
)
def test_a_file_that_makes_no_sense_is_exit_2(
    command_line: CommandLine, source: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    Path("colorbatch.toml").write_text(text)
    assert command_line("run", source, "out") == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_named_file_that_is_missing_is_exit_2(command_line: CommandLine, source: Path) -> None:
    assert command_line("run", "--config", "none.toml", source, "out") == 2


def test_a_dry_run_prints_a_line_for_each_source_and_its_settings(
    command_line: CommandLine, source: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "b.gif").write_bytes((source / "a.png").read_bytes())
    (source / "notes.txt").touch()
    assert command_line("run", "--dry-run", "--model", model_path, source, "out") == 0
    stdout, stderr = capsys.readouterr()
    assert stdout.splitlines() == [
        "colour\ta.png\ta.png",
        "colour\tb.gif\tb.gif.png",
        "skipped\tnotes.txt\tnot a picture file name",
    ]
    assert "Estimate from 2 of them" in stderr
    assert stderr.startswith("3 sources: up to 2 to colour, 0 to colour again ")
    assert "\n  Pictures in colour are found while running, or with --look.\n" in stderr
    assert re.search(r"them: about \d+ s and ", stderr)
    assert "default" not in stderr.partition("Settings, besides the defaults:")[2]
    assert f"model = {model_path} (command line)" in stderr
    assert not Path("out").exists()
    assert command_line("run", "-n", "--already-color", "recolor", "--model", model_path, source, "out") == 0
    assert capsys.readouterr().err.startswith("3 sources: 2 to colour, ")
    assert command_line("run", "-q", "--dry-run", "--model", model_path, source, "out") == 0
    assert capsys.readouterr().err == ""


def test_a_look_says_which_pictures_are_in_colour_or_broken(
    command_line: CommandLine, source: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.merge("RGB", [Image.linear_gradient("L").rotate(angle) for angle in (0, 90, 180)]).save(source / "b.png")
    (source / "c.png").write_bytes((source / "a.png").read_bytes()[:-30])
    command = ("run", "--dry-run", "--look", "--model", model_path, source, "out")
    assert command_line(*command) == 0
    stdout, stderr = capsys.readouterr()
    colored, skipped, failed = stdout.splitlines()
    assert (colored, skipped) == ("colour\ta.png\ta.png", "skipped\tb.png\tit is in colour already")
    assert failed.startswith("failed\tc.png\tdamaged or truncated")
    assert stderr.startswith("3 sources: 1 to colour, 0 to colour again because they or the settings changed, 0 kept, ")
    assert "\n  This is as far as a look finds: " in stderr
    assert "look = " not in stderr
    assert command_line(*command, "--json", "--already-color", "copy") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["looked_at"] is True
    assert answer["counts"] == {"colour": 1, "copied": 1, "failed": 1}
    assert answer["pictures"][1] == {
        "input": "b.png",
        "prospect": "copied",
        "output": "b.png",
        "reason": "it is in colour already, copied unchanged",
    }
    assert command_line(*command, "--already-color", "copy") == 0
    assert " or the settings changed, 1 copied unchanged, 0 kept, " in capsys.readouterr().err


def test_a_look_without_a_dry_run_is_exit_2(
    command_line: CommandLine, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line("run", "--look", source, "out") == 2
    assert "--look needs --dry-run" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_run_says_that_it_read_a_config_file(
    command_line: CommandLine, source: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("colorbatch.toml").write_text("[run]\nstrength = 0.5\n")
    assert command_line("run", "--model", model_path, source, "out") == 0
    assert "Options from colorbatch.toml" in capsys.readouterr().err
    assert command_line("run", "-q", "--model", model_path, source, "out") == 0
    assert capsys.readouterr().err == ""
