"""What the command line makes of URLs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import ROOT, CommandLine
from stores import ENVIRONMENT, S3, Cut

from colorbatch.store import lease, open_store

GREY = ROOT / "tests" / "cli" / "grey.png"


@pytest.fixture
def source(s3: S3) -> str:
    for name in ("a.png", "sub/b.png"):
        s3.bucket.put(f"in/{name}", GREY.read_bytes())
    return s3.url("in")


def test_run_and_audit_and_a_second_run(
    command_line: CommandLine, s3: S3, source: str, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = s3.url("out")
    assert command_line("run", "--model", model_path, source, out) == 0
    stderr = capsys.readouterr().err
    assert "2 coloured, 0 kept, 0 skipped, 0 failed" in stderr
    assert f"Manifest: {out}/colorbatch-manifest.jsonl" in stderr
    assert command_line("audit", "-q", out, "--source", source) == 0
    assert command_line("run", "-q", "--model", model_path, source, out) == 0
    assert capsys.readouterr() == ("", "")
    assert command_line("run", "--dry-run", "--model", model_path, source, out) == 0
    assert capsys.readouterr().out.splitlines() == ["kept\ta.png\ta.png", "kept\tsub/b.png\tsub/b.png"]


def test_only_and_include(command_line: CommandLine, s3: S3, source: str, model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("sub/b.png\n")
    assert command_line("run", "--model", model_path, "--only", tmp_path / "list", source, s3.url("one")) == 0
    assert command_line("run", "--model", model_path, "--include", "a.*", source, s3.url("two")) == 0
    assert {key for key in s3.bucket.files() if key.endswith(".png") and not key.startswith("in/")} == {
        *("one/sub/b.png", "two/a.png"),
    }


def test_shards(command_line: CommandLine, s3: S3, source: str, model_path: Path) -> None:
    for shard in ("1/2", "2/2"):
        assert command_line("run", "--model", model_path, "--shard", shard, source, s3.url("out")) == 0
    assert command_line("merge", s3.url("out")) == 0
    assert set(s3.bucket.files("out/")) == {"a.png", "sub/b.png", "colorbatch-manifest.jsonl"}


def test_a_picture_that_never_comes_whole_is_exit_1_with_its_reason(
    command_line: CommandLine, s3: S3, source: str, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3.proxy.cuts.append(Cut(r"^GET /archive/in/sub", "answer body", 0.5))
    assert command_line("run", "--model", model_path, source, s3.url("out")) == 1
    stderr = capsys.readouterr().err
    assert "Failed: sub/b.png: cannot read the file: the connection" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "{in}", "{in}/out"], 2, "one is inside the other"),
        (["run", "{in}/none", "{out}"], 2, "does not exist or is empty"),
        (["run", "{in}", "{in}/a.png"], 2, "is not a folder"),
        (["run", "http://example.org/x", "{out}"], 2, "http:// is unknown"),
        (["run", "s3://no-such-bucket/in", "{out}"], 4, "bucket does not exist"),
        (["run", "{in}", "s3://no-such-bucket/out"], 4, "bucket does not exist"),
        (["run", "--report", "{in}", "{out}"], 2, "a report cannot be written to an object store"),
        (["audit", "{out}"], 2, "has no colorbatch-manifest.jsonl"),
        (["report", "{out}"], 2, "copy it to a folder first"),
        (["restore", "{out}", "x"], 2, "copy it to a folder first"),
        (["preview", "{in}/a.png"], 2, "copy it to a folder first"),
        (["evaluate", "{in}"], 2, "copy it to a folder first"),
    ],
)
def test_each_kind_of_failure_has_its_exit_code_and_no_traceback(
    command_line: CommandLine,
    s3: S3,
    source: str,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    words = {"in": source, "out": s3.url("out")}
    before = s3.bucket.files()
    assert command_line(*(each.format(**words) for each in arguments)) == code
    stderr = capsys.readouterr().err
    assert message in " ".join(stderr.split())
    assert "Traceback" not in stderr
    assert s3.bucket.files() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "the connection to it failed"),
        ({"AWS_ENDPOINT_URL": "http://no-such-host.invalid"}, "the connection to it failed"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials"),
        ({"AWS_PROFILE": "no-such-profile"}, "no credentials"),
    ],
    ids=str,
)
def test_what_a_store_lacks_is_exit_4_with_advice(
    command_line: CommandLine,
    source: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    changes: dict[str, str],
    message: str,
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    assert command_line("run", source, tmp_path / "out") == 4
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert f"cannot use {source}: {message}" in lines[0]


def test_another_run_at_work_is_exit_5_and_named(
    command_line: CommandLine,
    s3: S3,
    source: str,
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from colorbatch.records.manifest import Manifest

    monkeypatch.setattr("colorbatch.store.remote_journal.SECONDS_BETWEEN_RENEWALS", 0.05)
    monkeypatch.setattr(lease, "_SECONDS_BETWEEN_LOOKS", 0.05)
    with Manifest(open_store(s3.at("out"))):
        assert command_line("run", "--model", model_path, source, s3.url("out")) == 5
    assert f"process {os.getpid()} on " in capsys.readouterr().err


def test_secrets_in_a_url_are_shown_nowhere(
    command_line: CommandLine, model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"memory://user:geheim@{tmp_path.name}/out"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(GREY.read_bytes())
    log = tmp_path / "log"
    assert command_line("run", "-v", "--model", model_path, "--log-file", log, tmp_path / "in", out) == 0
    assert "memory://" in log.read_text()
    assert "geheim" not in log.read_text() + "".join(capsys.readouterr())


@pytest.mark.parametrize("missing", ["fsspec", "upath"])
def test_a_missing_extra_is_exit_4_with_its_pip_line(tmp_path: Path, missing: str) -> None:
    code = (
        f"import sys\nsys.modules[{missing!r}] = None\n"
        f"sys.argv = ['colorbatch', 'run', 's3://bucket/in', {str(tmp_path / 'out')!r}]\n"
        "from colorbatch.cli.main import main\nmain()"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert found.returncode == 4
    assert "pip install 'colorbatch[remote]'" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_signal_stops_a_run_that_can_go_on(s3: S3, source: str, model_path: Path) -> None:
    for number in range(40):
        s3.bucket.put(f"in/{number:02}.png", GREY.read_bytes())
    s3.proxy.delay = 0.03
    command = [sys.executable, "-m", "colorbatch", "run", "--jobs", "1", "--model", str(model_path), source]
    environment = os.environ | ENVIRONMENT | {"AWS_ENDPOINT_URL": s3.proxy.url}
    with subprocess.Popen([*command, s3.url("out")], stderr=subprocess.PIPE, text=True, env=environment) as process:
        while s3.proxy.count(r"^PUT /archive/out/.*png") < 5:
            assert process.poll() is None
            time.sleep(0.01)  # the server has threads of this process
        process.terminate()
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "Run the same command again to resume" in stderr
    assert "Traceback" not in stderr
    assert "Unclosed" not in stderr
    left = s3.bucket.files("out/")
    assert not [name for name in left if name.startswith(".colorbatch")]
    rows = left["colorbatch-manifest.jsonl"].splitlines()
    assert len(rows) == 42
    assert sum(b'"done"' in row for row in rows) == len(left) - 1
