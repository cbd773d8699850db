"""What lies in the state folder, by its names alone."""

import pytest
from memory_store import MemoryStore

from colorbatch.errors import OutputInUseError
from colorbatch.records.state_folder import announcements, journal_name, open_journal, record_name, state_files
from colorbatch.shard import Shard


def test_names_sort_as_their_numbers_do() -> None:
    assert journal_name(None) == ".colorbatch/journal.jsonl"
    assert journal_name(Shard(3, 12)) == ".colorbatch/journal-03-of-12.jsonl"
    assert record_name(Shard(12, 12)) == ".colorbatch/shard-12-of-12.jsonl"


def test_only_our_own_names_are_state_files() -> None:
    names = ("journal.jsonl", "journal-1-of-2.jsonl", "shard-02-of-12.jsonl", f"announced-{'0' * 16}-3.jsonl")
    others = ("notes.txt", "journal-1.jsonl", "shard.jsonl", "journal-3-of-2.jsonl", "journal-1-of-2.jsonl.bak")
    output = MemoryStore({f".colorbatch/{name}": b"" for name in (*names, *others)}, "out")
    found = {each.name.partition("/")[2]: (each.shard, each.is_journal) for each in state_files(output)}
    assert found == {
        "journal.jsonl": (None, True),
        "journal-1-of-2.jsonl": (Shard(1, 2), True),
        "shard-02-of-12.jsonl": (Shard(2, 12), False),
        f"announced-{'0' * 16}-3.jsonl": (None, True),
    }


def test_the_latest_comes_last() -> None:
    output = MemoryStore(name="out")
    for shard in (Shard(2, 3), Shard(1, 3), Shard(3, 3)):
        output.put(record_name(shard), b"")
    assert [each.shard for each in state_files(output)] == [Shard(2, 3), Shard(1, 3), Shard(3, 3)]


@pytest.mark.parametrize(
    ("shard", "is_sibling"),
    [(None, False), (Shard(1, 3), False), (Shard(2, 3), True), (Shard(2, 4), False)],
)
def test_siblings_are_the_other_shards_of_the_same_split(shard: Shard | None, *, is_sibling: bool) -> None:
    output = MemoryStore(name="out")
    output.put(record_name(Shard(1, 3)), b"")
    (file,) = state_files(output)
    assert file.is_sibling_shard(shard) is is_sibling


def test_who_is_refused_leaves_nothing_and_holds_nothing() -> None:
    output = MemoryStore(name="out")
    first = open_journal(output, None)
    with pytest.raises(OutputInUseError, match="a run over all sources is in progress in out"):
        open_journal(output, Shard(1, 2))
    assert sorted(output.files) == [".colorbatch/journal.jsonl"]
    first.close()
    second = open_journal(output, Shard(1, 2))
    with pytest.raises(OutputInUseError, match="shard 1/2 is in progress in out"):
        open_journal(output, None)
    second.close()
    assert output.files == {}


def test_announcements_are_of_one_worker_of_one_run() -> None:
    output = MemoryStore(name="out")
    notes = announcements(output, "ab" * 8, 2)
    assert notes is not None
    notes.create()
    assert list(output.files) == [f".colorbatch/announced-{'ab' * 8}-2.jsonl"]
