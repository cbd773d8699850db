import os
from pathlib import Path

import pytest

from colorbatch.store.regular_files import read_regular


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert read_regular(tmp_path / "a") == b"content"
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")


@pytest.mark.skipif(os.name == "nt", reason="pipes and devices with names")
def test_what_would_wait_or_never_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    for path in (tmp_path / "pipe", tmp_path / "endless"):
        with pytest.raises(OSError, match="not a regular file"):
            read_regular(path)
