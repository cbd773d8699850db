import os

import pytest

from colorbatch.text import did_you_mean, shell_quoted


@pytest.mark.parametrize(
    ("word", "question"),
    [
        ("rnu", "Did you mean run?"),
        ("RUN", "Did you mean run?"),
        ("reprot", "Did you mean report?"),
        ("xyzzy", ""),
        ("", ""),
    ],
)
def test_only_a_word_that_resembles_one_is_asked_about(word: str, question: str) -> None:
    assert did_you_mean(word, ["run", "report", "restore"]) == question


@pytest.mark.parametrize(
    ("word", "system", "quoted"),
    [
        ("out", "posix", "out"),
        ("my photos", "posix", "'my photos'"),
        ("Ann's", "posix", "'Ann'\"'\"'s'"),
        ("-old", "posix", "./-old"),
        ("a\x1b[2J", "posix", r"$'a\x1b[2J'"),
        ("$HOME", "posix", "'$HOME'"),
        (r"C:\Users\a\out", "nt", r"C:\Users\a\out"),
        (r"C:\My photos", "nt", r'"C:\My photos"'),
        ("a&b", "nt", '"a&b"'),
    ],
)
def test_paths_are_quoted_for_the_shell(monkeypatch: pytest.MonkeyPatch, word: str, system: str, quoted: str) -> None:
    monkeypatch.setattr(os, "name", system)
    found = shell_quoted(word)
    monkeypatch.undo()
    assert found == quoted
