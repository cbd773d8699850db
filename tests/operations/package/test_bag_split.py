"""Bags in ZIP files, and packages of several bags."""

import json
import os
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
from bags import OUTPUTS, bags_below, is_valid, tags
from finished import finished_folder
from helpers import CommandLine

from colorbatch.errors import UsageError
from colorbatch.operations.package import PackageJob, package_batch
from colorbatch.operations.package.delivery import MARKER
from colorbatch.records.manifest import MANIFEST_NAME


def test_large_packages_are_split_into_bags_of_one_group(tmp_path: Path) -> None:
    outputs = {f"{number}.jpg": bytes([number]) * 3000 for number in range(6)}
    scans, out = finished_folder(tmp_path, outputs)
    found = package_batch(PackageJob(out, tmp_path / "bags", sources=scans, bag_size=15_000))
    bags = bags_below(tmp_path / "bags")
    assert [each.name for each in bags] == ["bags-1-of-3", "bags-2-of-3", "bags-3-of-3"]
    assert found.bags == [str(each) for each in bags]
    assert all(map(is_valid, bags))
    assert [tags(each)["Bag-Count"] for each in bags] == ["1 of 3", "2 of 3", "3 of 3"]
    assert len({tags(each)["Bag-Group-Identifier"] for each in bags}) == 1
    assert all(int(tags(each)["Payload-Oxum"].partition(".")[0]) <= 15_000 for each in bags)
    assert sorted(path.name for each in bags for path in each.glob("data/outputs/*.jpg")) == sorted(outputs)
    rows = [
        json.loads(line) for each in bags for line in (each / "data/outputs" / MANIFEST_NAME).read_bytes().splitlines()
    ]
    assert [row["input"] for row in rows] == sorted(outputs)


def test_a_picture_that_no_bag_can_hold_is_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="larger than a bag may be"):
        package_batch(PackageJob(folders[1], tmp_path / "bags", bag_size=100))
    assert not (tmp_path / "bags").exists()


def test_the_same_zip_is_the_same_bytes_and_holds_the_bag(folders: tuple[Path, Path], tmp_path: Path) -> None:
    info = [("Bagging-Date", "2026-01-01")]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found = package_batch(PackageJob(folders[1], tmp_path / name / "bag.zip", "zip", folders[0], bag_info=info))
        assert found.bags == [str(tmp_path / name / "bag.zip")]
    assert (tmp_path / "one/bag.zip").read_bytes() == (tmp_path / "two/bag.zip").read_bytes()
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["bag.zip"]
    shutil.unpack_archive(tmp_path / "one/bag.zip", tmp_path / "unpacked")
    assert is_valid(tmp_path / "unpacked/bag")


def test_a_zip_of_an_altered_folder_does_not_appear(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[1] / "sub/c.png").write_bytes(b"THREE")
    (tmp_path / "to").mkdir()
    assert not package_batch(PackageJob(folders[1], tmp_path / "to/bag.zip", "zip")).is_finished
    assert [path for path in (tmp_path / "to").iterdir() if path.suffix == ".zip"] == []


def test_zips_are_split_too(tmp_path: Path) -> None:
    _, out = finished_folder(tmp_path, {f"{number}.jpg": bytes([number]) * 3000 for number in range(4)})
    package_batch(PackageJob(out, tmp_path / "bags", "zip", bag_size=8_000))
    names = [path.name for path in bags_below(tmp_path / "bags")]
    assert names == ["bags-1-of-2.zip", "bags-2-of-2.zip"]
    for name in names:
        shutil.unpack_archive(tmp_path / "bags" / name, tmp_path / "unpacked")
        assert is_valid(tmp_path / "unpacked" / name.removesuffix(".zip"))


@pytest.mark.parametrize(
    "options", [["--sha512", "--sources-url", "https://x.example", "--bagit"], ["--sources-url", "x", "--zip"], []]
)
def test_what_is_impossible_is_refused(
    folders: tuple[Path, Path], tmp_path: Path, command_line: CommandLine, options: list[str]
) -> None:
    assert command_line("package", "-q", folders[1], tmp_path / "bag.zip", *options) == 2
    assert not (tmp_path / "bag.zip").exists()


def test_the_folder_of_several_bags_holds_nothing_else(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "bags/bags-1-of-9/data").mkdir(parents=True)
    (tmp_path / "bags/bags-1-of-9/data/old.jpg").write_bytes(b"x")
    (tmp_path / "bags" / MARKER).write_text("{}\n")
    with pytest.raises(UsageError, match=r"such as bags-1-of-9/data/old\.jpg"):
        package_batch(PackageJob(folders[1], tmp_path / "bags", bag_size=10**9))


def test_several_bags_are_continued(folders: tuple[Path, Path], tmp_path: Path) -> None:
    job = PackageJob(folders[1], tmp_path / "bags", bag_size=1500)
    (folders[1] / "sub/c.png").write_bytes(b"THREE")
    assert not package_batch(job).is_finished
    (folders[1] / "sub/c.png").write_bytes(OUTPUTS["sub/c.png"])
    found = package_batch(job)
    assert (len(found.bags), found.kept) == (3, 5)
    assert all(map(is_valid, bags_below(tmp_path / "bags")))


def test_a_zip_may_hold_files_beyond_4_gigabytes(folders: tuple[Path, Path], tmp_path: Path) -> None:
    package_batch(PackageJob(folders[1], tmp_path / "bag.zip", "zip"))
    with zipfile.ZipFile(tmp_path / "bag.zip") as found, (tmp_path / "bag.zip").open("rb") as file:
        for entry in found.infolist():
            file.seek(entry.header_offset + 26)
            name, extra = struct.unpack("<HH", file.read(4))
            file.seek(name, os.SEEK_CUR)
            assert struct.unpack("<H", file.read(extra)[:2])[0] == 1  # ZIP64 (APPNOTE 6.3.10, section 4.5.3)
        assert found.testzip() is None


def test_all_that_is_altered_is_named_in_whichever_bag_it_would_be(tmp_path: Path) -> None:
    outputs = {f"{number}.jpg": bytes([number]) * 3000 for number in range(6)}
    _, out = finished_folder(tmp_path, outputs)
    for name in ("1.jpg", "5.jpg"):
        (out / name).write_bytes(b"x" * 3000)
    found = package_batch(PackageJob(out, tmp_path / "bags", bag_size=8_000))
    assert [each.path for each in found.findings] == ["outputs/1.jpg", "outputs/5.jpg"]
    assert not list((tmp_path / "bags").rglob("bagit.txt"))
