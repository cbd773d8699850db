"""The examples of the documentation really run, or are at least command lines that would be accepted.

``bash``, ``python`` and ``toml`` blocks of a page run one after the other in one folder; of ``sh``, ``ini``, ``make``,
``text`` and indented ones, which need hours or other machines, every ``colorbatch ...`` is parsed, as it is in prose;
``py`` is Python that is only compiled.
"""

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click
import pytest
from helpers import SAMPLES, CommandLine
from pages import COMMANDS_PAGE, PAGES, README_ZH, Block, blocks, calls, codes, commands, parse, prose, short
from PIL import Image

from colorbatch.inference import provider

TOOLS = ("jq", "make", "parallel", "sha256sum")
"""Programs that examples call and that need not be on every machine: where one is missing, its block is only parsed."""
OPTIONS_OF_OTHERS = {
    "--array",
    "--force",
    "--force-reinstall",
    "--joblog",
    "--reinstall",
    "--resume-failed",
    "--sshloginfile",
    "--strict",
}
FILLED_IN = {"{}/": "3/", "$*/": "3/"}
"""What GNU parallel and make would put into a command line."""
OF_SLURM = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "64", "SLURM_ARRAY_TASK_MIN": "1"}
SHELL = frozenset("|&;<>()$`*?{}~")
"""Characters of which one makes a line more than a command and its arguments."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the pictures that examples speak of, small."""
    folder = tmp_path_factory.mktemp("scene")
    for source, target, mode in (
        ("portraits/astronaut.jpg", "old_photos/portrait.jpg", "L"),
        ("animals/chelsea.tif", "old_photos/1910/cat.tif", "L"),
        ("still_life/coffee.png", "old_photos/1920/coffee.png", "L"),
        ("animals/chelsea.tif", "photos/1.png", "RGB"),
        ("still_life/coffee.png", "photos/2.png", "RGB"),
        ("space/1/rocket.jpg", "photos/validation/3.png", "RGB"),
    ):
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(SAMPLES / source) as picture:
            small = picture.convert(mode).resize((96, 72))
        if mode == "RGB":  # of brown, since the samples are grey
            small = Image.merge("RGB", [small.getchannel(0).point(lambda level, k=k: level // k) for k in (1, 2, 3)])
        small.save(path)
    for sample in SAMPLES.rglob("*.*"):
        path = folder / "samples" / sample.relative_to(SAMPLES)
        path.parent.mkdir(parents=True, exist_ok=True)
        if sample.suffix == ".md":
            shutil.copy(sample, path)
        else:
            with Image.open(sample) as picture:
                picture.resize((96, 72)).save(path)
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if page != README_ZH], ids=short)
def test_examples_run(
    page: Path,
    scene: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command_line: CommandLine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = blocks(page.read_text(encoding="utf-8"))
    if not any(block.language in ("bash", "python", "toml") for block in found):
        pytest.skip("no examples to run")
    shutil.copytree(scene, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda url: Path(url2pathname(urlsplit(url).path)).is_file())
    monkeypatch.setattr(provider, "_open", functools.cache(provider._open))  # noqa: SLF001 (each model once)
    names: dict[str, object] = {"__name__": "example"}
    for block in found:
        where = f"{short(page)}:{block.line}"
        match block.language:
            case "python":
                padded = "\n" * (block.line - 1) + block.text  # so that a traceback names the line of the page
                exec(compile(padded, str(page), "exec"), names)  # noqa: S102 (our own)
            case "py":
                compile(block.text, str(page), "exec")
            case "toml":
                Path("example.toml").write_text(block.text, encoding="utf-8")
                arguments = ("run", "--dry-run", "--config", "example.toml", "old_photos", "dry")
                assert command_line(*arguments) == 0, (where, capsys.readouterr().err)
                Path("example.toml").rename("colorbatch.toml")
            case "make":
                Path("Makefile").write_text(block.text, encoding="utf-8")
            case "bash":
                _run(block, where, command_line, capsys)
            case _:
                pass


def _run(block: Block, where: str, command_line: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a block: line by line where each is complete in itself, else as a whole."""
    lines = [each for each in block.text.replace("\\\n", " ").splitlines() if shlex.split(each, comments=True)]
    is_whole = all(map(_is_complete, lines))
    for line in lines if is_whole else [block.text]:
        command, pipe, rest = line.partition(" | ")
        if not _is_plain(command) or "colorbatch " in rest:
            _bash(line, where)
            continue
        capsys.readouterr()
        assert command_line(*shlex.split(command, comments=True)[1:]) == 0, (where, command, capsys.readouterr().err)
        if pipe:
            _bash(rest, where, capsys.readouterr().out)


def _is_complete(line: str) -> bool:
    """Return whether a line needs none before or after it: it shares no variable or folder, and bash sees its end."""
    bash = shutil.which("bash")
    if _is_plain(line):
        return True
    if bash is None or "$" in line or line.startswith(("cd ", "export ")):
        return False
    return subprocess.run([bash, "-nc", line], capture_output=True, check=False).returncode == 0


def _is_plain(line: str) -> bool:
    """Return whether a line is a call of colorbatch, which runs in this process and saves its start."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # it ends within quotes
        return False
    return words[:1] == ["colorbatch"] and not SHELL & set(line.partition(" #")[0])


def _bash(text: str, where: str, given: str | None = None) -> None:
    bash, *needed = map(shutil.which, ("bash", *(tool for tool in TOOLS if tool in text)))
    if bash is None or None in needed:
        return  # its command lines are parsed by the test below
    Path("bin").mkdir(exist_ok=True)
    program = Path("bin/colorbatch")
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m colorbatch "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    environment = os.environ | {"BROWSER": "true", "PATH": f"{Path('bin').absolute()}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "-euo", "pipefail", "-c", text],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, (where, text, done.stdout, done.stderr)


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_every_command_line_would_be_accepted(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in OF_SLURM.items():
        monkeypatch.setenv(name, value)
    Path("colorbatch.toml").touch()  # which --config is read from when it is parsed
    text = page.read_text(encoding="utf-8")
    for block in blocks(text):
        lines = block.text
        if page == COMMANDS_PAGE:  # help has examples, and speaks of commands too
            lines = "\n".join(line for line in lines.splitlines() if line.lstrip().startswith("colorbatch "))
        for arguments in calls(lines):
            _accept(arguments, f"{short(page)}, the block at line {block.line}")
    for code in codes(prose(text)):
        for arguments in calls(code):
            _accept(arguments, f"{short(page)}: {code}", may_be_short=True)


def _accept(arguments: list[str], where: str, *, may_be_short: bool = False) -> None:
    for placeholder, value in FILLED_IN.items():
        arguments = [argument.replace(placeholder, value) for argument in arguments]
    try:
        parse(arguments)
    except click.UsageError as error:
        if not (may_be_short and isinstance(error, click.MissingParameter)):
            pytest.fail(f"{where}: {error.format_message()}")


def test_a_command_line_that_would_not_be_accepted_is_found() -> None:
    (arguments,) = calls("30 1 * * *  cd x && .venv/bin/colorbatch run -q --no-such-option in/ out/ || true")
    assert arguments == ["run", "-q", "--no-such-option", "in/", "out/"]
    with pytest.raises(pytest.fail.Exception, match="--no-such-option"):
        _accept(arguments, "here")


@pytest.mark.parametrize("page", [page for page in PAGES if page != COMMANDS_PAGE], ids=short)
def test_every_option_that_is_spoken_of_exists(page: Path) -> None:
    known = {
        name for command in commands() for option in command.params for name in (*option.opts, *option.secondary_opts)
    }
    spoken = {
        option
        for code in codes(prose(page.read_text(encoding="utf-8")))
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", code)
    }
    assert spoken <= known | OPTIONS_OF_OTHERS | {"--help", "--version"}
