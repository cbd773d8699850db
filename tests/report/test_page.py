"""The order "look at this first"."""

from dataclasses import replace

from colorbatch.records.row import Row
from colorbatch.report.page import with_concerns
from colorbatch.report.previews import Preview
from colorbatch.report.scores import Measures

CALM = Measures(colourfulness=49, vividness=0.1, purple=0, stains=0, cut_off=0, flat=0)
DOUBTFUL = "it might be a colour photograph; with --doubtful-color skip or copy, such pictures are not coloured"


def shown(row: Row, **changes: float) -> tuple[Row, Preview]:
    return row, Preview("0" * 32, "output", 4, 3, replace(CALM, **changes))


def test_failures_and_damage_come_first_then_what_might_be_in_colour_then_the_rest_by_score() -> None:
    done = Row("", "x", "done")
    pairs = [
        (Row("a skipped", status="skipped", reason=DOUBTFUL), Preview()),
        shown(replace(done, input="b calm")),
        shown(replace(done, input="c purple"), purple=0.2),
        shown(replace(done, input="d doubtful", warnings=("another", DOUBTFUL))),
        (replace(done, input="e altered"), replace(shown(done)[1], notes=("altered",))),
        (Row("f failed", status="failed"), Preview()),
        shown(replace(done, input="g a little purple"), purple=0.03),
    ]
    order = [each.row.input[0] for each in with_concerns(*zip(*pairs, strict=True))]
    assert order == ["f", "e", "d", "c", "g", "b", "a"]


def test_of_pictures_without_concerns_the_most_vivid_and_least_sure_comes_first() -> None:
    pairs = [
        shown(Row("a", "a", "done", confidence=0.5), vividness=0.02),
        shown(Row("b", "b", "done", confidence=0.5), vividness=0.1),
        shown(Row("c", "c", "done", confidence=0.45), vividness=0.1),
        shown(Row("d", "d", "done"), vividness=0.1),
    ]
    assert [each.row.input for each in with_concerns(*zip(*pairs, strict=True))] == ["c", "b", "a", "d"]
    assert not any(each.concerns for each in with_concerns(*zip(*pairs, strict=True)))
