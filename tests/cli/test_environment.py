"""Whatever surrounds a run: it works, without a traceback and without stray escape codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes, and /dev/full")
NAMES = (
    "plain.png",
    "new\nline.png",
    "\x1b[31mred.png",
    os.fsdecode(b"\xff\xfe.png"),
    "\u65e5\u672c.png",
    "broken.png",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in NAMES:
        Image.linear_gradient("L").resize((40, 30)).save(folder / name)
    (folder / "broken.png").write_bytes(b"broken")
    return folder


def run(*arguments: object, model: Path, **changes: str) -> "subprocess.CompletedProcess[bytes]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    for key, value in changes.items():
        environment.pop(key, None)
        if value:
            environment[key] = value
    command = [sys.executable, "-m", "colorbatch", *map(os.fspath, arguments), "--model", os.fspath(model)]  # type: ignore[arg-type]
    return subprocess.run(command, capture_output=True, env=environment, check=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C.UTF-8", "NO_COLOR": "1", "TERM": "dumb", "PATH": ""},
        {"HOME": "", "XDG_CACHE_HOME": "/nonexistent", "TMPDIR": "/nonexistent"}
        | {"FORCE_COLOR": "", "COLUMNS": "20", "TERM": "xterm-256color"},
    ],
    ids="-".join,
)
def test_a_run_is_the_same_everywhere(tmp_path: Path, source: Path, model_path: Path, changes: dict[str, str]) -> None:
    found = run("run", "-v", source, tmp_path / "out", model=model_path, **changes)
    assert found.returncode == 1
    assert found.stdout == b""
    assert b"Traceback" not in found.stderr
    assert b"\x1b" not in found.stderr
    assert b"5 coloured, 0 kept, 0 skipped, 1 failed" in found.stderr
    assert b"new\\nline.png: done" in found.stderr
    rows = [json.loads(line) for line in (tmp_path / "out" / "colorbatch-manifest.jsonl").read_bytes().splitlines()]
    assert {row["input"] for row in rows} == set(NAMES)
    assert all((tmp_path / "out" / row["output"]).is_file() for row in rows if row["status"] == "done")


def test_a_plan_piped_into_head_is_no_error(tmp_path: Path, source: Path, model_path: Path) -> None:
    for number in range(3000):
        os.close(os.open(source / f"{number}.txt", os.O_CREAT))
    command = f"{sys.executable} -m colorbatch run --dry-run --model {model_path} {source} {tmp_path / 'out'}"
    found = subprocess.run(
        ["/bin/sh", "-c", f"({command}; echo exit $? >&2) | head -1"], capture_output=True, check=False
    )
    assert found.stdout.count(b"\n") == 1
    assert found.stderr.endswith(b"exit 0\n")
    assert b"Traceback" not in found.stderr
    assert b"Exception ignored" not in found.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_log_file_on_a_full_disk_stops_nothing(tmp_path: Path, source: Path, model_path: Path) -> None:
    found = run("run", "--log-file", "/dev/full", source, tmp_path / "out", model=model_path)
    assert found.returncode == 1
    assert b"Traceback" not in found.stderr
    assert b"5 coloured" in found.stderr
    assert found.stderr.count(b"cannot write the log file /dev/full: [Errno 28] No space left on device") == 1


def test_a_file_size_limit_ends_the_run_and_leaves_nothing_half_written(
    tmp_path: Path, source: Path, model_path: Path
) -> None:
    Image.effect_noise((600, 600), 90).save(source / "large.png")
    for limit, code in ((100, 4), (100_000, 1)):
        command = f"ulimit -f {limit}; trap '' XFSZ; exec {sys.executable} -m colorbatch run -q --model {model_path} "
        found = subprocess.run(
            ["/bin/bash", "-c", command + f"{source} {tmp_path / 'out'}"], capture_output=True, check=False
        )
        assert found.returncode == code, found.stderr
        assert b"Traceback" not in found.stderr
        left = {os.fsdecode(path.name) for path in (tmp_path / "out").iterdir()}
        assert not {name for name in left if name.endswith(".tmp")}
    assert (tmp_path / "out" / "large.png").is_file()
