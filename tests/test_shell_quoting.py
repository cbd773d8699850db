import os
import shutil
import subprocess

import pytest

from colorbatch.text import shell_quoted

BASH = shutil.which("bash")
NAMES = [
    "out",
    "my photos",
    "Ann's",
    "$HOME",
    "a\\b",
    "~",
    "*",
    "",
    "-n",
    "line\nbreak 'q' \\",
    "tab\t\x1b[2J",
    "d\xe9j\xe0 \u202e",
]


@pytest.mark.skipif(BASH is None, reason="there is no Bash")
@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"byte \xff0")])
def test_a_shell_reads_a_quoted_path_as_it_was(name: str) -> None:
    quoted = shell_quoted(name)
    assert quoted.isprintable()
    read = subprocess.run([BASH or "", "-c", f"printf %s {quoted}"], check=True, capture_output=True, timeout=60).stdout
    assert read == os.fsencode(f"./{name}" if name.startswith("-") else name)


@pytest.mark.parametrize(
    ("path", "quoted"),
    [(r"C:\Users\a\out", r"C:\Users\a\out"), (r"C:\My photos", r'"C:\My photos"'), ("a&b", '"a&b"'), ("-n", "./-n")],
)
def test_on_windows_double_quotes_are_used(monkeypatch: pytest.MonkeyPatch, path: str, quoted: str) -> None:
    monkeypatch.setattr(os, "name", "nt")
    found = shell_quoted(path)
    monkeypatch.undo()
    assert found == quoted
