import numpy as np
import pytest
from helpers import ROOT
from numpy.typing import NDArray

from colorbatch.report import scores
from colorbatch.report.scores import Measures, Typical

BLUE, RED, GREY = (0, 0, 255), (255, 0, 0), (100, 100, 100)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> NDArray[np.uint8]:
    image = np.empty((4, 10, 3), np.uint8)
    image[:, :5], image[:, 5:] = left, right
    return image


def test_contrast_is_the_standard_deviation_of_luma() -> None:
    assert scores.contrast(halves((0, 0, 0), (255, 255, 255))) == pytest.approx(0.5)
    assert scores.contrast(halves(GREY, GREY)) == pytest.approx(0, abs=1e-6)
    # luma of pure blue is 0.114, that of pure red 0.299: half of the difference
    assert scores.contrast(halves(BLUE, RED)) == pytest.approx(0.0925, abs=1e-6)


def test_colours_are_cut_off_where_a_strong_one_has_a_channel_at_the_end() -> None:
    pixels = [
        (255, 0, 0),  # yes
        (248, 100, 90),  # yes: 7 levels from the end
        (247, 8, 100),  # no: 8 levels from both ends
        (255, 250, 240),  # no: hardly a colour
        (255, 255, 255),  # no: none
    ]
    assert scores.cut_off_share(np.array([pixels], np.uint8)) == pytest.approx(2 / 5)


def test_flat_colour_is_the_largest_smooth_area_of_one_strong_colour() -> None:
    assert scores.flat_share(halves(GREY, BLUE)) == pytest.approx(0.5)
    assert scores.flat_share(halves(BLUE, RED)) == pytest.approx(0.5)  # 4 columns and 5: one lies beside another colour
    assert scores.flat_share(halves(BLUE, GREY)) == pytest.approx(0.4)
    assert scores.flat_share(halves(GREY, GREY)) == 0
    assert scores.flat_share(halves((150, 120, 100), (150, 120, 100))) == 0  # Cb -0.06, Cr 0.07: a weak brown
    board = np.where(np.indices((4, 10)).sum(axis=0)[..., None] % 2, BLUE, RED).astype(np.uint8)
    assert scores.flat_share(board) == pytest.approx(1 / 40)  # the last corner, which has no neighbour


def test_hues_on_both_sides_of_a_border_are_one_colour() -> None:
    # Cb 0.30 in both, Cr 0.005 and -0.006: at 1 degree and at 359
    assert scores.flat_share(halves((104, 75, 238), (100, 77, 238))) == pytest.approx(1)


def test_a_batch_is_known_by_the_median_of_roots_and_their_median_deviation() -> None:
    batch = scores.typical([25, 36, 49, 64, 81])  # roots 5 to 9: median 7, deviations 2 1 0 1 2
    assert (batch.median, batch.spread) == pytest.approx((7, 1.4826))
    alike = scores.typical([30, 30, 30])
    assert (alike.median, alike.spread) == pytest.approx((30**0.5, 0.25))
    assert scores.typical([]).spread == 0.25


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        (Measures(0.2, 49, 0, 0), {}),
        (Measures(0.10, 49, 0, 0), {"low contrast": 0.5}),
        (Measures(0.01, 49, 0, 0), {"low contrast": 1}),
        (Measures(0.2, 100, 0, 0), {"more colourful than the rest": 0.75}),  # root 10, 3 spreads above 7
        (Measures(0.2, 400, 0, 0), {"more colourful than the rest": 1}),
        (Measures(0.2, 25, 0, 0), {"paler than the rest": 0.25}),  # root 5, 2 spreads below 7
        (Measures(0.2, 49, 0.175, 0), {"colours cut off": 0.5}),
        (Measures(0.2, 49, 0, 0.425), {"flat colour": 0.5}),
        (Measures(0.2, 49, 0.3, 0.425), {"colours cut off": 1, "flat colour": 0.5}),
    ],
)
def test_concerns_grow_along_their_ramps(measures: Measures, expected: dict[str, float]) -> None:
    found = scores.concerns(measures, Typical(7, 1), 0.9)
    assert found == pytest.approx(expected)
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [(None, 0), (1.0, 0), (10 / 23, 0), (10 / 26.5, 0.5), (10 / 30, 1), (0.1, 1)],  # 10 / (10 + CIEDE2000)
)
def test_a_model_that_expects_to_be_wrong_is_a_concern(confidence: float | None, expected: float) -> None:
    found = scores.concerns(Measures(0.2, 49, 0, 0), Typical(7, 1), confidence)
    assert found.get("unsure of its colours", 0) == pytest.approx(expected, abs=1e-6)


def test_the_score_is_that_of_independent_chances() -> None:
    assert scores.score({}) == 0
    assert scores.score({"a": 0.5, "b": 0.5}) == pytest.approx(0.75)
    assert scores.score({"a": 1, "b": 0.1}) == 1
    assert scores.score({"a": 0.2, "b": 0.3, "c": 0.4}) == pytest.approx(1 - 0.8 * 0.7 * 0.6)


def test_the_documentation_gives_the_ramps() -> None:
    text = (ROOT / "docs" / "report.md").read_text("utf-8")
    ramps = [[cell.strip() for cell in line.split("|")[3:5]] for line in text.splitlines() if line.startswith("| ")][1:]
    percent = [[f"{100 * value:.0f} %" for value in ramp] for ramp in (scores._CUT_OFF, scores._FLAT)]  # noqa: SLF001
    contrast, deviation = scores._CONTRAST, scores._DEVIATION  # noqa: SLF001
    first = [[str(each) for each in scores._DIFFERENCE]]  # noqa: SLF001
    first += [[f"{contrast[0]}", f"{contrast[1]} downwards"], [f"{deviation[0]}", f"{deviation[1]}"]]
    assert ramps[1:] == first + percent
