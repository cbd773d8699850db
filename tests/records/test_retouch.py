"""The retouch record: reading it strictly, and changing one line of it."""

import json
import os
from pathlib import Path

import pytest
from memory_store import MemoryStore

from colorbatch.errors import OutputUnwritableError, UsageError
from colorbatch.pixels.hint import Hint
from colorbatch.records.retouch import (
    RETOUCH_NAME,
    RetouchLine,
    lines_of,
    parsed_retouches,
    retouches_of,
    updated,
)

EXAMPLE = (
    b'{"schema": 1, "input": "1910/cat.tif", "page": 1, "hints": [{"x": 0.31, "y": 0.52, "radius": 0.02, '
    b'"color": "#7a8b3c"}], "vividness": 0.4, "strength": 0.9, "model": null, "leave_grey": false, '
    b'"note": "dress was green, says aunt"}\n'
)


def line(**values: object) -> bytes:
    return json.dumps({"schema": 1, "input": "a.jpg"} | values).encode() + b"\n"


def test_every_field_is_read() -> None:
    (retouch,) = parsed_retouches(EXAMPLE, "record").values()
    assert retouch.lines == (
        RetouchLine(
            "1910/cat.tif",
            1,
            (Hint(0.31, 0.52, "#7a8b3c", 0.02),),
            vividness=0.4,
            strength=0.9,
            note="dress was green, says aunt",
        ),
    )
    assert retouch.last_page == 1


def test_written_by_hand_in_an_editor_of_windows() -> None:
    found = parsed_retouches(b"\xef\xbb\xbf" + line(vividness=1).replace(b"\n", b"\r\n") + b"\r\n  \r\n", "record")
    assert found["a.jpg"].of_page(1).vividness == 1.0
    assert "Größe.jpg" in parsed_retouches('{"schema":1,"input":"Größe.jpg","leave_grey":true}'.encode(), "record")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (b"a.jpg\n", "not JSON"),
        (b"\xff\n", "not JSON"),
        (b"[1]\n", "not a JSON object"),
        (b"{" * 100_000, "not JSON"),
        (b'{"input": "a.jpg"}\n', "schema: expected 1, found null"),
        (b'{"schema": 2, "input": "a.jpg"}\n', "schema: expected 1, found 2"),
        (b'{"schema": true, "input": "a.jpg"}\n', "schema: expected 1, found true"),
        (b'{"schema": 1}\n', "input: missing"),
        (line(input=""), "input: expected a path below the source"),
        (line(input=7), "input: expected a text"),
        (line(input="\ud800"), "input: expected a path below the source"),
        (line(vividnes=1), "vividnes: unknown; known are input, page, hints, vividness"),
        (line(page=0), "page: expected a whole number from 1, found 0"),
        (line(page=1.5), "page: expected a whole number"),
        (line(page=True), "page: expected a whole number"),
        (line(vividness=1.01), "vividness: expected a number from 0 to 1, found 1.01"),
        (line(vividness="high"), 'vividness: expected a number from 0 to 1, found "high"'),
        (line(vividness=True), "vividness: expected a number"),
        (line(strength=2.5), "strength: expected a number from 0 to 2"),
        (b'{"schema": 1, "input": "a.jpg", "strength": NaN}\n', "strength: expected a number"),
        (b'{"schema": 1, "input": "a.jpg", "strength": 1' + b"0" * 400 + b"}\n", "strength: expected a number"),
        (line(model=5), "model: expected a text"),
        (line(model=""), 'model: expected the name or the path of a model, found ""'),
        (line(model="\0"), "model: expected the name or the path of a model"),
        (line(model="\ud800.onnx"), "model: expected the name or the path of a model"),
        (line(leave_grey="yes"), 'leave_grey: expected true or false, found "yes"'),
        (line(note="a" * 10_001), "note: expected a text of up to 10,000 characters"),
        (line(hints={}), "hints: expected a list"),
        (line(hints=[{"x": 0, "y": 0, "color": "#000000"}] * 1001), "hints: expected a list of up to 1,000"),
        (line(hints=[5]), "hints: hint 1: expected an object with x, y, radius and color, found 5"),
        (line(hints=[{"x": 0.5, "color": "#ffffff"}]), "hints: hint 1: y: missing"),
        (
            line(hints=[{"x": 0.5, "y": 0.5, "color": "#ffffff"}, {"x": 0.5, "y": 2, "color": "#ffffff"}]),
            "hints: hint 2: y: expected a number from 0 to 1, found 2",
        ),
        (line(hints=[{"x": 0.5, "y": 0.5, "color": "green"}]), "hints: hint 1: color: expected '#' and six"),
        (line(hints=[{"x": 0.5, "y": 0.5, "color": "#ffffff", "radius": 0}]), "hints: hint 1: radius: expected"),
        (line(hints=[{"x": 0.5, "y": 0.5, "colour": "#ffffff"}]), "hints: hint 1: color: missing"),
        (line(hints=[{"x": 0, "y": 0, "color": "#ffffff", "size": 1}]), "hints: hint 1: size: unknown; known are x, y"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_field(broken: bytes, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parsed_retouches(line(input="sound.jpg", strength=1.5) + b"\n" + broken, "the record")
    assert str(raised.value).startswith(f"the record, line 3: {message}")


def test_all_broken_lines_are_told_of_at_once_but_not_thousands() -> None:
    with pytest.raises(UsageError) as raised:
        parsed_retouches(b"broken\n" * 12, "record")
    assert "line 1:" in str(raised.value)
    assert "line 5:" in str(raised.value)
    assert str(raised.value).endswith("and 7 more lines")


def test_a_source_has_one_line_for_each_page() -> None:
    found = parsed_retouches(line(strength=0.5) + line(page=2, strength=1.5), "record")["a.jpg"]
    assert [found.of_page(page).strength for page in (1, 2, 3)] == [0.5, 1.5, 0.5]
    alone = parsed_retouches(line(page=2, leave_grey=True), "record")["a.jpg"]
    assert [alone.of_page(page).leave_grey for page in (1, 2)] == [False, True]
    with pytest.raises(UsageError, match="line 2: input: line 1 is for the same source and page"):
        parsed_retouches(line(strength=0.5) + line(strength=0.6), "record")


def test_a_source_has_one_model() -> None:
    same = line(page=1, model="unet") + line(page=2, model="unet") + line(page=3, strength=1.5)
    assert parsed_retouches(same, "record")["a.jpg"].model == "unet"
    with pytest.raises(UsageError, match="line 2: model: line 1 names another model"):
        parsed_retouches(line(page=1, model="unet") + line(page=2, model="fast"), "record")


def test_what_does_not_change_the_output_does_not_count() -> None:
    assert parsed_retouches(line() + line(input="b.jpg", note="grandmother, 1931"), "record") == {}
    hashes = {
        parsed_retouches(each, "record")["a.jpg"].sha256
        for each in (
            line(strength=0.5, vividness=0),
            line(vividness=0.0, strength=0.5, note="said aunt"),
            line(strength=0.5, vividness=0, model=None, leave_grey=False, hints=[], page=None),
        )
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"strength": 0.6},
        {"vividness": 0},
        {"page": 1},
        {"leave_grey": True},
        {"model": "fast"},
        {"hints": [{"x": 0.5, "y": 0.5, "color": "#ffffff"}]},
    ],
)
def test_what_changes_the_output_counts(other: dict[str, object]) -> None:
    before = parsed_retouches(line(strength=0.5), "record")["a.jpg"].sha256
    assert parsed_retouches(line(**({"strength": 0.5} | other)), "record")["a.jpg"].sha256 != before


def test_what_is_written_is_read_again() -> None:
    said = RetouchLine("Ä/\udcff.jpg", 3, (Hint(0.5, 0, "#aabbcc"),), 0.0, 0.0, "my.onnx", leave_grey=True, note="é")
    written = said.to_json()
    assert written.isascii()
    assert lines_of(written, said.input) == [said]
    assert b"vividness" not in RetouchLine("a.jpg", strength=1.0).to_json()


def test_one_line_is_replaced_and_every_other_one_stays_as_it_is() -> None:
    before = b"broken\n" + EXAMPLE + line(strength=0.5) + b'  {"schema": 1,   "input": "b.jpg"}'
    after = updated(before, RetouchLine("a.jpg", strength=1.5))
    assert after.splitlines() == [
        b"broken",
        EXAMPLE.rstrip(),
        b'{"schema": 1, "input": "a.jpg", "strength": 1.5}',
        b'  {"schema": 1,   "input": "b.jpg"}',
    ]
    added = updated(after, RetouchLine("a.jpg", 2, leave_grey=True))
    assert added.splitlines()[:4] == after.splitlines()
    assert added.splitlines()[4:] == [b'{"schema": 1, "input": "a.jpg", "page": 2, "leave_grey": true}']
    assert updated(added, RetouchLine("a.jpg", 2)) == after
    assert updated(b"", RetouchLine("a.jpg")) == b""


def test_of_lines_that_were_doubled_by_hand_one_is_left() -> None:
    assert updated(line(strength=0.5) * 2, RetouchLine("a.jpg", strength=1.5)).count(b"\n") == 1


def test_it_is_read_from_the_output_folder_or_another_file(tmp_path: Path) -> None:
    assert retouches_of(MemoryStore()) == {}
    assert set(retouches_of(MemoryStore({RETOUCH_NAME: line(strength=0.5)}))) == {"a.jpg"}
    other = tmp_path / "other.jsonl"
    other.write_bytes(line(input="b.jpg", strength=0.5))
    assert set(retouches_of(MemoryStore({RETOUCH_NAME: b"broken"}), other)) == {"b.jpg"}
    with pytest.raises(UsageError, match="cannot read the retouch record"):
        retouches_of(MemoryStore(), tmp_path / "none")


def test_one_that_cannot_be_read_is_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(13, os.strerror(13))

    store = MemoryStore({RETOUCH_NAME: line(strength=0.5)})
    monkeypatch.setattr(store, "read", refuse)
    with pytest.raises(OutputUnwritableError):
        retouches_of(store)


def test_one_of_forty_thousand_lines_is_read_at_once() -> None:
    content = b"".join(line(input=f"{number}.jpg", strength=0.5) for number in range(40_000))
    assert len(parsed_retouches(content, "record")) == 40_000  # comparing each line with all others takes minutes
