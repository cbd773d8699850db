import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorbatch.errors import UsageError
from colorbatch.run.only_list import read_list


def listed(folder: Path, data: bytes) -> frozenset[str]:
    path = folder / "list.txt"
    path.write_bytes(data)
    return read_list(path)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"", []),
        (b"a.jpg\nsub/b.jpg\n", ["a.jpg", "sub/b.jpg"]),
        (b"a.jpg", ["a.jpg"]),
        (b"\xef\xbb\xbfa.jpg\r\n\r\n  \r\n# said\r\nb.jpg\r\n", ["a.jpg", "b.jpg"]),
        (b"./a.jpg\nsub//c.jpg\n", ["a.jpg", "sub/c.jpg"]),  # as find writes them
        (b'"line\\nbreak.jpg"\n"\\"q\\".jpg"\n"# x"\n', ["line\nbreak.jpg", '"q".jpg', "# x"]),
        (b'say "so".jpg\n back\\slash.jpg \n', ['say "so".jpg', " back\\slash.jpg "]),
        ("ü.jpg".encode(), ["ü.jpg"]),
        (b'a\xff.jpg\n"b\\udcff.jpg"\n', [os.fsdecode(b"a\xff.jpg"), os.fsdecode(b"b\xff.jpg")]),
    ],
    ids=str,
)
def test_lists_are_read(tmp_path: Path, data: bytes, names: list[str]) -> None:
    assert listed(tmp_path, data) == set(names)


@pytest.mark.parametrize("line", [b'"open', b'"\\ud800.jpg"', b'"a" b'])
def test_a_line_that_is_no_path_is_named(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(UsageError, match="line 2 of the list"):
        listed(tmp_path, b"a.jpg\n" + line)


def test_a_list_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the list"):
        read_list(tmp_path / "none.txt")


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1).filter(lambda s: s != ".")
)
def test_any_name_can_be_written_as_a_json_string(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    assert listed(tmp_path_factory.getbasetemp(), json.dumps(name).encode()) == {name}
