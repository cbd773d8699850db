import pickle
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from upath import UPath

from colorbatch.errors import EnvironmentFailure, UsageError
from colorbatch.job import BatchJob
from colorbatch.location import (
    SCHEMES,
    LocationLike,
    as_location,
    as_path,
    folder_of_all,
    is_url,
    location_of,
    overlaps,
    shown,
)


class Named:
    """Something that stands for a path and is none."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return self._path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("photos", Path("photos")),
        ("/photos/a b", Path("/photos/a b")),
        ("C:\\photos", Path("C:\\photos")),
        ("C://photos", Path("C://photos")),  # a drive, however it is written
        ("s3:/photos", Path("s3:/photos")),
        ("file:///photos/a%20b", Path("/photos/a b")),
        ("file://localhost/photos", Path("/photos")),
        ("FILE:///photos", Path("/photos")),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX paths")
def test_what_is_no_url_of_a_store_is_a_path(text: str, path: Path) -> None:
    assert location_of(text) == path


@pytest.mark.parametrize(
    ("text", "protocol", "path"),
    [
        ("s3://bucket/photos", "s3", "bucket/photos"),
        ("S3://bucket/photos/", "s3", "bucket/photos"),
        ("s3://bucket", "s3", "bucket/"),
        ("s3://bucket/a b#c?d%20", "s3", "bucket/a b#c?d%20"),
        ("memory://photos", "memory", "/photos"),
    ],
)
def test_urls_of_stores(text: str, protocol: str, path: str) -> None:
    location = location_of(text)
    assert isinstance(location, UPath)
    assert (location.protocol, location.path) == (protocol, path)
    assert is_url(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://example.org/photos", "http:// is unknown"),
        ("s3x://bucket", "s3x:// is unknown"),
        ("file://server/photos", "a file on another machine"),
        ("s3://", "has no bucket"),
        ("s3:///", "has no bucket"),
        ("s3://bucket/../other", "an empty part in its path"),
        ("s3://bucket//photos", "an empty part in its path"),
        ("s3://bucket/./photos", "an empty part in its path"),
    ],
)
def test_urls_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        location_of(text)
    assert refused.value.exit_code == 2


def test_an_unknown_scheme_is_told_all_known_ones() -> None:
    with pytest.raises(UsageError) as refused:
        location_of("htp://x")
    assert all(f"{name}://" in refused.value.advice for name in (*SCHEMES, "file"))


@pytest.mark.parametrize(
    ("text", "package"), [("gs://bucket", "gcsfs"), ("az://container", "adlfs"), ("sftp://host/photos", "paramiko")]
)
def test_a_missing_package_is_named_with_its_pip_line(monkeypatch: pytest.MonkeyPatch, text: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EnvironmentFailure, match=f"needs the package {package}, which is not installed") as failed:
        location_of(text)
    assert failed.value.exit_code == 4
    assert failed.value.advice.endswith(f"pip install 'colorbatch[remote]' {package}")


def test_secrets_are_not_shown() -> None:
    assert shown(Path("a@b")) == "a@b"
    assert shown(UPath("s3://bucket/photos")) == "s3://bucket/photos"
    with pytest.raises(UsageError) as refused:
        location_of("ftp://user:geheim@host/photos")
    assert "geheim" not in str(refused.value)
    assert "ftp://host/photos" in str(refused.value)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("s3://b/photos", "s3://b/photos", True),
        ("s3://b/photos/", "s3://b/photos", True),
        ("s3://b/photos", "s3://b/photos/out", True),
        ("s3://b", "s3://b/out", True),
        ("s3://b/photos", "s3://b/photos2", False),
        ("s3://b/photos", "s3://c/photos", False),
        ("s3://b/photos", "memory://b/photos", False),
    ],
)
def test_overlaps(one: str, other: str, expected: bool) -> None:  # noqa: FBT001 (a parameter of a test)
    assert overlaps(UPath(one), UPath(other)) is expected
    assert overlaps(UPath(other), UPath(one)) is expected


def test_a_local_run_imports_nothing_of_stores(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('fsspec', 'upath', 's3fs'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "import colorbatch\n"
        f"job = colorbatch.BatchJob(Path('samples/animals'), Path({str(tmp_path / 'out')!r}))\n"
        "assert colorbatch.run_batch(job).done == 2\n"
        "assert colorbatch.audit_batch(job.output, job.source).is_sound\n"
    )
    root = Path(__file__).parents[1]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("given", ["a/b", Path("a/b"), Named("a/b"), "a//b/"])
def test_a_path_may_be_given_in_any_way(given: LocationLike) -> None:
    assert as_location(given) == Path("a/b")
    assert as_path(given) == Path("a/b")


@pytest.mark.parametrize("given", ["memory://photos/a", UPath("memory://photos/a")])
def test_a_store_may_be_given_as_text(given: LocationLike) -> None:
    location = as_location(given)
    assert (type(location), str(location)) == (type(UPath("memory://x")), "memory://photos/a")
    with pytest.raises(UsageError, match="memory://photos/a is in a store: copy it to a folder first"):
        as_path(given)


def test_the_url_of_a_file_is_a_path_whatever_says_it() -> None:
    assert as_location(UPath("file:///tmp/a")) == as_location("file:///tmp/a") == Path("/tmp/a")  # noqa: S108


@pytest.mark.parametrize("given", ["", "a\0b", Named("")])
def test_what_is_no_path_is_refused(given: LocationLike) -> None:
    with pytest.raises(UsageError, match="empty or not a path"):
        as_location(given)


def test_a_job_has_locations_however_they_were_given() -> None:
    job = BatchJob("in", Named("out"))
    assert (job.source, job.output) == (Path("in"), Path("out"))
    assert job == BatchJob(Path("in"), output="out")
    assert replace(job, output="memory://out").output == UPath("memory://out")
    assert pickle.loads(pickle.dumps(job)) == job  # noqa: S301 (our own)
    assert [each.name for each in fields(job)][:2] == ["source", "output"]
    with pytest.raises(AttributeError):
        job.source = "other"  # type: ignore[misc]
    with pytest.raises(TypeError, match="missing 2 required positional arguments: 'source' and 'output'"):
        BatchJob()


def test_files_share_the_deepest_folder_that_holds_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/b")
    monkeypatch.chdir(tmp_path)
    assert folder_of_all([Path("a/b/1.jpg"), Path("a/2.jpg")]) == (tmp_path / "a", frozenset({"b/1.jpg", "2.jpg"}))
    assert folder_of_all([Path("a/1.jpg"), tmp_path / "a" / "1.jpg"]) == (tmp_path / "a", frozenset({"1.jpg"}))
    assert folder_of_all([Path("link/../2.jpg"), Path("link/1.jpg")])[1] == {"2.jpg", "b/1.jpg"}
    assert folder_of_all([Path("1.jpg"), Path("/none/2.jpg")])[0] == Path("/")
