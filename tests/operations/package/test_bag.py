import errno
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import bagit
import pytest
from finished import finished_folder
from helpers import CommandLine, LocalJob, wait_until
from PIL import Image

from colorbatch.errors import OutputInUseError, UsageError
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.package import PackageJob, package_batch
from colorbatch.operations.package.delivery import MARKER, FolderSink, ZipSink
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.retouch import Retouch, RetouchLine
from colorbatch.run import batch
from colorbatch.store.local import LocalStore

OUTPUTS = {"a.jpg": b"one", "sub/b.jpg": b"two two", "sub/c.png": b"three"}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return the folders of scans and outputs."""
    return finished_folder(tmp_path, OUTPUTS)


def is_valid(folder: Path) -> bool:
    """Return what bagit.py says of a bag; it raises for a folder that is none."""
    result: bool = bagit.Bag(str(folder)).validate()
    return result


def tags(folder: Path) -> dict[str, str]:
    lines = (folder / "bag-info.txt").read_text("utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines)


def manifest(folder: Path, name: str = "manifest-sha256.txt") -> dict[str, str]:
    """Return the hashes of a manifest by path, decoded as RFC 8493 says, by a reader of our own."""
    found = {}
    for line in (folder / name).read_bytes().decode().split("\n")[:-1]:
        digest, path = line.split("  ", 1)
        found[path.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")] = digest
    return found


def is_as_stated(folder: Path) -> bool:
    """Return whether a bag has exactly the files of its manifest."""
    files = {path.relative_to(folder).as_posix() for path in (folder / "data").rglob("*") if path.is_file()}
    stated = manifest(folder)
    return files == set(stated) and all(
        hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest for path, digest in stated.items()
    )


def everything(folder: Path) -> dict[Path, tuple[int, int, int]]:
    found = {path: path.stat() for path in folder.rglob("*")}
    return {path: (each.st_mode, each.st_mtime_ns, each.st_size) for path, each in found.items()}


def test_a_bag_is_valid_and_its_folders_can_be_audited(tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.png"):
        Image.linear_gradient("L").resize((40, 30)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    batch.run_batch(LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu"))
    found = package_batch(PackageJob(tmp_path / "out", tmp_path / "bag", sources=tmp_path / "in", sha512=True))
    assert (found.outputs, found.sources, found.is_finished) == (2, 3, True)
    assert is_valid(tmp_path / "bag")
    assert audit_batch(tmp_path / "bag/data/outputs", tmp_path / "bag/data/sources").is_sound
    assert (
        hashlib.sha512((tmp_path / "out/a.jpg").read_bytes()).hexdigest()
        == manifest(tmp_path / "bag", "manifest-sha512.txt")["data/outputs/a.jpg"]
    )


def test_the_program_of_bagit_calls_it_valid(folders: tuple[Path, Path], tmp_path: Path) -> None:
    package_batch(PackageJob(folders[1], tmp_path / "bag"))
    done = subprocess.run(
        [sys.executable, "-m", "bagit", "--validate", tmp_path / "bag"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr.endswith("bag is valid\n")


def test_what_lies_where(folders: tuple[Path, Path], tmp_path: Path) -> None:
    package_batch(PackageJob(folders[1], tmp_path / "bag", sources=folders[0]))
    names = {path.relative_to(tmp_path / "bag").as_posix() for path in (tmp_path / "bag").rglob("*") if path.is_file()}
    payload = {f"data/{folder}/{name}" for folder in ("outputs", "sources") for name in OUTPUTS}
    tag_files = {"bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"}
    assert names == payload | tag_files | {f"data/outputs/{MANIFEST_NAME}"}
    assert (tmp_path / "bag/bagit.txt").read_bytes() == (
        b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"  # RFC 8493, section 2.1.1
    )


def test_bag_info_comes_from_the_command_line_and_from_the_config_file(
    folders: tuple[Path, Path], tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "colorbatch.toml").write_text(
        '[package]\nbag-info = ["Source-Organization=City Archive", "Contact-Name=A. N. Other: desk 2"]\n'
    )
    assert command_line("package", "-q", folders[1], "one", "--bagit") == 0
    assert command_line("package", "-q", folders[1], "two", "--bagit", "--bag-info", "Bagging-Date=2001-02-03") == 0
    one, two = tags(tmp_path / "one"), tags(tmp_path / "two")
    assert (one["Source-Organization"], one["Contact-Name"]) == ("City Archive", "A. N. Other: desk 2")
    size = sum(map(len, OUTPUTS.values())) + (folders[1] / MANIFEST_NAME).stat().st_size
    assert one["Payload-Oxum"] == f"{size}.4"
    assert two["Bagging-Date"] == "2001-02-03"
    assert "Source-Organization" not in two


@pytest.mark.parametrize(
    "line", [("a:b", "x"), ("Label", "two\nlines"), ("Payload-Oxum", "1.1"), (" ", "x"), ("A", "")]
)
def test_what_cannot_be_in_bag_info_is_refused(
    folders: tuple[Path, Path], tmp_path: Path, line: tuple[str, str]
) -> None:
    with pytest.raises(UsageError, match=r"bag-info|computed"):
        PackageJob(folders[1], tmp_path / "bag", bag_info=[line])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_line_breaks_and_percent_signs_are_encoded_as_the_standard_says(tmp_path: Path) -> None:
    names = ("line\nbreak.jpg", "car\rriage.jpg", "50%.jpg", "100%0A.jpg", " \u2028space .jpg")
    _, out = finished_folder(tmp_path, {name: name.encode() for name in names})
    found = package_batch(PackageJob(out, tmp_path / "bag"))
    assert is_as_stated(tmp_path / "bag")
    lines = (tmp_path / "bag/manifest-sha256.txt").read_bytes()
    for line in (b"/line%0Abreak.jpg\n", b"/car%0Driage.jpg\n", b"/50%25.jpg\n", b"/100%250A.jpg\n"):
        assert line in lines
    assert any("bagit.py reads wrongly" in warning for warning in found.warnings)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_bagit_reads_line_breaks_in_names(tmp_path: Path) -> None:
    _, out = finished_folder(tmp_path, {name: name.encode() for name in ("line\nbreak.jpg", "car\rriage.jpg", "ü.jpg")})
    found = package_batch(PackageJob(out, tmp_path / "bag"))
    assert is_valid(tmp_path / "bag")
    assert found.warnings == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf_8_are_kept_apart_and_told(tmp_path: Path) -> None:
    name = os.fsdecode(b"M\xfcnchen.jpg")
    _, out = finished_folder(tmp_path, {name: b"latin", "M_xFCnchen.jpg": b"ascii"})
    found = package_batch(PackageJob(out, tmp_path / "bag"))
    assert is_valid(tmp_path / "bag")
    payload = tmp_path / "bag/data/outputs"
    assert (payload / "M_xFCnchen.jpg").read_bytes() == b"ascii"
    assert (payload / "M_xFCnchen~2.jpg").read_bytes() == b"latin"
    (line,) = (tmp_path / "bag/metadata/renamed.jsonl").read_text().splitlines()
    assert json.loads(line) == {"path": "data/outputs/M_xFCnchen~2.jpg", "name": "M\udcfcnchen.jpg"}
    assert any("could not be kept" in warning for warning in found.warnings)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take them for the same")
def test_names_that_differ_in_normalization_alone_are_both_there(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "Zürich.jpg") for form in ("NFC", "NFD")]
    _, out = finished_folder(tmp_path, {name: name.encode() for name in names})
    package_batch(PackageJob(out, tmp_path / "bag"))
    assert is_valid(tmp_path / "bag")
    assert {path.read_bytes() for path in (tmp_path / "bag/data/outputs").glob("*.jpg")} == {
        name.encode() for name in names
    }


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take them for the same")
def test_names_that_differ_in_case_alone_are_warned_of(tmp_path: Path) -> None:
    _, out = finished_folder(tmp_path, {"Scan.jpg": b"one", "scan.JPG": b"two"})
    found = package_batch(PackageJob(out, tmp_path / "bag"))
    assert is_valid(tmp_path / "bag")
    assert any("upper and lower case alone" in warning for warning in found.warnings)


def test_an_altered_output_is_named_and_there_is_no_bag(
    folders: tuple[Path, Path], tmp_path: Path, command_line: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    (folders[1] / "sub/b.jpg").write_bytes(b"TWO two")
    assert command_line("package", folders[1], tmp_path / "bag", "--bagit") == 1
    assert "outputs/sub/b.jpg: it was altered after the manifest was written" in capsys.readouterr().out
    assert not (tmp_path / "bag/bagit.txt").exists()
    with pytest.raises(bagit.BagError):
        is_valid(tmp_path / "bag")
    (folders[1] / "sub/b.jpg").write_bytes(OUTPUTS["sub/b.jpg"])
    assert command_line("package", folders[1], tmp_path / "bag", "--bagit") == 0
    assert is_valid(tmp_path / "bag")


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        (lambda out: (out / "a.jpg").unlink(), "a.jpg: the output cannot be read: it is not there"),
        (lambda out: (out / "a.jpg").write_bytes(b"longer"), "a.jpg: the output was altered after it was made"),
        (lambda out: (out / "note.txt").write_bytes(b"x"), "note.txt: it is not in the manifest"),
        (
            lambda out: (out / MANIFEST_NAME).write_bytes((out / MANIFEST_NAME).read_bytes() + b"{\n"),
            f"{MANIFEST_NAME}: some lines are not rows",
        ),
    ],
)
def test_a_folder_that_no_audit_would_accept_is_refused_before_anything_is_written(
    folders: tuple[Path, Path], tmp_path: Path, act: object, problem: str
) -> None:
    act(folders[1])  # type: ignore[operator]
    found = package_batch(PackageJob(folders[1], tmp_path / "bag"))
    assert any(f"{each.path}: {each.problem}".startswith(problem) for each in found.findings)
    assert not (tmp_path / "bag").exists()


def test_scans_that_are_missing_or_were_altered_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[0] / "a.jpg").unlink()
    found = package_batch(PackageJob(folders[1], tmp_path / "bag", sources=folders[0]))
    assert [(each.path, each.problem) for each in found.findings] == [
        ("a.jpg", "the source cannot be read: it is not there")
    ]
    (folders[0] / "a.jpg").write_bytes(b"grey ONE")
    found = package_batch(PackageJob(folders[1], tmp_path / "bag", sources=folders[0]))
    assert [each.path for each in found.findings] == ["sources/a.jpg"]
    assert not (tmp_path / "bag/bagit.txt").exists()


def test_nothing_is_written_over(folders: tuple[Path, Path], tmp_path: Path, command_line: CommandLine) -> None:
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag/mine.txt").write_text("mine")
    assert command_line("package", "-q", folders[1], tmp_path / "bag", "--bagit") == 2
    assert [path.name for path in (tmp_path / "bag").iterdir()] == ["mine.txt"]
    package_batch(PackageJob(folders[1], tmp_path / "other"))
    before = everything(tmp_path / "other")
    assert command_line("package", "-q", folders[1], tmp_path / "other", "--bagit") == 2
    assert everything(tmp_path / "other") == before
    (tmp_path / "a.zip").write_bytes(b"mine")
    assert command_line("package", "-q", folders[1], tmp_path / "a.zip", "--zip") == 2
    assert (tmp_path / "a.zip").read_bytes() == b"mine"


@pytest.mark.parametrize("destination", ["out", "out/bag", "in", "in/bag", "out/bag.zip"])
def test_a_destination_inside_the_folders_is_refused(
    folders: tuple[Path, Path], tmp_path: Path, destination: str
) -> None:
    form = "zip" if destination.endswith(".zip") else "bagit"
    with pytest.raises(UsageError, match="one is inside the other"):
        package_batch(PackageJob(folders[1], tmp_path / destination, form, sources=folders[0]))  # type: ignore[arg-type]


def test_a_bag_that_was_interrupted_is_unfinished_and_is_continued(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = PackageJob(folders[1], tmp_path / "bag")
    whole, calls = FolderSink.deliver, []

    def interrupted(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(FolderSink, "workers", 1)
        patch.setattr(FolderSink, "deliver", interrupted)
        with pytest.raises(KeyboardInterrupt):
            package_batch(job)
    assert not (tmp_path / "bag/bagit.txt").exists()
    assert (tmp_path / "bag" / MARKER).exists()
    (tmp_path / "bag/data/outputs/a.jpg").write_bytes(b"on")  # as a power failure may leave it
    found = package_batch(job)
    assert found.kept in (1, 2)  # the last may have been written while the third was interrupted
    assert is_valid(tmp_path / "bag")
    assert not (tmp_path / "bag" / MARKER).exists()


def test_a_bag_that_was_killed_as_it_was_finished_is_checked_again(folders: tuple[Path, Path], tmp_path: Path) -> None:
    job = PackageJob(folders[1], tmp_path / "bag")
    package_batch(job)
    (tmp_path / "bag" / MARKER).write_text("{}\n")
    (tmp_path / "bag/data/outputs/a.jpg").write_bytes(b"ONE")
    assert package_batch(job).kept == 3
    assert is_valid(tmp_path / "bag")


def test_files_of_another_package_are_not_taken_over(folders: tuple[Path, Path], tmp_path: Path) -> None:
    job = PackageJob(folders[1], tmp_path / "bag")
    (tmp_path / "bag/data").mkdir(parents=True)
    (tmp_path / "bag" / MARKER).write_text("{}\n")
    (tmp_path / "bag/data/other.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"1 files that are not of this package, such as data/other\.jpg"):
        package_batch(job)
    assert (tmp_path / "bag/data/other.jpg").read_bytes() == b"x"
    assert not (tmp_path / "bag/bagit.txt").exists()


def test_two_processes_do_not_write_one_bag(folders: tuple[Path, Path], tmp_path: Path) -> None:
    held = LocalStore(tmp_path / "bag").open_journal(MARKER)
    held.add(b"{}\n")
    with pytest.raises(OutputInUseError):
        package_batch(PackageJob(folders[1], tmp_path / "bag"))
    held.close()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["--bagit", "--zip"])
def test_a_killed_command_leaves_no_bag_and_can_be_repeated(tmp_path: Path, form: str) -> None:
    _, out = finished_folder(tmp_path, {f"{number:04}.jpg": bytes([number % 256]) * 50_000 for number in range(3000)})
    target = tmp_path / ("bag" if form == "--bagit" else "bag.zip")
    command = [sys.executable, "-m", "colorbatch", "package", "-q", str(out), str(target), form]
    process = subprocess.Popen(command)
    begun = (lambda: len(list(target.rglob("*.jpg"))) > 50) if form == "--bagit" else lambda: any(tmp_path.glob(".c*"))
    wait_until(begun)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (target / "bagit.txt").exists()
    assert not target.is_file()
    assert subprocess.run(command, check=False).returncode == 0
    if form == "--zip":
        shutil.unpack_archive(target, tmp_path / "unpacked")
        target = tmp_path / "unpacked" / "bag"
    assert is_valid(target)
    assert not list(tmp_path.glob(".c*"))
    assert not list(tmp_path.glob("*.unfinished*"))


def test_hard_links_save_the_space_and_are_checked_too(folders: tuple[Path, Path], tmp_path: Path) -> None:
    found = package_batch(PackageJob(folders[1], tmp_path / "bag", link=True))
    assert found.linked == 3
    assert (tmp_path / "bag/data/outputs/a.jpg").samefile(folders[1] / "a.jpg")
    assert is_valid(tmp_path / "bag")
    (folders[1] / "a.jpg").unlink()
    (folders[1] / "a.jpg").write_bytes(b"ONE")
    found = package_batch(PackageJob(folders[1], tmp_path / "other", link=True))
    assert [each.path for each in found.findings] == ["outputs/a.jpg"]
    assert not (tmp_path / "other/data/outputs/a.jpg").exists()
    assert (folders[1] / "a.jpg").read_bytes() == b"ONE"


def test_where_there_can_be_no_links_files_are_copied(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    found = package_batch(PackageJob(folders[1], tmp_path / "bag", link=True))
    assert found.linked == 0
    assert is_valid(tmp_path / "bag")


def test_pictures_are_never_in_memory_as_a_whole(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LocalStore.read

    def refuse_pictures(store: LocalStore, name: str, size: int | None = None) -> bytes:
        assert not name.endswith((".jpg", ".png"))
        return read(store, name, size)

    monkeypatch.setattr(LocalStore, "read", refuse_pictures)
    package_batch(PackageJob(folders[1], tmp_path / "bag", sources=folders[0]))
    assert is_valid(tmp_path / "bag")


def test_scans_that_stay_away_are_listed_and_complete_the_bag_once_fetched(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    url = "https://archive.example/scans/"
    found = package_batch(PackageJob(folders[1], tmp_path / "bag", sources_url=url))
    assert (found.sources, found.to_fetch) == (0, 3)
    lines = (tmp_path / "bag/fetch.txt").read_text().splitlines()
    assert lines[0] == f"https://archive.example/scans/a.jpg {len(b'grey one')} data/sources/a.jpg"
    with pytest.raises(bagit.BagError):  # it is not complete yet
        is_valid(tmp_path / "bag")
    for line in lines:
        address, length, path = line.split(" ", 2)
        scan = folders[0] / unquote(urlsplit(address).path).removeprefix("/scans/")
        assert scan.stat().st_size == int(length)
        (tmp_path / "bag" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scan, tmp_path / "bag" / path)
    assert is_valid(tmp_path / "bag")


def test_addresses_of_scans_are_quoted(tmp_path: Path) -> None:
    _, out = finished_folder(tmp_path, {"a b/50%.jpg": b"x", "ü.jpg": b"y"})
    package_batch(PackageJob(out, tmp_path / "bag", sources_url="https://x.example"))
    assert (tmp_path / "bag/fetch.txt").read_text("utf-8").splitlines() == [
        "https://x.example/a%20b/50%25.jpg 6 data/sources/a b/50%25.jpg",
        "https://x.example/%C3%BC.jpg 6 data/sources/ü.jpg",
    ]


def test_only_scans_that_are_not_there_stay_away(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[0] / "a.jpg").unlink()
    job = PackageJob(folders[1], tmp_path / "bag", sources=folders[0], sources_url="https://x.example/")
    found = package_batch(job)
    assert (found.sources, found.to_fetch) == (2, 1)


def bags_below(folder: Path) -> Sequence[Path]:
    return sorted(folder.iterdir())


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


def test_nothing_changes_in_the_folders(folders: tuple[Path, Path], tmp_path: Path) -> None:
    before = [everything(folder) for folder in folders]
    for form, name in (("bagit", "bag"), ("zip", "bag.zip")):
        job = PackageJob(folders[1], tmp_path / name, form, folders[0], premis="job", iiif="https://x.example")  # type: ignore[arg-type]
        package_batch(job)
    assert [everything(folder) for folder in folders] == before


def test_two_rows_with_one_output_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    line = (folders[1] / MANIFEST_NAME).read_bytes().splitlines(keepends=True)[0]
    with (folders[1] / MANIFEST_NAME).open("ab") as file:
        file.write(line.replace(b'"input": "a.jpg"', b'"input": "b.jpg"'))
        file.write(
            line.replace(b'"a.jpg"', b'"x.jpg"').replace(b'"output": "x.jpg"', f'"output": "{MANIFEST_NAME}"'.encode())
        )
    found = package_batch(PackageJob(folders[1], tmp_path / "bag"))
    assert {each.path for each in found.findings if "it is a record" in each.problem} == {"a.jpg", MANIFEST_NAME}


@pytest.mark.parametrize("link", [False, True])
def test_names_that_the_file_system_takes_for_the_same_are_named(
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    link: bool,  # noqa: FBT001
) -> None:
    (tmp_path / "bag/data/outputs").mkdir(parents=True)
    (tmp_path / "bag" / MARKER).write_text("{}\n")
    (tmp_path / "bag/data/outputs/a.jpg").write_bytes(b"of A.JPG")
    monkeypatch.setattr("colorbatch.operations.package.place._by_folder", lambda _: {})  # it was not there before
    found = package_batch(PackageJob(folders[1], tmp_path / "bag", link=link))
    assert [(each.path, each.problem) for each in found.findings] == [
        ("outputs/a.jpg", "its name is taken: the file system of the package takes it for that of another file")
    ]
    assert (tmp_path / "bag/data/outputs/a.jpg").read_bytes() == b"of A.JPG"


def test_a_zip_that_appears_meanwhile_is_kept(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ZipSink.deliver

    def slow(*arguments: object) -> object:
        (tmp_path / "bag.zip").write_bytes(b"mine")
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ZipSink, "deliver", slow)
    with pytest.raises(UsageError, match="already exists"):
        package_batch(PackageJob(folders[1], tmp_path / "bag.zip", "zip"))
    assert (tmp_path / "bag.zip").read_bytes() == b"mine"


def test_a_bag_that_another_process_finishes_meanwhile_is_kept(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = PackageJob(folders[1], tmp_path / "bag")
    whole = LocalStore.open_journal

    def late(*arguments: object) -> object:
        monkeypatch.undo()
        package_batch(job)
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalStore, "open_journal", late)
    with pytest.raises(UsageError, match="not empty"):
        package_batch(job)
    assert is_valid(tmp_path / "bag")
    assert not (tmp_path / "bag" / MARKER).exists()


def test_a_run_that_changes_the_folder_meanwhile_is_noticed(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FolderSink.deliver

    def changed(*arguments: object) -> object:
        content = (folders[1] / MANIFEST_NAME).read_bytes()
        (folders[1] / MANIFEST_NAME).write_bytes(content.replace(b"2026", b"2027"))
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(FolderSink, "deliver", changed)
    found = package_batch(PackageJob(folders[1], tmp_path / "bag"))
    assert [each.problem for each in found.findings] == ["a run changed it meanwhile: package again"]
    assert not (tmp_path / "bag/bagit.txt").exists()


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


def test_the_scan_may_be_a_single_file(tmp_path: Path) -> None:
    scans, out = finished_folder(tmp_path, {"a.jpg": b"one"})
    found = package_batch(PackageJob(out, tmp_path / "bag", sources=scans / "a.jpg"))
    assert found.sources == 1
    assert (tmp_path / "bag/data/sources/a.jpg").read_bytes() == b"grey one"


def test_a_retouch_record_from_elsewhere_is_in_the_bag(folders: tuple[Path, Path], tmp_path: Path) -> None:
    line = RetouchLine("a.jpg", vividness=0.3)
    (tmp_path / "said.jsonl").write_bytes(line.to_json())
    rows = [json.loads(each) for each in (folders[1] / MANIFEST_NAME).read_bytes().splitlines()]
    rows[0]["retouch_sha256"] = Retouch((line,)).sha256
    (folders[1] / MANIFEST_NAME).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert not package_batch(PackageJob(folders[1], tmp_path / "without")).is_finished
    package_batch(PackageJob(folders[1], tmp_path / "bag", retouch=tmp_path / "said.jsonl"))
    assert (tmp_path / "bag/data/outputs/colorbatch-retouch.jsonl").read_bytes() == line.to_json()
    assert is_valid(tmp_path / "bag")


def test_the_report_goes_in_if_it_is_asked_for(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no report"):
        package_batch(PackageJob(folders[1], tmp_path / "bag", with_report=True))
    (folders[1] / "colorbatch-report").mkdir()
    (folders[1] / "colorbatch-report/colorbatch-report.json").write_text('{"colorbatch-report": 1}\n')
    (folders[1] / "colorbatch-report/index.html").write_text("<p>")
    package_batch(PackageJob(folders[1], tmp_path / "bag", with_report=True))
    package_batch(PackageJob(folders[1], tmp_path / "other"))
    assert is_valid(tmp_path / "bag")
    assert (tmp_path / "bag/data/outputs/colorbatch-report/index.html").read_text() == "<p>"
    assert not (tmp_path / "other/data/outputs/colorbatch-report").exists()


def test_a_full_disk_is_an_error_of_the_environment_and_the_bag_is_continued(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command_line: CommandLine
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("colorbatch.store.atomic.flush", full)
        assert command_line("package", "-q", folders[1], tmp_path / "bag", "--bagit") == 4
        assert command_line("package", "-q", folders[1], tmp_path / "bag.zip", "--zip") == 4
    assert not (tmp_path / "bag/bagit.txt").exists()
    assert not (tmp_path / "bag.zip").exists()
    for name, form in (("bag", "--bagit"), ("bag.zip", "--zip")):
        assert command_line("package", "-q", folders[1], tmp_path / name, form) == 0
    assert is_valid(tmp_path / "bag")


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
