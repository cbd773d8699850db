import pytest

from colorbatch.pixels.hint import Hint
from colorbatch.records.retouch import RETOUCH_NAME, RetouchLine, parsed_retouches
from colorbatch.retouch.lines import copied, line_in, parsed_line, values_of, with_line

RED = Hint(0.5, 0.25, "#c04030")


def test_a_line_survives_the_way_to_the_page_and_back() -> None:
    line = RetouchLine("ü/\udcff.tif", 2, (RED,), 0.25, 1.5, "fast", leave_grey=True, note="</script>\n☃")
    assert parsed_line(line.input, 2, values_of(line)) == line
    assert values_of(RetouchLine("a"))["hints"] == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "line: expected an object"),
        ({"input": "../b"}, "input: unknown"),
        ({"page": 3}, "page: unknown"),
        ({"vividness": float("nan")}, "vividness: expected a number"),
        ({"strength": "2"}, "strength: expected a number"),
        ({"hints": [{"x": 0, "y": 0, "color": "red"}]}, "hints: hint 1: color: expected"),
        ({"hints": [{"x": 0, "y": 0}]}, "hints: hint 1: color: missing"),
        ({"hints": [{}] * 1001}, "hints: expected a list of up to 1,000"),
        ({"note": "n" * 10_001}, "note: expected a text of up to 10,000"),
        ({"leave_grey": 1}, "leave_grey: expected true or false"),
    ],
)
def test_what_is_not_a_line_is_refused(values: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parsed_line("a.png", 1, values)


def test_a_picture_of_one_page_has_one_line_whatever_page_it_named() -> None:
    by_hand = RetouchLine("a.png", 1, strength=0.5).to_json() + RetouchLine("b.png", strength=2).to_json()
    content = with_line(by_hand, RetouchLine("a.png", 1, hints=(RED,)), 1)
    retouches = parsed_retouches(content, RETOUCH_NAME)
    assert retouches["a.png"].lines == (RetouchLine("a.png", hints=(RED,)),)
    assert retouches["b.png"].lines == (RetouchLine("b.png", strength=2),)


def test_a_page_has_a_line_of_its_own_and_all_pages_one_model() -> None:
    content = with_line(b"", RetouchLine("a.tif", 1, strength=0.5), 3)
    content = with_line(content, RetouchLine("a.tif", 3, hints=(RED,), model="fast"), 3)
    (retouch,) = parsed_retouches(content, RETOUCH_NAME).values()
    assert [(line.page, line.model) for line in retouch.lines] == [(1, "fast"), (3, "fast")]
    assert line_in(content, "a.tif", 2) == RetouchLine("a.tif", 2, model="fast")
    assert line_in(content, "b.tif", 2) == RetouchLine("b.tif", 2)


def test_a_page_about_which_nothing_is_said_any_more_does_not_get_the_line_of_all() -> None:
    content = RetouchLine("a.tif", strength=0.5).to_json()
    assert line_in(content, "a.tif", 2) == RetouchLine("a.tif", 2, strength=0.5)
    (retouch,) = parsed_retouches(with_line(content, RetouchLine("a.tif", 2), 3), RETOUCH_NAME).values()
    assert [(line.page, line.strength) for line in retouch.lines] == [(1, 0.5), (3, 0.5)]


NOTED = RetouchLine("a.tif", strength=0.5, note="all").to_json() + RetouchLine("a.tif", 2, note="mine").to_json()
"""As written by hand: a note about a page, and what is said of all pages."""


def test_a_note_about_a_page_does_not_hide_the_line_of_all() -> None:
    """Expected: the effect that a run finds, which ignores notes."""
    assert parsed_retouches(NOTED, RETOUCH_NAME)["a.tif"].of_page(2).strength == 0.5
    assert line_in(NOTED, "a.tif", 1) == RetouchLine("a.tif", 1, strength=0.5, note="all")
    assert line_in(NOTED, "a.tif", 2) == RetouchLine("a.tif", 2, strength=0.5, note="mine")
    noted = RetouchLine("a.tif", note="all").to_json() + RetouchLine("a.tif", 2, strength=0.5).to_json()
    assert line_in(noted, "a.tif", 1) == RetouchLine("a.tif", 1, note="all")
    assert line_in(noted, "a.tif", 2) == RetouchLine("a.tif", 2, strength=0.5)


@pytest.mark.parametrize(
    "line", [RetouchLine("a.tif", 1), RetouchLine("a.tif", 1, model="fast"), RetouchLine("a.tif", 1, (RED,))]
)
def test_what_is_saved_of_one_page_leaves_a_page_with_a_note_as_it_was(line: RetouchLine) -> None:
    content = with_line(NOTED, line, 3)
    retouch = parsed_retouches(content, RETOUCH_NAME)["a.tif"]
    assert [retouch.of_page(page).strength for page in (1, 2, 3)] == [None, 0.5, 0.5]
    assert {retouch.of_page(page).model for page in (2, 3)} == {line.model}
    assert [line_in(content, "a.tif", page).note for page in (2, 3)] == ["mine", "all"]


def test_hints_and_settings_are_copied_and_notes_never() -> None:
    origin = RetouchLine("a.png", 1, (RED,), 0.25, 1.5, "fast", note="theirs")
    target = RetouchLine("b.png", 1, note="mine")
    assert copied(origin, target, hints=True, settings=False) == RetouchLine("b.png", 1, (RED,), note="mine")
    assert copied(origin, target, hints=False, settings=True) == RetouchLine(
        "b.png", 1, (), 0.25, 1.5, "fast", note="mine"
    )
