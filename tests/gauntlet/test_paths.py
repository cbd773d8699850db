"""Whatever paths are given and found: nothing is written outside of OUT, and no file over another one."""

import json
import os
import re
import shutil
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from gauntlet.arena import Arena, grey, mounted, needs_root, unprivileged
from gauntlet.facts import MANIFEST, STATE, sha256

Prepare = Callable[[Arena], str]


def by_a_link(arena: Arena, target: Path) -> str:
    link = arena.root / "link"
    link.symlink_to(target)
    return str(link)


@pytest.mark.parametrize(
    "output",
    [
        lambda arena: f"{arena.source}",
        lambda arena: f"{arena.source}/",
        lambda arena: f"{arena.source}/./1/..",
        lambda arena: os.path.relpath(arena.source, arena.home),
        lambda arena: by_a_link(arena, arena.source),
        lambda arena: f"{arena.source}/out",
        lambda arena: f"{arena.source}/1",
        lambda arena: f"{arena.source}/none/none/out",
        lambda arena: f"{arena.elsewhere}/../source/new",
        lambda arena: by_a_link(arena, arena.source / "1"),
        lambda arena: by_a_link(arena, arena.source / "1") + "/new",
        lambda arena: f"{arena.root}",
        lambda arena: f"{arena.source}/..",
        lambda arena: by_a_link(arena, arena.root),
        lambda _: "/",
    ],
)
def test_an_output_that_is_the_source_or_lies_in_it_or_holds_it_is_refused(arena: Arena, output: Prepare) -> None:
    arena.fill(5)
    arena.run(codes={2}, output=output(arena), really=arena.source)
    assert not (arena.source / MANIFEST).exists()


@pytest.mark.parametrize(("source", "output"), [("", ""), ("", "1"), ("1", ""), ("1", "1")])
def test_nor_may_they_meet_by_a_second_mount(arena: Arena, source: str, output: str) -> None:
    """As containers have it, which are given the same folder twice."""
    arena.fill(5)
    (arena.source / "1" / "1").mkdir()
    grey(77).save(arena.source / "1" / "1" / "deep.png")
    with mounted(arena.output, "--bind", str(arena.source / output)):
        arena.run(codes={2}, source=arena.source / source, really=arena.source)


def test_nor_may_the_source_be_mounted_from_among_the_outputs(arena: Arena) -> None:
    arena.fill(5)
    shutil.copytree(arena.source, arena.output / "1")
    with mounted(arena.root / "second", "--bind", str(arena.output / "1")):
        arena.run(codes={2}, source=arena.root / "second")


@pytest.mark.parametrize("file", ["000.png", "1/001.png"])
def test_the_folder_of_a_single_source_is_no_output(arena: Arena, file: str) -> None:
    arena.fill(5)
    arena.run(codes={2}, source=arena.source / file, output=(arena.source / file).parent, really=arena.source)
    arena.run(codes={0}, source=arena.source / file)


def test_links_in_the_source_are_not_followed_out_of_it_and_never_without_end(arena: Arena) -> None:
    arena.fill(10)
    links: dict[str, str | Path] = {
        "loop.png": "loop.png",
        "one.png": "other.png",
        "other.png": "one.png",
        "dangling.png": "nowhere.png",
        "out.png": arena.elsewhere / "secret.png",
        "zero.png": "/dev/zero",
        "inside.png": "000.png",
        "folder": arena.elsewhere,
        "round": ".",
        "1/up": "..",
        "root": "/",
    }
    for name, target in links.items():
        (arena.source / name).symlink_to(target)
    os.mkfifo(arena.source / "pipe.png")
    ended = arena.run(codes={0})
    assert ended.statuses["inside.png"] == "done"
    assert {name for name, status in ended.statuses.items() if status != "done"} == {
        *("loop.png", "one.png", "other.png", "dangling.png", "out.png", "zero.png", "folder", "round", "1/up", "root"),
        *("pipe.png", "notes.txt"),
    }


@pytest.mark.parametrize(
    ("name", "target", "codes"),
    [
        ("000.png", "{elsewhere}/precious.txt", {1}),
        ("000.png", "{elsewhere}/new.png", {1}),
        ("000.png", "{source}/000.png", {1}),
        ("000.png", "000.png", {1}),
        ("000.png", "/dev/zero", {1}),
        ("1", "{elsewhere}", {1}),
        ("1", "{source}/1", {1}),
        ("1", "1", {1}),
        ("1", "nowhere", {1}),
        (MANIFEST, "{elsewhere}/precious.txt", {4}),
        (MANIFEST, "/dev/zero", {4}),
        (STATE, "{elsewhere}", {4}),
        (STATE, "nowhere", {4}),
        (f"{STATE}/journal.jsonl", "{elsewhere}/precious.txt", {4}),
        (f"{STATE}/journal.jsonl", "{elsewhere}/new", {4}),
    ],
)
def test_links_in_the_output_folder_are_not_written_through(
    arena: Arena, name: str, target: str, codes: set[int]
) -> None:
    arena.fill(10)
    link = arena.output / name
    link.parent.mkdir(parents=True)
    link.symlink_to(target.format(elsewhere=arena.elsewhere, source=arena.source))
    arena.run(codes=codes, foreign=[name])


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "text", "picture", "hard link", "empty"])
def test_what_the_user_put_on_an_output_path_stays(arena: Arena, kind: str) -> None:
    arena.fill(10)
    path = arena.output / "1" / "001.png"
    path.parent.mkdir(parents=True)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            os.mknod(path, 0o140644)
        case "folder":
            path.mkdir()
        case "text":
            path.write_text("of the user's")
        case "picture":
            grey(5).save(path)
        case "hard link":
            path.hardlink_to(arena.elsewhere / "secret.png")
        case "empty":
            path.touch()
    for _ in range(2):
        ended = arena.run(codes={1}, foreign=["1/001.png"])
        assert [name for name, status in ended.statuses.items() if status == "failed"] == ["1/001.png"]
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    arena.run(codes={0})


def test_an_output_folder_that_is_a_link_is_the_users_choice(arena: Arena) -> None:
    arena.fill(5)
    (arena.root / "place" / "real").mkdir()
    arena.output.symlink_to("real")
    arena.run(codes={0}, really=arena.output.resolve())


@pytest.mark.parametrize("target", ["nowhere", "out", "../elsewhere/precious.txt"])
def test_an_output_folder_that_is_none_is_refused(arena: Arena, target: str) -> None:
    arena.fill(5)
    arena.output.symlink_to(target)
    arena.run(codes={2, 4}, really=arena.root / "place" / "none")
    assert arena.output.readlink() == Path(target)


HOSTILE = (
    *("new\nline.png", "\x1b[31mred.png", "tab\t.png", "-rf.png", "--model.png", "  .png", "a b.png", "'\";$(x)`.png"),
    *("\u65e5\u672c.png", "\u202egnp.exe.png", "\u00a0.png", "~.png", "%s%n.png", "<b>.png", "&amp;.png"),
    *("CON.png", "a:b.png", "a\\b.png", "x" * 251 + ".png", "\U0001f4f7.png", "{}.png", "*.png", "[a].png"),
    *("colorbatch-manifest.jsonl.png", "\x7f.png", "\x01.png"),
)
BYTES = (b"\xff\xfe.png", b"caf\xe9.png", b"\xf0\x28\x8c\x28.png", b"\xed\xa0\x80.png")


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C.UTF-8"},
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "no_SUCH.locale"},
    ],
    ids=lambda each: "-".join(each.values()),
)
def test_names_of_any_kind_are_coloured_under_any_locale(arena: Arena, environment: dict[str, str]) -> None:
    names = [*HOSTILE, *map(os.fsdecode, BYTES)]
    for number, name in enumerate(names):
        arena.add(name, seed=number)
        (arena.source / name.removesuffix(".png")).with_suffix(".d").mkdir(exist_ok=True)
    deep = arena.source.joinpath(*["d" * 200] * 8)
    deep.mkdir(parents=True)
    grey(1).save(deep / "deep.png")
    ended = arena.run("-v", codes={0}, environment=environment)
    assert b"\x1b" not in ended.stderr
    assert set(names) <= set(arena.outputs())
    again = arena.run(codes={0}, environment={"LC_ALL": "C.UTF-8"})
    assert b" 0 coloured" in b" " + again.stderr


def test_hostile_names_are_text_in_json_and_in_the_log(arena: Arena) -> None:
    """Each is on a line of its own, and no terminal that shows it obeys it."""
    names = [*HOSTILE, *map(os.fsdecode, BYTES)]
    for name in names:
        (arena.source / name).write_bytes(b"broken")
    log = arena.root.parent / "log"
    planned = arena.command(
        *("run", "--json", "--dry-run", "--model", arena.model, arena.source, arena.output), codes={0, 1}
    )
    ended = arena.run("--json", "--log-file", log, codes={1}, environment={"LC_ALL": "C"})
    assert json.loads(ended.stdout)["failed"] == len(names)
    assert json.loads(planned.stdout)
    lines = log.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert len(lines) >= len(names)
    assert all(re.match(rb"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}", line) for line in lines)
    for said in (log.read_bytes(), ended.stderr, ended.stdout, planned.stdout, planned.stderr):
        assert not set(said) & {*range(9), *range(11, 32), 127}


def test_sockets_and_devices_in_the_source_are_not_read(arena: Arena) -> None:
    needs_root()
    arena.fill(5)
    os.mknod(arena.source / "zero.png", stat.S_IFCHR | 0o644, os.makedev(1, 5))
    os.mknod(arena.source / "disk.tif", stat.S_IFBLK | 0o644, os.makedev(7, 0))
    os.mknod(arena.source / "socket.jpg", stat.S_IFSOCK | 0o644)
    ended = arena.run(codes={0})
    assert {name for name, status in ended.statuses.items() if status == "skipped"} == {
        *("zero.png", "disk.tif", "socket.jpg", "notes.txt"),
    }
    for name in ("zero.png", "disk.tif", "socket.jpg"):
        arena.run(codes={1, 2}, source=arena.source / name, output=arena.root / "place" / name)


@pytest.mark.parametrize(
    "output",
    [
        lambda arena: f"{arena.source}/a.png",
        lambda arena: f"{arena.elsewhere}/../source/a.png",
        lambda arena: by_a_link(arena, arena.source) + "/a.png",
        lambda arena: by_a_link(arena, arena.source / "a.png") and named(arena, "link", "link.png"),
        lambda arena: f"{arena.elsewhere}/secret.png",
        lambda arena: by_a_link(arena, arena.elsewhere / "secret.png") and named(arena, "link", "link.png"),
    ],
)
def test_one_file_is_made_over_no_other_one(arena: Arena, output: Prepare) -> None:
    source = arena.add("a.png")
    target = output(arena)
    arena.command("run", "--model", arena.model, source, target, codes={2})
    if not Path(target).samefile(arena.elsewhere / "secret.png"):
        arena.command("run", "--model", arena.model, "--overwrite", source, target, codes={2})


def named(arena: Arena, name: str, new: str) -> str:
    return str((arena.root / name).rename(arena.root / new))


def test_one_file_where_it_may_not_look_or_write_is_refused(arena: Arena) -> None:
    source, locked = arena.add("a.png"), arena.elsewhere / "locked"
    locked.mkdir()
    for mode, codes in ((0o000, {2}), (0o555, {4})):
        locked.chmod(mode)
        for output in (locked / "b.png", locked / "new" / "b.png"):
            arena.command("run", "--model", arena.model, source, output, codes=codes, begin=unprivileged())
    locked.chmod(0o755)
    secret = locked / "c.png"
    shutil.copy(source, secret)
    (arena.source / "link.png").symlink_to(secret)
    locked.chmod(0o000)
    for places in ((secret, arena.scratch / "c.png"), (secret, source, arena.output)):
        arena.command("run", "--model", arena.model, *places, codes={2}, begin=unprivileged())
    places = (arena.source / "link.png", source, arena.output)
    arena.command("run", "--model", arena.model, *places, codes={2}, begin=unprivileged())
    locked.chmod(0o755)


def test_one_file_and_nothing_else_is_made(arena: Arena) -> None:
    arena.fill(5)
    place = arena.output.parent
    for name, content in arena.straight().items():
        output = place / "one" / Path(name).name
        arena.command("run", "--model", arena.model, arena.source / name, output, codes={0}, writes=(place,))
        assert sha256(output) == content or "/" in name  # the mark names the path
        assert os.listdir(output.parent) == [output.name]
        output.unlink()


def test_no_two_sources_meet_in_one_output(arena: Arena) -> None:
    names = ["a.jpg", "a.png", "a.tif", "A.JPG", "a.jpeg", "A.png", "a.jpg.png", "b.gif", "b.gif.png", "b.gif.png.png"]
    for number, name in enumerate(names):
        arena.add(name, seed=number)
    shutil.copy(arena.source / "a.png", arena.source / "c.jpg")  # a PNG, whatever it is called
    shutil.copy(arena.source / "a.tif", arena.source / "c.jpg.png")
    shutil.copy(arena.source / "a.jpg", arena.source / "c.jpg.png.tif")
    ended = arena.run(codes={0})
    named = [row["output"] for row in ended.rows.values()]
    assert len(set(named)) == len(named) == len(names) + 3
    assert len(set(arena.outputs().values())) == len(names) + 3


TWINS = ("Twin.png", "twin.png", "TWIN.png", *(unicodedata.normalize(form, "\u00e9.png") for form in ("NFC", "NFD")))


def test_twins_but_for_case_or_accents_have_outputs_of_their_own(arena: Arena) -> None:
    for number, name in enumerate(TWINS):
        arena.add(name, seed=number)
    arena.run(codes={0})
    assert set(arena.outputs()) == set(TWINS)
