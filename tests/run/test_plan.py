import os
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from colorbatch.errors import UsageError
from colorbatch.run.plan import plan_batch
from colorbatch.store import open_store


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_every_file_is_planned_in_order_and_mirrored(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    touch(
        source,
        "b.jpg",
        "a/2.TIFF",
        "a/1.png",
        "a/b/c/x.webp",
        "notes.txt",
        ".hidden.jpg",
        "a/Thumbs.db",
        "z.JPEG",
        ".thumbs/x.jpg",
    )
    plan = plan_batch(open_store(source), open_store(output))
    assert [(each.input, each.verdict) for each in plan] == [
        (".hidden.jpg", "skipped"),
        (".thumbs", "skipped"),
        ("a/1.png", "colour"),
        ("a/2.TIFF", "colour"),
        ("a/Thumbs.db", "skipped"),
        ("a/b/c/x.webp", "colour"),
        ("b.jpg", "colour"),
        ("notes.txt", "skipped"),
        ("z.JPEG", "colour"),
    ]
    assert plan[2].output_name == "a/1.png"
    assert all(each.reason for each in plan if each.verdict != "colour")
    assert not output.exists()


def test_one_file_is_a_source_too(tmp_path: Path) -> None:
    touch(tmp_path, "in/photo.of.mine")
    (planned,) = plan_batch(open_store(tmp_path / "in" / "photo.of.mine"), open_store(tmp_path / "out"))
    assert (planned.input, planned.verdict) == ("photo.of.mine", "colour")


def test_links_are_not_followed_out_of_the_tree(tmp_path: Path) -> None:
    source = tmp_path / "in"
    touch(source, "real.jpg", "folder/x.jpg")
    touch(tmp_path, "outside/secret.jpg")
    (source / "inner.jpg").symlink_to("real.jpg")
    (source / "outer.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    (source / "dangling.jpg").symlink_to("nothing")
    (source / "folder" / "loop").symlink_to(source)
    (source / "self.jpg").symlink_to("self.jpg")
    verdicts = {
        each.input: (each.verdict, each.reason) for each in plan_batch(open_store(source), open_store(tmp_path / "out"))
    }
    assert verdicts == {
        "dangling.jpg": ("skipped", "a link to no file"),
        "folder/loop": ("skipped", "a link to a folder"),
        "folder/x.jpg": ("colour", ""),
        "inner.jpg": ("colour", ""),
        "outer.jpg": ("skipped", "a link that leads out of the source"),
        "real.jpg": ("colour", ""),
        "self.jpg": ("skipped", "a link to no file"),
    }


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
def test_pipes_are_never_opened(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg")
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    plan = plan_batch(open_store(tmp_path / "in"), open_store(tmp_path / "out"))
    assert [(each.input, each.reason) for each in plan] == [("a.jpg", ""), ("pipe.jpg", "not a regular file")]
    with pytest.raises(UsageError, match="neither a folder nor a regular file"):
        plan_batch(open_store(tmp_path / "in" / "pipe.jpg"), open_store(tmp_path / "out"))


@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_paths_that_cannot_be_looked_at_are_usage_errors(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg")
    (tmp_path / "self").symlink_to("self")
    for source, output in (("x" * 300, "out"), ("in", "self/out"), ("in", "x" * 300)):
        with pytest.raises(UsageError):
            plan_batch(open_store(tmp_path / source), open_store(tmp_path / output))


def test_a_folder_that_cannot_be_read_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "in/a.jpg", "in/closed/b.jpg")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    plan = plan_batch(open_store(tmp_path / "in"), open_store(tmp_path / "out"))
    assert [(each.input, each.verdict) for each in plan] == [("a.jpg", "colour"), ("closed", "failed")]
    assert plan[1].reason == "cannot read the folder: Permission denied"


@pytest.mark.skipif(os.name == "nt", reason="Windows names are Unicode")
def test_names_that_are_not_unicode_are_kept(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / os.fsdecode(b"caf\xe9.jpg")).touch()
    (planned,) = plan_batch(open_store(tmp_path / "in"), open_store(tmp_path / "out"))
    assert os.fsencode(planned.input) == b"caf\xe9.jpg"


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("in", "in"),
        ("in", "./in/"),
        ("in", "sub/../in"),
        ("in", "link-to-in"),
        ("in", "in/sub/out"),
        ("in", "link-to-in/out"),
        ("in/sub", "in"),
        ("in/a.jpg", "in"),
        ("in/a.jpg", "link-to-in"),
    ],
)
def test_source_and_output_must_not_overlap(tmp_path: Path, source: str, output: str) -> None:
    touch(tmp_path, "in/a.jpg", "in/sub/b.jpg", "sub/x")
    (tmp_path / "link-to-in").symlink_to("in")
    with pytest.raises(UsageError, match=r"or inside it|is the folder of|could be written among"):
        plan_batch(open_store(tmp_path / source), open_store(tmp_path / output))


def test_neighbours_with_alike_names_do_not_overlap(tmp_path: Path) -> None:
    touch(tmp_path, "photos/a.jpg")
    assert len(plan_batch(open_store(tmp_path / "photos"), open_store(tmp_path / "photos-out"))) == 1


def test_a_missing_source_and_an_output_that_is_a_file_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        plan_batch(open_store(tmp_path / "none"), open_store(tmp_path / "out"))
    touch(tmp_path, "in/a.jpg", "out")
    with pytest.raises(UsageError, match="is not a folder"):
        plan_batch(open_store(tmp_path / "in"), open_store(tmp_path / "out"))


def test_an_output_that_needs_another_ending_has_it_appended(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    image = Image.new("L", (4, 4))
    for name, picture_format in (("a.gif", "GIF"), ("sub/b.bmp", "BMP"), ("c.tif", "TIFF"), ("lies.jpg", "PNG")):
        image.save(source / name, picture_format)
    plan = plan_batch(open_store(source), open_store(tmp_path / "out"))
    assert {each.input: each.output_name for each in plan} == {
        "a.gif": "a.gif.png",
        "sub/b.bmp": "sub/b.bmp.png",
        "c.tif": "c.tif",
        "lies.jpg": "lies.jpg.png",
    }


def test_no_two_sources_meet_in_one_output(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    image = Image.new("L", (4, 4))
    for name, picture_format in (("a.gif", "GIF"), ("a.gif.png", "PNG"), ("a.gif.png.png", "PNG")):
        image.save(source / name, picture_format)
    names = {each.input: each.output_name for each in plan_batch(open_store(source), open_store(tmp_path / "out"))}
    assert names == {"a.gif": "a.gif.png.png.png", "a.gif.png": "a.gif.png", "a.gif.png.png": "a.gif.png.png"}


def test_patterns_choose_by_name_or_by_path(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("a.jpg", "a_copy.jpg", "1931/b.tif", "1931/proofs/c.tif", "notes.txt"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()

    def coloured(include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[str]:
        return [
            each.input
            for each in plan_batch(open_store(source), open_store(tmp_path / "out"), include, exclude)
            if each.verdict == "colour"
        ]

    assert coloured() == ["1931/b.tif", "1931/proofs/c.tif", "a.jpg", "a_copy.jpg"]
    assert coloured(include=("*.tif",)) == ["1931/b.tif", "1931/proofs/c.tif"]
    assert coloured(include=("1931/*",)) == ["1931/b.tif", "1931/proofs/c.tif"]
    assert coloured(exclude=("*_copy.*", "*/proofs/*")) == ["1931/b.tif", "a.jpg"]
    assert coloured(include=("a*",), exclude=("*_copy.*",)) == ["a.jpg"]
    reasons = {
        each.input: each.reason
        for each in plan_batch(open_store(source), open_store(tmp_path / "out"), ("*.jpg",), ("a_*",))
    }
    assert reasons["a_copy.jpg"] == "excluded"
    assert reasons["1931/b.tif"] == "not included"
    assert reasons["notes.txt"] == "not a picture file name"


def test_names_that_would_become_too_long_are_cut_and_still_differ(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    stems = ["x" * 249 + end for end in "ab"] + ["\u00fc" * 125 + "a"]
    for stem in stems:
        Image.new("L", (1, 1)).save(source / f"{stem}.gif")
    names = [each.output_name for each in plan_batch(open_store(source), open_store(tmp_path / "out"))]
    assert len(set(names)) == 3
    assert all(len(os.fsencode(name)) <= 255 and name.endswith(".png") for name in names)


def test_a_second_mount_of_the_same_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As containers have it; what is mounted twice has the same device and number."""
    for name in ("in/sub", "out/sub", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a.png").touch()
    twins = {"out": "in/sub"}
    lstat, stat = os.lstat, Path.stat

    def same(path: Path) -> Path:
        name = path.relative_to(tmp_path).as_posix() if path.is_relative_to(tmp_path) else ""
        return tmp_path / twins[name] if name in twins else path

    monkeypatch.setattr(os, "lstat", lambda path: lstat(same(Path(path))))
    monkeypatch.setattr(Path, "stat", lambda path, **named: stat(same(path), **named))
    with pytest.raises(UsageError, match=r"is inside the source .* through a second mount"):
        plan_batch(open_store(tmp_path / "in"), open_store(tmp_path / "out"))
    twins.clear()
    twins["out/sub"] = "in"
    with pytest.raises(UsageError, match=r"is the source .* or contains it, through a second mount"):
        plan_batch(open_store(tmp_path / "in"), open_store(tmp_path / "out"))
    twins.clear()
    assert len(plan_batch(open_store(tmp_path / "in"), open_store(tmp_path / "out"))) == 1


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["*.JPG"], [], ["--include *.JPG"]),
        ([], ["a.jpg/", "b*", "1931/proofs/*"], ["--exclude a.jpg/", "--exclude 1931/proofs/*"]),
        (["a.*", "*/b.*"], ["*.txt"], []),
        ([], [".git/*", "#recycle/*"], ["--exclude #recycle/*"]),  # a hidden folder is skipped as a whole
    ],
)
def test_a_pattern_that_matches_nothing_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, include: list[str], exclude: list[str], expected: list[str]
) -> None:
    source = tmp_path / "in"
    for name in ("a.jpg", "1931/b.tif", "notes.txt", ".git/config"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"\xff\xd8\xff")
    plan_batch(open_store(source), open_store(tmp_path / "out"), include, exclude)
    found = [message.removeprefix("no file matches ").split(";")[0] for message in caplog.messages]
    assert found == expected


@pytest.mark.parametrize(
    ("names", "include", "expected"),
    [
        ((), (), "there are no pictures in {source}: it is empty"),
        (("notes.txt", ".hidden.jpg"), (), "there are no pictures in {source}"),
        (("a.jpg",), ("*.tif",), "no file matches --include *.tif"),
        (("a.jpg",), (), None),
        (("broken.jpg",), ("b*",), None),
    ],
)
def test_a_source_without_pictures_is_a_warning_or_refused(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    names: tuple[str, ...],
    include: tuple[str, ...],
    expected: str | None,
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in names:
        (source / name).write_bytes(b"\xff\xd8\xff")
    places = open_store(source), open_store(tmp_path / "out")
    plan_batch(*places, include)
    assert [message.split(";")[0] for message in caplog.messages] == (
        [expected.format(source=source)] if expected else []
    )
    if expected is None:
        plan_batch(*places, include, strict_match=True)
        return
    with pytest.raises(UsageError, match=re.escape(expected.format(source=source))):
        plan_batch(*places, include, strict_match=True)


def test_pictures_of_other_kinds_are_told_from_files_that_are_none(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a.KRA", "b.xcf", "c.txt", "d", "e.psd.jpg"):
        (source / name).write_bytes(b"\xff\xd8\xff")
    plan = plan_batch(open_store(source), open_store(tmp_path / "out"))
    assert {each.input: each.reason for each in plan} == {
        "a.KRA": "not a supported kind",
        "b.xcf": "not a supported kind",
        "c.txt": "not a picture file name",
        "d": "not a picture file name",
        "e.psd.jpg": "",
    }


def test_pictures_that_icloud_has_removed_from_the_disk_fail(tmp_path: Path) -> None:
    """A placeholder is a property list, hidden, under the name of the picture between a dot and ``.icloud``."""
    source = tmp_path / "in"
    source.mkdir()
    for name in (".a.JPG.icloud", ".notes.txt.icloud", ".icloud", "b.jpg.icloud", ".c.jpg"):
        (source / name).write_bytes(b"bplist00")
    found = {each.input: each for each in plan_batch(open_store(source), open_store(tmp_path / "out"))}
    assert found[".a.JPG.icloud"].verdict == "failed"
    assert found[".a.JPG.icloud"].reason.startswith("it is in iCloud, not on this disk. Download it")
    assert {each.verdict for name, each in found.items() if name != ".a.JPG.icloud"} == {"skipped"}


def test_raw_files_are_developed_to_tiff(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "IMG_1.DNG").write_bytes(b"II*\0\x08\0\0\0")
    (source / "IMG_1.jpg").write_bytes(b"\xff\xd8\xff")
    (source / "IMG_2.cr3").write_bytes(b"\0\0\0\x18ftypcrx ")
    plan = plan_batch(open_store(source), open_store(tmp_path / "out"))
    assert {each.input: each.output_name for each in plan} == {
        "IMG_1.DNG": "IMG_1.DNG.tif",
        "IMG_1.jpg": "IMG_1.jpg",
        "IMG_2.cr3": "IMG_2.cr3.tif",
    }


def test_without_the_extra_raw_files_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most are colour photographs beside the JPEG of the camera: hundreds of failures would hide the others."""
    monkeypatch.setitem(sys.modules, "rawpy", None)
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a.DNG", "b.cr3", "c.dng.jpg", "d.fff"):
        (source / name).write_bytes(b"II*\0\x08\0\0\0")
    plan = plan_batch(open_store(source), open_store(tmp_path / "out"))
    told = "a raw file; to have them developed: pip install 'colorbatch[raw]'"
    assert {each.input: (each.verdict, each.reason) for each in plan} == {
        "a.DNG": ("skipped", told),
        "b.cr3": ("skipped", told),
        "c.dng.jpg": ("colour", ""),
        "d.fff": ("skipped", told),
    }
