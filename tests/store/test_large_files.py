"""Files of any size: read in parts, written as they come, and linked."""

import os
from pathlib import Path

import pytest
from memory_store import MemoryStore
from stores import S3

from colorbatch.errors import OutputUnwritableError, UnsafeOutputError
from colorbatch.store import atomic, open_store
from colorbatch.store.local import LocalStore
from colorbatch.store.remote import RemoteStore


@pytest.fixture(params=["local", "memory", "cloud"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LocalStore | MemoryStore | RemoteStore:
    if request.param == "local":
        (tmp_path / "folder").mkdir()
        return LocalStore(tmp_path / "folder")
    if request.param == "memory":
        return MemoryStore()
    found = open_store(f"memory://large/{tmp_path.name}")
    assert isinstance(found, RemoteStore)
    return found


def test_a_file_is_read_in_parts(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colorbatch.store.local.CHUNK_BYTES", 3)
    monkeypatch.setattr("colorbatch.store.remote.CHUNK_BYTES", 3)
    for content in (b"", b"ab", b"abc", b"abcdefgh"):
        store.write("sub/a", content, may_replace=True)
        parts = list(store.chunks("sub/a"))
        assert b"".join(parts) == content
        assert isinstance(store, MemoryStore) or all(len(part) <= 3 for part in parts)
    with pytest.raises(FileNotFoundError):
        list(store.chunks("none"))


def test_a_file_appears_when_it_is_whole(store: LocalStore) -> None:
    with store.writer("sub/a", may_replace=False) as file:
        file.write(b"one ")
        assert not store.is_file("sub/a")
        file.write(b"two")
    assert store.read("sub/a") == b"one two"
    with pytest.raises(RuntimeError), store.writer("sub/b", may_replace=False) as file:  # noqa: PT012
        file.write(b"half")
        raise RuntimeError
    assert set(store.names([])) == {"sub/a"}


def test_an_existing_file_is_replaced_only_if_it_may_be(store: LocalStore) -> None:
    store.write("a", b"old", may_replace=False)
    with pytest.raises(FileExistsError), store.writer("a", may_replace=False) as file:
        file.write(b"new")
    assert store.read("a") == b"old"
    with store.writer("a", may_replace=True) as file:
        file.write(b"new")
    assert store.read("a") == b"new"
    assert set(store.names([])) == {"a"}


def test_what_a_killed_process_left_is_overwritten(tmp_path: Path) -> None:
    left = atomic.temporary_path_of(tmp_path / "a")
    left.write_bytes(b"a long beginning")
    assert atomic.is_temporary(left.name)
    with LocalStore(tmp_path).writer("a", may_replace=False) as file:
        file.write(b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new"}


def test_nothing_is_written_or_linked_through_a_link_that_leads_out(tmp_path: Path) -> None:
    for name in ("folder", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere/a").write_bytes(b"a")
    (tmp_path / "folder/sub").symlink_to(tmp_path / "elsewhere")
    store = LocalStore(tmp_path / "folder")
    with pytest.raises(UnsafeOutputError):
        store.writer("sub/b", may_replace=True)
    with pytest.raises(UnsafeOutputError):
        store.link("sub/b", LocalStore(tmp_path / "elsewhere"), "a")
    with pytest.raises(OSError, match="leads out"):
        store.link("b", store, "sub/a")
    with pytest.raises(OSError, match="leads out"):
        list(store.chunks("sub/a"))
    assert os.listdir(tmp_path / "elsewhere") == ["a"]


def test_a_link_is_the_same_file_and_replaces_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    store = LocalStore(tmp_path)
    assert store.link("sub/b", store, "a")
    assert (tmp_path / "sub/b").samefile(tmp_path / "a")
    with pytest.raises(FileExistsError):
        store.link("sub/b", store, "a")
    assert not store.link("c", MemoryStore({"a": b"a"}), "a")


@pytest.mark.slow
def test_a_refused_upload_is_an_error_of_the_environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(s3.url("large"))
    monkeypatch.setattr(RemoteStore, "put_file", lambda *_: (_ for _ in ()).throw(PermissionError(13, "refused")))
    with pytest.raises(OutputUnwritableError, match="refused"), store.writer("a", may_replace=True) as file:
        file.write(b"a")
