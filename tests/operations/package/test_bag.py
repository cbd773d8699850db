import hashlib
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import bagit
import pytest
from bags import OUTPUTS, everything, is_as_stated, is_valid, manifest, tags
from finished import finished_folder
from helpers import CommandLine, LocalJob
from PIL import Image

from colorbatch.errors import UsageError
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.package import PackageJob, package_batch
from colorbatch.operations.package.delivery import MARKER
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.retouch import Retouch, RetouchLine
from colorbatch.run import batch
from colorbatch.store.local import LocalStore


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
