import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorbatch.errors import UsageError
from colorbatch.shard import Shard

SLURM = {"SLURM_ARRAY_TASK_ID": "8", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "2"}


@given(st.binary().map(os.fsdecode), st.integers(1, 64))
def test_every_name_is_in_exactly_one_shard(name: str, count: int) -> None:
    assert sum(Shard(index, count).holds(name) for index in range(1, count + 1)) == 1


def test_the_shard_of_a_name_stays_the_same() -> None:
    digest = int(hashlib.sha256(b"box 3/scan.tif").hexdigest()[:16], 16)  # as the documentation says
    assert Shard(digest % 7 + 1, 7).holds("box 3/scan.tif")
    # printf a.jpg | sha256sum begins with 509b0d4641a7c3ba, whose last bits are 0111010
    assert Shard(1, 2).holds("a.jpg")
    assert Shard(0b111010 + 1, 64).holds("a.jpg")


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "one/two", "1/1000000", "\u0661/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Shard.parse(text, {})


def test_a_shard_reads_as_it_is_written() -> None:
    assert Shard.parse("3/7", {}) == Shard(3, 7)
    assert str(Shard(3, 7)) == "3/7"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SLURM_ARRAY_TASK_ID": "5"}, Shard(4, 4)),
        ({"SLURM_ARRAY_TASK_ID": "2"}, Shard(1, 4)),
        ({"SLURM_ARRAY_TASK_STEP": "2"}, Shard(4, 4)),  # --array=2-8:2
    ],
)
def test_a_task_of_a_slurm_array_is_a_shard(changes: dict[str, str], expected: Shard) -> None:
    assert Shard.parse("auto", SLURM | changes) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"SLURM_ARRAY_TASK_ID": "6"},  # --array=2,3,4,6: a gap
        {"SLURM_ARRAY_TASK_ID": "1"},
        {"SLURM_ARRAY_TASK_STEP": "4", "SLURM_ARRAY_TASK_ID": "5"},
        {"SLURM_ARRAY_TASK_COUNT": "many"},
    ],
)
def test_a_slurm_array_that_is_no_row_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Shard.parse("auto", SLURM | changes)


def test_auto_outside_of_slurm_names_the_variable_that_is_missing() -> None:
    with pytest.raises(UsageError, match="SLURM_ARRAY_TASK_ID"):
        Shard.parse("auto", {})
