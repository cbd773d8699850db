"""``colorbatch run`` where the output is one file, and where the sources are several."""

import io
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from batches import rows
from helpers import CommandLine, endless_model
from PIL import Image

from colorbatch.operations.audit import audit_batch

RUN = (sys.executable, "-m", "colorbatch", "run", "--provider", "cpu")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.jpg"
    Image.linear_gradient("L").resize((90, 60)).save(path)
    return path


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_is_made_where_output_has_the_extension_of_a_picture(
    command_line: CommandLine, scan: Path, here: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = scan.read_bytes()
    assert command_line("run", "--model", model_path, "scan.jpg", "out/coloured.png") == 0
    assert capsys.readouterr() == ("", "Coloured: out/coloured.png, 90 x 60 pixels\n")
    assert opened((here / "out" / "coloured.png").read_bytes()).format == "PNG"
    assert os.listdir("out") == ["coloured.png"]
    assert scan.read_bytes() == before
    assert command_line("run", "-q", "--model", model_path, "scan.jpg", "out/again.jpg") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("output", ["out", "out.v2", "there.jpg", "new.jpg/"])
def test_everything_else_is_a_folder(
    command_line: CommandLine, scan: Path, here: Path, model_path: Path, output: str
) -> None:
    (here / "there.jpg").mkdir()
    assert command_line("run", "--model", model_path, scan.name, output) == 0
    assert sorted(os.listdir(output)) == ["colorbatch-manifest.jsonl", "scan.jpg"]


def test_of_a_folder_comes_a_folder_whatever_it_is_named(
    command_line: CommandLine, scan: Path, here: Path, model_path: Path
) -> None:
    (here / "in").mkdir()
    scan.rename(here / "in" / "scan.jpg")
    assert command_line("run", "--model", model_path, "in", "out.jpg") == 0
    assert sorted(os.listdir("out.jpg")) == ["colorbatch-manifest.jsonl", "scan.jpg"]


def test_a_picture_in_colour_is_exit_0_and_no_file(
    command_line: CommandLine, here: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32, :, 0], pixels[32:, :, 1], pixels[:, 32:, 2] = 200, 102, 90
    Image.fromarray(pixels).save("c.png")
    arguments = ("run", "--model", model_path, "c.png", "d.png")
    assert command_line(*arguments) == 0
    assert capsys.readouterr().err == "Skipped: c.png: it is in colour already; nothing was written\n"
    assert command_line(*arguments, "-q") == 0
    assert capsys.readouterr().err == ""
    assert command_line(*arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["skip_reasons"] == {"it is in colour already": 1}
    assert not (here / "d.png").exists()
    assert command_line(*arguments, "--already-color", "copy") == 0
    assert capsys.readouterr().err == "Copied: d.png, 64 x 64 pixels\n"
    assert Path("d.png").read_bytes() == Path("c.png").read_bytes()


def test_json_is_the_summary_of_a_run(
    command_line: CommandLine, scan: Path, here: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line("run", "--json", "--model", model_path, scan, "a.jpg") == 0
    of_file = json.loads(capsys.readouterr().out)
    assert command_line("run", "--json", "--model", model_path, scan, "out") == 0
    of_folder = json.loads(capsys.readouterr().out)
    assert set(of_file["stages"]) == set(of_folder["stages"])
    assert {**of_file, "seconds": 0, "stages": 0} == {**of_folder, "seconds": 0, "stages": 0}
    (here / "scan.jpg").write_bytes(scan.read_bytes()[:500])
    assert command_line("run", "--json", "--model", model_path, scan, "b.jpg") == 1
    stdout, stderr = capsys.readouterr()
    ((name, reason),) = json.loads(stdout)["failures"]
    assert (name, json.loads(stdout)["failed"]) == (str(scan), 1)
    assert reason.startswith("damaged or truncated")
    assert stderr.startswith(f"Error: {scan}: damaged or truncated")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.jpg", "a.jpg"], 2, "the source none.jpg does not exist"),
        (["scan.jpg", "scan.jpg"], 2, "is the source, or a link to it"),
        (["scan.jpg", "mine.jpg"], 2, "write over it with --overwrite"),
        (["scan.jpg", "a.heic"], 2, "Write one of .jpg .png .tif .webp .jp2, or give a folder"),
        (["scan.jpg", "memory://a/b.jpg"], 2, "memory://a/b.jpg is in a store"),
        (["scan.jpg", "mine.jpg", "a.jpg"], 2, "several sources cannot become one file"),
        (["scan.jpg", "-", "out"], 2, "several sources cannot become one file"),
        (["-", "out"], 2, "is none that is written"),
        (["--overwrite", "scan.jpg", "out"], 2, "--overwrite cannot be used where the output is a folder"),
        (["--json", "scan.jpg", "-"], 2, "cannot both be written to stdout"),
        (["--preserve-times", "scan.jpg", "-"], 2, "--preserve-times needs a file as SOURCE and as OUTPUT"),
        (["scan.jpg", "/proc/none/a.jpg"], 4, "cannot write"),
        (["--model", "none.onnx", "scan.jpg", "a.jpg"], 3, "cannot read the model"),
        (["--log-file", "scan.jpg", "scan.jpg", "a.jpg"], 2, "the log file scan.jpg is inside the source"),
        (["./-", "a.jpg"], 2, "the source - does not exist"),
        *(
            ([*option, "scan.jpg", "a.jpg"], 2, f"{option[0]} cannot be used where the output is a file")
            for option in (
                *(["--dry-run"], ["--report"], ["--shard", "1/2"], ["--only", "list"], ["--include", "*.jpg"]),
                *(["--exclude", "x"], ["--strict-match"], ["--trust-times"], ["--fail-fast"], ["--jobs", "2"]),
                *(["--memory-limit", "1GB"], ["--engine", "ray"], ["--ray-address", "auto"]),
                *(["--cpus-per-worker", "1"], ["--num-gpus-per-worker", "1"]),
            )
        ),
    ],
)
@pytest.mark.usefixtures("scan")
def test_each_mistake_is_told_and_nothing_is_written(
    command_line: CommandLine,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (here / "mine.jpg").write_bytes(b"mine")
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    assert command_line("run", *arguments) == code
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert message in stderr
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


@pytest.mark.usefixtures("here")
def test_two_pictures_are_one_in_and_one_out_and_the_refusal_says_what_else_may_be_meant(
    command_line: CommandLine, scan: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (9, 9)).save("my other.jpg")
    arguments = ("run", "--model", model_path, scan.name)
    assert command_line(*arguments, "my other.jpg") == 2
    told = capsys.readouterr().err
    assert "my other.jpg already exists, and is not what would be written" in told
    assert "to write over the second, add --overwrite" in told
    said = told[told.index("colorbatch run ") :].strip()
    assert said == f"colorbatch run {scan.name} 'my other.jpg' out/"
    assert command_line("run", "--model", model_path, *shlex.split(said)[2:]) == 0
    assert {"my other.jpg", scan.name} < set(os.listdir("out"))
    assert command_line(*arguments, "coloured.jpg") == 0
    capsys.readouterr()
    assert command_line(*arguments, "--strength", "0.5", "coloured.jpg") == 2
    assert "Choose another name, or write over it with --overwrite." in capsys.readouterr().err, "it is ours"


def test_overwrite_replaces_a_file(command_line: CommandLine, scan: Path, here: Path, model_path: Path) -> None:
    (here / "mine.jpg").write_bytes(b"mine")
    assert command_line("run", "--overwrite", "--model", model_path, scan, "mine.jpg") == 0
    assert opened(Path("mine.jpg").read_bytes()).size == (90, 60)


def test_a_config_file_for_folders_does_not_disturb(
    command_line: CommandLine, scan: Path, here: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = here / "colorbatch.toml"
    config.write_text('[run]\nexclude = ["scan.*"]\nreport = true\njobs = 2\nstrict-match = true\noverwrite = true\n')
    assert command_line("run", "--model", model_path, scan, "a.jpg") == 0
    assert command_line("run", "--model", model_path, "--exclude", "x", scan, "out") == 2  # strict-match
    config.write_text("[run]\ndry-run = true\n")
    assert command_line("run", "--model", model_path, scan, "b.jpg") == 2
    assert "--dry-run cannot be used" in capsys.readouterr().err
    assert not (here / "b.jpg").exists()


def test_the_log_says_what_was_done(command_line: CommandLine, scan: Path, here: Path, model_path: Path) -> None:
    assert command_line("run", "--log-file", here / "a.log", "--model", model_path, scan, "a.jpg") == 0
    lines = (here / "a.log").read_text().splitlines()
    assert lines[0].endswith(f": {scan} to a.jpg")
    assert lines[-1].endswith("INFO: Coloured: a.jpg, 90 x 60 pixels")


def test_stdin_and_stdout_carry_only_the_picture(scan: Path, here: Path, model_path: Path) -> None:
    command = [*RUN, "--model", str(model_path)]
    with scan.open("rb") as stdin:
        done = subprocess.run([*command, "-", "-"], stdin=stdin, capture_output=True, check=True)
    assert done.stderr == b"Coloured: stdout, 90 x 60 pixels\n"
    image = opened(done.stdout)
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (90, 60))
    assert b"<stRef:filePath>stdin</stRef:filePath>" in done.stdout
    written = subprocess.run([*command, "-", "a.tif"], input=scan.read_bytes(), capture_output=True, check=True)
    assert written.stdout == b""
    assert opened((here / "a.tif").read_bytes()).format == "TIFF"


@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        pytest.param("{run} - a.jpg < /dev/null", 1, "Error: stdin: the file is empty", marks=pytest.mark.slow),
        pytest.param("{run} - a.jpg <&-", 2, "Error: stdin is closed", marks=pytest.mark.slow),
        pytest.param("{run} scan.jpg - >&-", 2, "Error: stdout is closed", marks=pytest.mark.slow),
        ("{run} scan.jpg - > /dev/full", 4, "Error: cannot write the picture to stdout: No space left on device"),
    ],
)
@pytest.mark.usefixtures("scan")
def test_streams_that_cannot_be_used(here: Path, model_path: Path, command: str, code: int, said: str) -> None:
    filled = command.format(run=" ".join([*RUN, "--model", str(model_path)]))
    found = subprocess.run(["/bin/sh", "-c", filled], capture_output=True, text=True, check=False)
    assert found.returncode == code
    assert found.stderr.startswith(said)
    assert "Exception ignored" not in found.stderr
    assert sorted(path.name for path in here.iterdir()) == ["scan.jpg", "small.onnx"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_has_gone_is_exit_4(scan: Path, here: Path, model_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    found = subprocess.run(
        [*RUN, "--model", model_path, scan, "-"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=here,
    )
    os.close(writer)
    assert (found.returncode, found.stderr) == (4, "Error: cannot write the picture to stdout: Broken pipe\n")


@pytest.mark.skipif(os.name == "nt", reason="POSIX terminals")
@pytest.mark.parametrize("places", [["-", "a.jpg"], pytest.param(["scan.jpg", "-"], marks=pytest.mark.slow)])
@pytest.mark.usefixtures("scan")
def test_a_terminal_is_no_picture(here: Path, places: list[str]) -> None:
    leader, terminal = pty.openpty()
    found = subprocess.run(
        [*RUN, *places], stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, text=True, check=False, cwd=here
    )
    os.close(terminal)
    os.close(leader)
    assert found.returncode == 2
    assert "is a terminal, not a picture" in found.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_ends_it_at_once_and_nothing_is_left(
    scan: Path, here: Path, number: signal.Signals, code: int
) -> None:
    (here / "endless.onnx").write_bytes(endless_model().SerializeToString())
    log = here / "a.log"
    command = [*RUN, "-v", "--log-file", str(log), "--model", "endless.onnx", scan.name, "a.jpg"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=here) as process:
        deadline = time.monotonic() + 60
        while not (log.exists() and "overwrite" in log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.8)
        sent = time.monotonic()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
        assert time.monotonic() - sent < 5
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert sorted(path.name for path in here.iterdir()) == ["a.log", "endless.onnx", "scan.jpg"]


def _several(here: Path) -> None:
    for number, name in enumerate(("in/a.jpg", "in/b/c.png", "in/d.png")):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize((40 + number, 50)).save(here / name)


def test_several_files_lie_below_the_folder_that_they_share(
    command_line: CommandLine, here: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _several(here)
    arguments = ("run", "--model", model_path)
    assert command_line(*arguments, "in/b/c.png", "in/a.jpg", "./in/a.jpg", "out") == 0
    assert set(rows(here / "out")) == {"a.jpg", "b/c.png"}
    assert (here / "out" / "b" / "c.png").exists()
    assert audit_batch("out").is_sound
    assert "2 coloured, 0 kept" in capsys.readouterr().err
    assert command_line(*arguments, "in", "out") == 0  # a later run over the folder keeps them
    assert "1 coloured, 2 kept" in capsys.readouterr().err
    assert set(rows(here / "out")) == {"a.jpg", "b/c.png", "d.png"}
    assert command_line(*arguments, "in/b/c.png", "in/d.png", "out") == 0  # and their rows stay
    assert "0 coloured, 2 kept" in capsys.readouterr().err
    assert set(rows(here / "out")) == {"a.jpg", "b/c.png", "d.png"}


def test_several_files_of_the_folder_in_which_the_output_lies(
    command_line: CommandLine, here: Path, model_path: Path
) -> None:
    _several(here)
    assert command_line("run", "--model", model_path, "in/a.jpg", "in/d.png", "in/out") == 0
    assert sorted(os.listdir("in/out")) == ["a.jpg", "colorbatch-manifest.jsonl", "d.png"]
    assert command_line("run", "--dry-run", "--model", model_path, "in/a.jpg", "in/d.png", "in/out") == 0


@pytest.mark.parametrize("output", ["in", "link", "other"])
def test_several_files_are_no_outputs_of_themselves(
    command_line: CommandLine, here: Path, model_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    """A copy of a picture in colour would be the source itself, and the next run would write over it."""
    colors = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    sources = [here / "in" / "a" / "x.png", here / "in" / "b" / "y.png"]
    for path in sources:
        path.parent.mkdir(parents=True)
        Image.fromarray(colors).resize((80, 60)).save(path)
    (here / "link").symlink_to("in")
    (here / "other").mkdir()
    (here / "other" / "b").symlink_to(here / "in" / "b")
    before = [path.read_bytes() for path in sources]
    for choice in ("copy", "recolor"):
        places = ("in/a/x.png", "in/b/y.png", output)
        assert command_line("run", "--model", model_path, "--already-color", choice, *places) == 2
        assert "is the folder of the source" in capsys.readouterr().err
    assert [path.read_bytes() for path in sources] == before


def test_several_files_are_not_searched_for(
    command_line: CommandLine, here: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("the folder was searched")

    _several(here)
    monkeypatch.setattr("colorbatch.store.local.LocalStore._walk_folders", refuse)
    assert command_line("run", "--model", model_path, "in/a.jpg", "in/d.png", "out") == 0


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (["in/a.jpg", "in/b", "out"], "in/b is a folder, and there are others"),
        (["in", "in/b", "out"], "is a folder, and there are others"),
        (["in/a.jpg", "in/none.jpg", "out"], "in/none.jpg does not exist"),
        (["in/a.jpg", "in/d.png", "in"], "the output in is the folder of the source a.jpg"),
        (["in/a.jpg", "in/b/c.png", "in/b"], "the output in/b is the folder of the source c.png"),
        (["in/a.jpg", "in/d.png", "in/b/c.png"], "several sources cannot become one file"),
        (["in/a.jpg", "in/d.png"], "in/d.png already exists, and is not what would be written"),
        (["in/a.jpg", "memory://in/b.jpg", "out"], "several sources must be files on this machine"),
        (["--log-file", "in/d.png", "in/a.jpg", "in/d.png", "out"], "the log file in/d.png is inside the source"),
    ],
)
def test_several_sources_that_cannot_be_one_run(
    command_line: CommandLine,
    here: Path,
    model_path: Path,
    capsys: pytest.CaptureFixture[str],
    places: list[str],
    message: str,
) -> None:
    _several(here)
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    assert command_line("run", "--model", model_path, *places) in (1, 2)
    assert message in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before
