"""A store over the real protocol of S3, with connections cut; and stores of other kinds."""

import errno
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from helpers import mostly_slow
from s3fs import S3FileSystem
from stores import S3, Cut, Where
from upath import UPath

from colorbatch.errors import OutputUnwritableError, StoreUnavailableError
from colorbatch.store import failures, remote_files
from colorbatch.store.remote import RemoteStore
from colorbatch.store.store import Head

PART = 2**16
SMALL, LARGE = os.urandom(2 * PART - 1), os.urandom(3 * PART - 1)
"""One that is uploaded in one step, and one in three parts."""

PUT = r"^PUT /archive/out/a\.jpg HTTP"
PUT_PART = r"^PUT /archive/out/a\.jpg\?partNumber=2"
BEGIN = r"^POST /archive/out/a\.jpg\?uploads"
COMPLETE = r"^POST /archive/out/a\.jpg\?uploadId"
GET = r"^GET /archive/in/a\.jpg"

SENT: list[tuple[Where, float]] = [
    ("request headers", 0.0),
    ("request headers", 0.5),
    ("request body", 0.01),
    ("request body", 0.5),
    ("request body", 1.0),  # all but the last byte
    ("answer headers", 0.0),  # it has arrived, and nobody hears of it
    ("answer headers", 0.5),
]
RECEIVED: list[tuple[Where, float]] = [
    ("request headers", 0.5),
    ("answer headers", 0.0),
    ("answer headers", 0.5),
    ("answer body", 0.0),
    ("answer body", 0.01),
    ("answer body", 0.5),
    ("answer body", 1.0),
]
UPLOADS = [
    *((SMALL, PUT, *cut) for cut in SENT),
    *((LARGE, PUT_PART, *cut) for cut in SENT),
    *((LARGE, request, *cut) for request in (BEGIN, COMPLETE) for cut in SENT if "body" not in cut[0]),
]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "PART_BYTES", PART)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)  # 5 MiB, as of Amazon's


@pytest.mark.parametrize(("where", "share"), RECEIVED)
def test_a_read_that_is_cut_once_is_whole_in_the_end(s3: S3, where: Where, share: float) -> None:
    s3.bucket.put("in/a.jpg", SMALL)
    s3.proxy.cuts.append(Cut(GET, where, share, times=1))
    assert RemoteStore(s3.at("in")).read("a.jpg", len(SMALL)) == SMALL
    assert s3.proxy.done == 1


@pytest.mark.parametrize(("where", "share"), RECEIVED)
def test_a_read_that_is_cut_each_time_fails(s3: S3, where: Where, share: float) -> None:
    s3.bucket.put("in/a.jpg", SMALL)
    s3.proxy.cuts.append(Cut(GET, where, share))
    with pytest.raises(OSError, match=r"connection|too long|sent \d+ of 131071 bytes") as failed:
        RemoteStore(s3.at("in")).read("a.jpg", len(SMALL))
    assert failed.value.errno not in (errno.EIO, errno.ENOSPC)  # these would end the run
    assert s3.proxy.done >= 3


@pytest.mark.parametrize(("data", "request_line", "where", "share"), mostly_slow(UPLOADS))
def test_a_write_that_is_cut_once_is_whole_in_the_end(
    s3: S3, data: bytes, request_line: str, where: Where, share: float
) -> None:
    s3.proxy.cuts.append(Cut(request_line, where, share, times=1))
    store = RemoteStore(s3.at("out"))
    try:
        state = store.write("a.jpg", data, may_replace=False)
    except FileExistsError:  # the answer was lost: it is there, and it is the caller who knows whether it is the same
        assert where.startswith("answer")
        assert store.sha256("a.jpg") == hashlib.sha256(data).hexdigest()
    else:
        assert state.bytes == len(data)
        assert state.etag
    assert s3.proxy.done == 1
    assert s3.bucket.files() == {"out/a.jpg": data}
    assert s3.bucket.uploads() == []


@pytest.mark.parametrize(
    ("data", "request_line", "where", "share", "stood_before"),
    mostly_slow([(*upload, number % 2 == 1) for number, upload in enumerate(UPLOADS)], quick=5),
)
def test_a_write_that_is_cut_each_time_leaves_all_or_nothing(
    s3: S3, data: bytes, request_line: str, where: Where, share: float, *, stood_before: bool
) -> None:
    before = {"out/a.jpg": b"what stood there"} if stood_before else {}
    for key, old in before.items():
        s3.bucket.put(key, old)
    s3.proxy.cuts.append(Cut(request_line, where, share))
    store = RemoteStore(s3.at("out"))
    with pytest.raises((OutputUnwritableError, FileExistsError)):
        store.write("a.jpg", data, may_replace=stood_before)
    assert s3.proxy.done >= 1
    has_arrived = where.startswith("answer") and request_line in (PUT, COMPLETE)
    assert s3.bucket.files() == ({"out/a.jpg": data} if has_arrived else before)
    s3.proxy.cuts.clear()
    store.cleanup()  # as a run does at its end
    assert s3.bucket.uploads() == []
    store.write("a.jpg", data, may_replace=True)
    assert s3.bucket.files() == {"out/a.jpg": data}
    assert s3.bucket.uploads() == []


def test_what_is_listed_is_known_with_size_and_etag_but_for_folders(s3: S3) -> None:
    s3.bucket.put("in/a.jpg", b"abc")
    s3.bucket.put("in/sub/b.jpg", b"")
    s3.bucket.put("in/folder/", b"")
    s3.bucket.put("in2/c.jpg", b"x")
    states = RemoteStore(s3.at("in")).states()
    assert {name: (state.bytes, state.etag) for name, state in states.items()} == {
        "a.jpg": (3, "900150983cd24fb0d6963f7d28e17f72"),  # RFC 1321, A.5: MD5 of "abc"
        "sub/b.jpg": (0, "d41d8cd98f00b204e9800998ecf8427e"),
    }


def test_a_source_that_was_replaced_by_a_longer_one_is_read_whole(s3: S3) -> None:
    s3.bucket.put("in/a.jpg", b"longer than before")
    assert RemoteStore(s3.at("in")).read("a.jpg", 6) == b"longer than before"


def test_the_head_of_a_file_costs_no_more_than_that(s3: S3) -> None:
    s3.bucket.put("in/a.jpg", SMALL)
    s3.bucket.put("in/empty.jpg", b"")
    store = RemoteStore(s3.at("in"))
    store.prefetch_listing()
    s3.proxy.answered = 0
    times = [store.states()[name].modified for name in ("a.jpg", "empty.jpg")]
    assert times == [pytest.approx(time.time(), abs=60)] * 2
    assert store.head("a.jpg", 32) == Head(SMALL[:32], len(SMALL), times[0])
    assert store.head("empty.jpg", 32) == Head(b"", 0, times[1])
    assert s3.proxy.answered < 2000


def test_a_file_that_appeared_meanwhile_is_not_replaced(s3: S3) -> None:
    store = RemoteStore(s3.at("out"))
    assert store.state("a.jpg") is None
    s3.bucket.put("out/a.jpg", b"mine")
    with pytest.raises(FileExistsError):
        store.write("a.jpg", SMALL, may_replace=False)
    assert s3.bucket.files() == {"out/a.jpg": b"mine"}


def test_what_a_killed_run_left_of_uploads_is_given_up_and_no_other(s3: S3) -> None:
    for key in ("out/a.jpg", "out/sub/\u00e4.jpg", "out/a.jpg.bak", "out2/a.jpg", "a.jpg"):
        s3.bucket.begin_upload(key)
    RemoteStore(s3.at("out")).remove_left_behind({"a.jpg", "sub/\u00e4.jpg"}.__contains__)
    assert sorted(s3.bucket.uploads()) == ["a.jpg", "out/a.jpg.bak", "out2/a.jpg"]


def test_uploads_are_looked_for_on_every_page_of_their_list(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the tests has one page of all: here each holds one upload, as S3 numbers them."""
    whole = S3FileSystem.call_s3

    def one_by_one(fs: S3FileSystem, method: str, **arguments: Any) -> Any:  # noqa: ANN401 (as the library has it)
        marker = arguments.pop("KeyMarker", ""), arguments.pop("UploadIdMarker", "")
        found = whole(fs, method, **arguments)
        if method != "list_multipart_uploads":
            return found
        after = sorted((each["Key"], each["UploadId"]) for each in found.get("Uploads", ()))
        (key, upload), *rest = [each for each in after if each > marker]
        page = {"Uploads": [{"Key": key, "UploadId": upload}], "IsTruncated": bool(rest)}
        return page | ({"NextKeyMarker": key, "NextUploadIdMarker": upload} if rest else {})

    for key in ("out/a.jpg", "out/b.zip", "out/c.jpg", "out/d.zip"):
        s3.bucket.begin_upload(key)
    monkeypatch.setattr(S3FileSystem, "call_s3", one_by_one)
    RemoteStore(s3.at("out")).remove_left_behind(lambda name: name.endswith(".jpg"))
    assert sorted(s3.bucket.uploads()) == ["out/b.zip", "out/d.zip"]


def test_an_upload_in_parts_gives_up_no_other(s3: S3) -> None:
    for key in ("out/a.jpg", "out/a.jpg.png"):
        s3.bucket.begin_upload(key)
    RemoteStore(s3.at("out")).write("a.jpg", LARGE, may_replace=False)
    assert s3.bucket.uploads() == ["out/a.jpg.png"]  # of another thread, say


def test_a_bucket_that_is_not_there(s3: S3) -> None:
    store = RemoteStore(UPath("s3://no-such-bucket/out"))
    with pytest.raises(StoreUnavailableError, match="bucket does not exist") as failed:
        store.states()
    assert failed.value.exit_code == 4
    with pytest.raises(OutputUnwritableError, match="bucket does not exist"):
        store.write("a.jpg", b"x", may_replace=False)
    assert s3.bucket.uploads() == []


def test_a_server_that_is_not_there(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreUnavailableError, match="connection"):
        RemoteStore(s3.at("in")).states()


def test_no_credentials(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreUnavailableError, match="no credentials") as failed:
        RemoteStore(s3.at("in")).states()
    assert "profile" in failed.value.advice


@pytest.mark.parametrize(("name", "kind"), [("AccessDenied", "refused"), ("SlowDown", "reduce")])
def test_other_refusals_are_one_line(name: str, kind: str) -> None:
    from botocore.exceptions import ClientError
    from s3fs.errors import translate_boto_error

    answer = {"Error": {"Code": name, "Message": "Please\n reduce your  request rate"}}
    error = failures.as_os_error(translate_boto_error(ClientError(answer, "GetObject")))
    assert kind in str(error.strerror)
    assert "\n" not in str(error.strerror)


def test_memory(tmp_path: Path) -> None:
    store = RemoteStore(UPath(f"memory://{tmp_path.name}/out"))
    store.write("sub/a.jpg", SMALL, may_replace=False)
    with pytest.raises(FileExistsError):
        store.write("sub/a.jpg", LARGE, may_replace=False)
    assert store.read("sub/a.jpg") == SMALL
    store.write("sub/a.jpg", LARGE, may_replace=True)
    again = RemoteStore(store.location)
    assert {name: state.bytes for name, state in again.states().items()} == {"sub/a.jpg": len(LARGE)}
    again.delete_all(["sub/a.jpg", "not there"])
    assert RemoteStore(store.location).states() == {}


class Files(LocalFileSystem):  # type: ignore[misc] # fsspec has no types
    """Files that are renamed, as on a server of files, of which a test says what goes wrong."""

    protocol = "sftp"
    cachable = False
    fails: str = ""

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
        super().pipe_file(path, value[: len(value) // 2] if self.fails else value, mode=mode, **kwargs)
        if self.fails == "raises":
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    def cat_file(self, path: str, **kwargs: object) -> bytes:
        data: bytes = super().cat_file(path, **kwargs)
        return data[:-1] if self.fails == "reads short" else data

    def mv(self, path1: str, path2: str, **kwargs: object) -> None:
        if self.fails == "rename":
            raise PermissionError(errno.EACCES, "Permission denied")
        super().mv(path1, path2, **kwargs)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteStore:
    monkeypatch.setattr(failures, "PAUSES", (0.0,))
    store = RemoteStore(UPath(f"file://{tmp_path.as_posix()}/out"))
    monkeypatch.setattr(store, "_opened", Files())
    assert not store.is_object_store
    return store


def test_on_a_server_of_files_an_output_gets_its_name_when_it_is_whole(files: RemoteStore, tmp_path: Path) -> None:
    files.write("sub/a.jpg", SMALL, may_replace=False)
    assert (tmp_path / "out" / "sub" / "a.jpg").read_bytes() == SMALL
    with pytest.raises(FileExistsError):
        files.write("sub/a.jpg", LARGE, may_replace=False)
    files.write("sub/a.jpg", LARGE, may_replace=True)
    assert os.listdir(tmp_path / "out" / "sub") == ["a.jpg"]
    assert files.read("sub/a.jpg") == LARGE


@pytest.mark.parametrize("fails", ["raises", "cuts it short", "rename"])
def test_on_a_server_of_files_a_write_that_fails_leaves_what_was_there(
    files: RemoteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    files.write("a.jpg", SMALL, may_replace=False)
    with monkeypatch.context() as patch:
        patch.setattr(Files, "fails", fails)
        with pytest.raises(OutputUnwritableError):
            files.write("a.jpg", LARGE, may_replace=True)
    assert os.listdir(tmp_path / "out") == ["a.jpg"]
    assert (tmp_path / "out" / "a.jpg").read_bytes() == SMALL


def test_a_read_that_ends_early_without_an_error_is_none(files: RemoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write("a.jpg", SMALL, may_replace=False)
    monkeypatch.setattr(Files, "fails", "reads short")
    with pytest.raises(OSError, match="sent 131070 of 131071 bytes"):
        files.read("a.jpg")
    with pytest.raises(OSError, match="sent 131070 of 131071 bytes"):
        files.read("a.jpg", len(SMALL))


def test_on_a_server_of_files_what_a_killed_run_left_is_deleted(files: RemoteStore, tmp_path: Path) -> None:
    files.write("a.jpg", SMALL, may_replace=False)
    (tmp_path / "out" / ".colorbatch-0123456789abcdef.tmp").write_bytes(b"half")
    files.remove_left_behind(lambda _: False)
    assert os.listdir(tmp_path / "out") == ["a.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_on_a_server_of_files_links_are_listed_and_are_no_files(files: RemoteStore, tmp_path: Path) -> None:
    files.write("a.jpg", SMALL, may_replace=False)
    (tmp_path / "out" / "link.jpg").symlink_to("nowhere")
    found = files.listed()
    assert {name: state.is_file for name, state in found.items()} == {"a.jpg": True, "link.jpg": False}


class Simple(MemoryFileSystem):  # type: ignore[misc] # fsspec has no types
    """A store that cannot write under a condition, and says so in one of the ways that there are."""

    cachable = False
    says: Exception = NotImplementedError()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
        if mode == "create":
            raise self.says
        super().pipe_file(path, value, **kwargs)


@pytest.mark.parametrize(
    "says",
    [
        NotImplementedError(),
        ValueError("mode"),
        TypeError("unexpected keyword"),
        OSError(errno.ENOSYS, "none"),
    ],
    ids=repr,
)
def test_a_store_that_cannot_write_under_a_condition_is_asked_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, says: Exception
) -> None:
    store = RemoteStore(UPath(f"memory://{tmp_path.name}/out"))
    monkeypatch.setattr(store, "_opened", Simple())
    monkeypatch.setattr(Simple, "says", says)
    for name in ("a.jpg", "b.jpg"):
        store.write(name, SMALL, may_replace=False)
    with pytest.raises(FileExistsError):
        store.write("a.jpg", LARGE, may_replace=False)
    assert store.read("a.jpg") == SMALL
    assert not store.can_create
    assert len(caplog.records) == 1
