import shutil
from pathlib import Path

import bagit
import pytest
from finished import finished_folder
from helpers import CommandLine
from stores import S3, Cut

from colorbatch.errors import UsageError
from colorbatch.operations.package import PackageJob, package_batch
from colorbatch.store.remote_files import PART_BYTES

OUTPUTS = {"a.jpg": b"one", "sub/50% ü.jpg": b"two two"}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return finished_folder(tmp_path, OUTPUTS)


def upload(s3: S3, folder: Path, prefix: str) -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            s3.bucket.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return s3.url(prefix)


def download(s3: S3, prefix: str, folder: Path) -> Path:
    for key, data in s3.bucket.files(f"{prefix}/").items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_from_a_store_to_a_store(s3: S3, folders: tuple[Path, Path], tmp_path: Path, command_line: CommandLine) -> None:
    scans, out = (upload(s3, folder, folder.name) for folder in folders)
    assert command_line("package", "-q", out, s3.url("bag"), "--bagit", "--with-sources", scans) == 0
    bag = download(s3, "bag", tmp_path / "bag")
    assert (bag / "data/outputs/sub/50% ü.jpg").read_bytes() == b"two two"
    assert (bag / "data/sources/a.jpg").read_bytes() == b"grey one"
    assert {path.name for path in bag.iterdir() if "unfinished" in path.name} == set()
    assert "/50%25 ü.jpg" in (bag / "manifest-sha256.txt").read_text("utf-8")


@pytest.mark.slow
def test_a_bag_in_a_store_is_valid(s3: S3, tmp_path: Path) -> None:
    _, out = finished_folder(tmp_path, {"a.jpg": b"one", "sub/ü.jpg": b"two"})
    package_batch(PackageJob(out, s3.url("bag")))
    assert bagit.Bag(str(download(s3, "bag", tmp_path / "bag"))).validate()


@pytest.mark.slow
def test_a_zip_from_a_store_and_to_one(s3: S3, folders: tuple[Path, Path], tmp_path: Path) -> None:
    package_batch(PackageJob(upload(s3, folders[1], "out"), tmp_path / "here.zip", "zip"))
    package_batch(
        PackageJob(folders[1], s3.url("packages/there.zip"), "zip", bag_info=[("Bagging-Date", "2026-01-01")])
    )
    assert set(s3.bucket.files("packages/")) == {"there.zip"}
    for path in (tmp_path / "here.zip", download(s3, "packages", tmp_path) / "there.zip"):
        shutil.unpack_archive(path, tmp_path / "unpacked")
        assert (tmp_path / "unpacked" / path.stem / "data/outputs/a.jpg").read_bytes() == b"one"


@pytest.mark.slow
def test_a_large_file_is_uploaded_in_parts_and_read_in_parts(s3: S3, tmp_path: Path) -> None:
    large = bytes(range(256)) * (2 * PART_BYTES // 256 + 1)
    _, out = finished_folder(tmp_path, {"a.jpg": large})
    package_batch(PackageJob(out, s3.url("bag")))
    assert s3.proxy.count(r"^POST /archive/bag/data/outputs/a\.jpg\?uploads") == 1
    package_batch(PackageJob(s3.url("bag/data/outputs"), tmp_path / "again"))
    assert (tmp_path / "again/data/outputs/a.jpg").read_bytes() == large


@pytest.mark.slow
def test_what_was_altered_in_a_store_is_named(s3: S3, folders: tuple[Path, Path], tmp_path: Path) -> None:
    out = upload(s3, folders[1], "out")
    s3.bucket.put("out/a.jpg", b"ONE")
    found = package_batch(PackageJob(out, tmp_path / "bag"))
    assert [each.path for each in found.findings] == ["outputs/a.jpg"]
    assert not (tmp_path / "bag/bagit.txt").exists()


@pytest.mark.slow
def test_a_connection_that_is_cut_for_a_moment_does_no_harm(s3: S3, folders: tuple[Path, Path], tmp_path: Path) -> None:
    out = upload(s3, folders[1], "out")
    s3.proxy.cuts.append(Cut(r"^GET /archive/out/a.jpg", "answer body", 0.5, times=1))
    s3.proxy.cuts.append(Cut(r"^PUT /archive/bag/data/outputs/a.jpg", "request body", 0.5, times=1))
    assert package_batch(PackageJob(out, s3.url("bag"))).is_finished
    assert s3.proxy.done == 2
    assert download(s3, "bag", tmp_path / "bag").joinpath("data/outputs/a.jpg").read_bytes() == b"one"


def test_nothing_in_a_store_is_written_over(s3: S3, folders: tuple[Path, Path]) -> None:
    s3.bucket.put("bag/mine.txt", b"mine")
    with pytest.raises(UsageError, match="not empty"):
        package_batch(PackageJob(folders[1], s3.url("bag")))
    assert set(s3.bucket.files("bag/")) == {"mine.txt"}


@pytest.mark.slow
def test_an_interrupted_bag_in_a_store_is_continued(s3: S3, folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[1] / "sub/50% ü.jpg").write_bytes(b"TWO two")
    job = PackageJob(folders[1], s3.url("bag"))
    assert not package_batch(job).is_finished
    assert "bagit.txt" not in s3.bucket.files("bag/")
    (folders[1] / "sub/50% ü.jpg").write_bytes(b"two two")
    assert package_batch(job).kept == 2
    assert set(download(s3, "bag", tmp_path / "bag").iterdir()) == {
        tmp_path / "bag" / name
        for name in ("bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", "data")
    }
