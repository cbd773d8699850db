"""A package is whole or visibly unfinished, at whatever moment it is killed, and holds what the run wrote."""

import signal
from pathlib import Path

import bagit
import pytest
from gauntlet.arena import Arena, at_outputs, sent

DATE = ("--bag-info", "Bagging-Date=2026-03-01")


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("options", [(), ("--link",), ("--premis", "picture", "--sha512")])
def test_killed_again_and_again_and_repeated_it_is_as_if_nothing_had_been(
    arena: Arena, options: tuple[str, ...]
) -> None:
    arena.fill_and_run(60)
    place = arena.root / "place"
    bag, straight = place / "bag", place / "straight"
    given = ("--bagit", "--with-sources", arena.source, *DATE, *options)
    arena.command("package", arena.output, straight, *given, codes={0}, writes=(straight,))
    kills = 0
    for count in (1, 20, 60, 118):
        kill = at_outputs(bag, count, sent(signal.SIGKILL))
        command = ("package", arena.output, bag, *given)
        killed = arena.command(*command, codes={0}, writes=(bag, place), during=kill, is_killed=True)
        if killed.code:
            kills += 1
        if (bag / "bagit.txt").exists():  # it was whole before the signal came
            assert bagit.Bag(str(bag)).validate()
            break
    assert kills > 1
    unfinished = not (bag / "bagit.txt").exists()
    arena.command("package", arena.output, bag, *given, codes={0} if unfinished else {0, 2}, writes=(bag, place))
    assert content(bag) == content(straight)
    assert bagit.Bag(str(bag)).validate()


def test_what_was_altered_is_not_handed_over(arena: Arena) -> None:
    arena.fill_and_run(6)
    output = next(arena.output.rglob("*.png"))
    data = output.read_bytes()
    output.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    bag = arena.root / "place" / "bag"
    ended = arena.command("package", arena.output, bag, "--bagit", codes={1}, writes=(bag,))
    assert output.name.encode() in ended.stdout
    assert not (bag / "bagit.txt").exists()
