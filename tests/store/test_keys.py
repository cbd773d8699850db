import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorbatch.store.keys import names_of, refusal


@pytest.mark.parametrize(
    "key", ["a.jpg", "a/b.jpg", "...", "a/..b", "a/b..", "\x01\n", "ü", "a\\b", "C:", "-", "~", "%"]
)
def test_keys_with_a_place_below_a_folder_are_taken(key: str) -> None:
    assert refusal(key) == ""
    assert names_of([key]) == {key: key}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("../a.jpg", "%2E%2E/a.jpg"),
        ("a/../../b.jpg", "a/%2E%2E/%2E%2E/b.jpg"),
        ("a/./b.jpg", "a/%2E/b.jpg"),
        ("/etc/passwd", "%/etc/passwd"),
        ("a//b.jpg", "a/%/b.jpg"),
        ("a/", "a/%"),
        ("a\0.jpg", "a%00.jpg"),
        ("a.jpg?versionId=1", "a.jpg?versionId=1"),
    ],
)
def test_keys_without_one_are_refused_and_named_otherwise(key: str, name: str) -> None:
    assert refusal(key)
    assert names_of([key])[key].lstrip("%") == name.lstrip("%")


@given(st.lists(st.text(alphabet="ab./%\0E2", min_size=1, max_size=8), unique=True))
def test_every_key_has_a_name_of_its_own_that_leads_nowhere_else(keys: list[str]) -> None:
    names = names_of(keys)
    assert set(names) == set(keys)
    assert len(set(names.values())) == len(keys)
    for name in names.values():
        assert not {"", ".", ".."} & set(name.split("/"))
        assert "\0" not in name
