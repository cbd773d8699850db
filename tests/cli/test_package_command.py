"""What ``colorbatch package`` says when there is no package."""

from pathlib import Path

import pytest
from finished import finished_folder
from helpers import CommandLine


@pytest.mark.parametrize(("missing", "told"), [(["a.jpg"], "1 finding"), (["a.jpg", "b.jpg"], "2 findings")])
def test_findings_are_counted_and_nothing_that_was_not_written_is_spoken_of(
    command_line: CommandLine, tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: list[str], told: str
) -> None:
    _, output = finished_folder(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    for name in missing:
        (output / name).unlink()
    assert command_line("package", output, tmp_path / "bag", "--bagit") == 1
    assert capsys.readouterr().err.splitlines() == [f"Not packaged: {told}. There is no finished package."]
    assert not (tmp_path / "bag").exists()
