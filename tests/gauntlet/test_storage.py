"""Disks fill up, go read-only and lie; files change under the run: nothing is lost, and the next run completes it."""

import os
import resource
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from gauntlet.arena import Arena, at_outputs, grey, mounted, remounted, sent, unprivileged
from gauntlet.facts import MANIFEST, STATE
from PIL import Image

Alteration = Callable[[Path], object]


@pytest.mark.parametrize(
    ("bytes_", "codes"), [(0, {4}), (300, {4}), (4000, {4}), (60_000, {4}), (10_000_000, {0})], ids=str
)
def test_a_limit_for_the_size_of_files(arena: Arena, bytes_: int, codes: set[int]) -> None:
    arena.fill(10)
    arena.add("large.png", side=400)
    ended = arena.run(codes=codes, limits={resource.RLIMIT_FSIZE: bytes_})
    assert ended.code == 0 or b"File too large" in ended.stderr
    arena.run(codes={0})
    assert arena.outputs() == arena.straight()


@pytest.mark.parametrize("kilobytes", [4, 16, 64, 128, 200])
def test_a_full_disk_ends_the_run_and_with_space_again_the_next_one_completes_it(arena: Arena, kilobytes: int) -> None:
    arena.fill(30, side=60)
    straight = arena.straight()
    with mounted(arena.output, "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=755", "tmpfs"):
        ended = arena.run(codes={4})
        assert b"No space left" in ended.stderr
        arena.run(codes={4})  # it is still full
        remounted(arena.output, "size=50m")
        arena.run(codes={0})
        assert arena.outputs() == straight


@pytest.mark.parametrize("inodes", [2, 3, 5, 12])
def test_a_disk_without_inodes_ends_the_run_and_the_next_one_completes_it(arena: Arena, inodes: int) -> None:
    arena.fill(20)
    straight = arena.straight()
    with mounted(arena.output, "-t", "tmpfs", "-o", f"nr_inodes={inodes},mode=755", "tmpfs"):
        arena.run(codes={4})
        remounted(arena.output, "nr_inodes=10000")
        arena.run(codes={0})
        assert arena.outputs() == straight


def test_an_output_folder_that_may_not_be_written(arena: Arena) -> None:
    arena.fill(5)
    arena.output.mkdir()
    arena.output.chmod(0o555)
    arena.run(codes={4}, begin=unprivileged())
    assert list(arena.output.iterdir()) == []
    arena.output.chmod(0o755)
    arena.run(codes={0}, begin=unprivileged())


def test_a_folder_among_the_outputs_that_may_not_be_written(arena: Arena) -> None:
    arena.fill(10)
    (arena.output / "1").mkdir(parents=True)
    (arena.output / "1").chmod(0o555)
    ended = arena.run(codes={1}, begin=unprivileged())
    assert {name for name, status in ended.statuses.items() if status == "failed"} == {
        name for name in ended.rows if name.startswith("1/")
    }
    (arena.output / "1").chmod(0o755)
    arena.run(codes={0}, begin=unprivileged())


def test_an_output_folder_on_a_read_only_file_system(arena: Arena) -> None:
    arena.fill(5)
    arena.output.mkdir()
    with mounted(arena.output, "--bind", str(arena.output)):
        remounted(arena.output, "bind,ro")
        ended = arena.run(codes={4})
        assert b"Read-only file system" in ended.stderr
    arena.run(codes={0})


def test_a_folder_among_the_outputs_on_a_read_only_file_system(arena: Arena) -> None:
    """As a policy of the system's would refuse it: to root too."""
    arena.fill(10)
    place = arena.output / "2"
    place.mkdir(parents=True)
    with mounted(place, "--bind", str(place)):
        remounted(place, "bind,ro")
        arena.run(codes={4})
    arena.run(codes={0})
    assert arena.outputs() == arena.straight()


def test_a_source_on_a_read_only_file_system_is_all_that_is_needed(arena: Arena) -> None:
    arena.fill(10)
    with mounted(arena.source, "--bind", str(arena.source)):
        remounted(arena.source, "bind,ro")
        arena.run(codes={0})


def test_what_may_not_be_read_fails_and_the_others_are_coloured(arena: Arena) -> None:
    arena.fill(10)
    arena.add("locked.png").chmod(0)
    arena.add("closed/inside.png").parent.chmod(0)
    arena.add("listed/inside.png").parent.chmod(0o444)
    ended = arena.run(codes={1}, begin=unprivileged())
    failed = {name: row["reason"] for name, row in ended.rows.items() if row["status"] == "failed"}
    assert set(failed) == {"locked.png", "closed", "listed/inside.png"}
    assert all("Permission denied" in reason for reason in failed.values())
    if unprivileged():
        arena.run(codes={0})  # now with root's way around permissions


LAST = "zz/last.png"
"""Comes after all others, when a run works on one picture at a time."""


def replaced(path: Path, image: Image.Image | None = None) -> None:
    beside = path.with_name("beside.png")
    (image or grey(1000)).save(beside)
    beside.replace(path)


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_a_link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("alter", "codes"),
    [
        (Path.unlink, {1}),
        (replaced, {0}),
        (grown, {0, 1}),
        (partial(os.truncate, length=60), {1}),
        (become_a_folder, {1}),
        (become_a_pipe, {1}),
        (partial(become_a_link, target="/dev/zero"), {1}),
        (partial(become_a_link, target="/nowhere"), {1}),
        (lambda path: shutil.rmtree(path.parent), {1}),
    ],
    ids=["deleted", "replaced", "grown", "cut", "a-folder", "a-pipe", "endless", "a-dangling-link", "folder-deleted"],
)
def test_a_source_that_changes_during_the_run(arena: Arena, alter: Alteration, codes: set[int]) -> None:
    arena.fill(60)
    path = arena.add(LAST)
    ended = arena.run(
        "--jobs",
        1,
        codes=codes,
        limits={resource.RLIMIT_AS: 3 * 2**30},  # what reads without end shall not take the machine with it
        during=at_outputs(arena.output, 3, lambda _: alter(path)),
        altered=(path, path.parent),
        gone=(LAST,),
    )
    row = ended.rows[LAST]
    assert row["status"] == ("failed" if ended.code else "done")
    assert "enough memory" not in row["reason"], "it was read without end"


@pytest.mark.parametrize(
    "alter",
    [
        Path.unlink,
        partial(os.truncate, length=50),
        partial(os.truncate, length=0),
        grown,
        replaced,
        lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
    ],
    ids=["deleted", "cut", "emptied", "grown", "replaced", "overwritten"],
)
def test_an_output_that_was_lost_or_altered_is_made_again(arena: Arena, alter: Alteration) -> None:
    arena.fill_and_run(10)
    before = arena.outputs()
    for name in ("1/001.png", "000.png", "0/003.webp"):
        times = (arena.output / name).stat()
        alter(arena.output / name)
        if (arena.output / name).exists():
            os.utime(arena.output / name, ns=(times.st_atime_ns, times.st_mtime_ns))
    arena.run(codes={0})
    assert arena.outputs() == before


def halved(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def with_garbage(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:700] + os.urandom(300) + b'\n{"input": 5}\n[[[[[\n\n\0\0\n' + data[1000:])


def said_twice(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


@pytest.mark.parametrize(
    "spoil",
    [halved, partial(os.truncate, length=0), with_garbage, said_twice, Path.unlink],
    ids=["halved", "emptied", "with-garbage", "twice", "deleted"],
)
@pytest.mark.parametrize("name", [MANIFEST, f"{STATE}/journal.jsonl"])
def test_a_torn_record_loses_nothing(arena: Arena, name: str, spoil: Alteration) -> None:
    if name == MANIFEST:
        arena.fill_and_run(40)
    else:
        arena.fill(40)
        arena.run(codes={0}, during=at_outputs(arena.output, 8, sent(signal.SIGKILL)), is_killed=True)
    spoil(arena.output / name)
    arena.run(codes={0})
    assert arena.outputs() == arena.straight()


@pytest.mark.parametrize("name", [MANIFEST, STATE, f"{STATE}/journal.jsonl"])
def test_a_folder_or_file_of_the_users_where_a_record_belongs(arena: Arena, name: str) -> None:
    arena.fill(5)
    path = arena.output / name
    if name == STATE:
        path.parent.mkdir()
        path.write_text("of the user's")
    else:
        path.mkdir(parents=True)
    arena.run(codes={4}, foreign=[name])
