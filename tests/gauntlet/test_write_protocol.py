"""How files are written, read off strace: temporary, fsync, rename, fsync of the folder, and only then the row."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from gauntlet.arena import Arena, needs
from gauntlet.facts import MANIFEST, STATE, Ended

_CHANGING = "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,truncate,chmod"
_WATCHED = f"open,openat,creat,write,pwrite64,writev,fsync,fdatasync,ftruncate,connect,sendto,{_CHANGING}"


@dataclass(frozen=True)
class Call:
    """A system call that succeeded."""

    name: str
    text: str
    """Its arguments, as strace shows them."""
    begun: int
    ended: int
    """Lines of the trace: what ended before another one begun was really before it."""

    @property
    def paths(self) -> list[str]:
        """The absolute paths among the arguments."""
        return re.findall(r'"(/[^"]*)"', self.text)

    @property
    def file(self) -> str:
        """What the first argument, a descriptor, is open on."""
        found = re.match(r"\d+<([^>]*)>", self.text)
        return found[1] if found else ""


def calls_of(trace: Path) -> list[Call]:
    calls: list[Call] = []
    begun: dict[tuple[str, str], tuple[int, str]] = {}
    for number, line in enumerate(trace.read_text(errors="replace").splitlines()):
        if unfinished := re.match(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>$", line):
            begun[unfinished[1], unfinished[2]] = (number, unfinished[3])
        elif resumed := re.match(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (\d+)", line):
            start, text = begun.pop((resumed[1], resumed[2]))
            calls.append(Call(resumed[2], text + resumed[3], start, number))
        elif whole := re.match(r"(\d+) +(\w+)\((.*)\) += (\d+)", line):
            calls.append(Call(whole[2], whole[3], number, number))
    return calls


@pytest.fixture
def traced(arena: Arena) -> tuple[Ended, list[Call]]:
    needs("strace", there=shutil.which("strace") is not None)
    arena.fill(12)
    trace = arena.root.parent / "trace"
    tool = ("strace", "-f", "-y", "-s", "4000", "-o", str(trace), "-e", f"trace={_WATCHED}")
    ended = arena.run("--jobs", 4, codes={0}, begin=tool)
    return ended, calls_of(trace)


def finals_of(arena: Arena, ended: Ended) -> dict[str, str]:
    """Return the final names in OUT, and the sources of those that are outputs."""
    outputs = {str(arena.output / row["output"]): name for name, row in ended.rows.items() if row["output"]}
    assert len(outputs) == 12
    return {**outputs, str(arena.output / MANIFEST): ""}


def test_each_file_is_whole_and_on_disk_before_it_has_its_name_and_its_row(
    arena: Arena, traced: tuple[Ended, list[Call]]
) -> None:
    ended, calls = traced
    journal = str(arena.output / STATE / "journal.jsonl")
    syncs = [call for call in calls if call.name in {"fsync", "fdatasync"}]
    for final, source in finals_of(arena, ended).items():
        (rename,) = (call for call in calls if call.name.startswith("rename") and final in call.paths[1:])
        temporary, folder = rename.paths[0], str(Path(final).parent)
        assert Path(temporary).parent == Path(final).parent
        (opened,) = (call for call in calls if call.name.startswith("open") and temporary in call.paths)
        assert "O_EXCL" in opened.text
        written = [call for call in calls if "write" in call.name and call.file == temporary]
        assert any(
            max(call.ended for call in written) < sync.begun and sync.ended < rename.begun
            for sync in syncs
            if sync.file == temporary
        ), f"{final} got its name before it was on disk"
        named = [sync for sync in syncs if sync.file == folder and sync.begun > rename.ended]
        assert named, f"the name of {final} was never brought to disk"
        if source:
            announced, row = (
                call for call in calls if call.file == journal and rf"\"input\": \"{source}\"" in call.text
            )
            assert announced.ended < rename.begun, f"{final} got its name before it was announced"
            assert r"{\"announced\"" in announced.text
            assert r"{\"announced\"" not in row.text, f"{source} has no row"
            assert min(sync.ended for sync in named) < row.begun, f"the row of {source} came before its output"
            assert any(sync.file == journal and sync.begun > row.ended for sync in syncs), f"{source}: row not on disk"


def test_no_final_name_is_ever_opened_for_writing(arena: Arena, traced: tuple[Ended, list[Call]]) -> None:
    ended, calls = traced
    finals = finals_of(arena, ended)
    for call in calls:
        if call.name in {"open", "openat", "creat", "truncate", "link", "linkat", "symlink", "symlinkat"}:
            assert "O_RDONLY" in call.text or not set(call.paths) & set(finals), call
        assert call.name != "ftruncate" or call.file not in finals, call


def test_folders_that_are_made_are_brought_to_disk(arena: Arena, traced: tuple[Ended, list[Call]]) -> None:
    _, calls = traced
    made = [(call, Path(call.paths[-1])) for call in calls if call.name.startswith("mkdir")]
    assert {path.relative_to(arena.output.parent).as_posix() for _, path in made} == {
        *("out", f"out/{STATE}", "out/0", "out/1", "out/2"),
    }
    for call, path in made:
        assert any(
            each.name == "fsync" and each.file == str(path.parent) and each.begun > call.ended for each in calls
        ), f"{path} may be gone after a power failure"


def test_nothing_is_changed_outside_of_out_and_nobody_is_called(arena: Arena, traced: tuple[Ended, list[Call]]) -> None:
    _, calls = traced
    for call in calls:
        assert not (call.name in {"connect", "sendto"} and "AF_INET" in call.text), f"it looks for the network: {call}"
        is_change = call.name in _CHANGING.split(",") or (
            call.name in {"open", "openat", "creat"} and "O_RDONLY" not in call.text
        )
        for path in map(Path, call.paths if is_change else ()):
            assert path == arena.output or arena.output in path.parents or path.parts[1] in {"dev", "proc"}, call
