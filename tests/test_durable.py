import os
from pathlib import Path

import pytest

from colorbatch.durable import make_folder


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folders")
def test_the_name_of_each_folder_that_is_made_is_brought_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc")
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert synced == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")]
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 3


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file" / "below")
