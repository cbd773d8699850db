from dataclasses import astuple, replace

import numpy as np
import pytest
from helpers import ROOT
from numpy.typing import NDArray

from colorbatch.pixels import color
from colorbatch.report import scores
from colorbatch.report.scores import Measures, Typical

BLUE, RED, GREY = (0, 0, 255), (255, 0, 0), (100, 100, 100)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> NDArray[np.uint8]:
    image = np.empty((4, 10, 3), np.uint8)
    image[:, :5], image[:, 5:] = left, right
    return image


def flat_share(image: NDArray[np.uint8]) -> float:
    return scores.flat_share(color.chroma_of(image))


def test_vividness_is_what_the_most_vivid_tenth_exceeds() -> None:
    assert scores.vividness(color.chroma_of(halves(GREY, GREY))) == pytest.approx(0, abs=1e-6)
    blue = np.hypot(0.5, 0.0813)  # Cb and Cr of pure blue
    assert scores.vividness(color.chroma_of(halves(GREY, BLUE))) == pytest.approx(blue, abs=1e-4)
    spot = np.full((20, 20, 3), 100, np.uint8)
    spot[:6, :6] = BLUE  # 9 % of the picture
    assert scores.vividness(color.chroma_of(spot)) == pytest.approx(0, abs=1e-6)
    spot[:7, :6] = BLUE  # 10.5 %
    assert scores.vividness(color.chroma_of(spot)) == pytest.approx(blue, abs=1e-4)


@pytest.mark.parametrize(
    ("rgb", "is_purple"),
    [
        ((128, 0, 128), True),  # the CSS colours purple, plum, thistle, indigo
        ((221, 160, 221), True),
        ((216, 191, 216), True),
        ((75, 0, 130), True),
        ((199, 21, 133), True),  # medium violet red
        (BLUE, False),
        (RED, False),
        ((0, 0, 128), False),  # navy
        ((135, 206, 235), False),  # sky blue
        ((139, 69, 19), False),  # saddle brown
        ((255, 228, 196), False),  # bisque, like pale skin
        ((34, 139, 34), False),  # forest green
        ((132, 126, 132), False),  # hardly a colour: chroma of 4 levels
    ],
)
def test_purple_is_between_blue_and_red(rgb: tuple[int, int, int], is_purple: bool) -> None:  # noqa: FBT001
    assert scores.purple_share(color.chroma_of(halves(rgb, rgb))) == is_purple
    assert scores.purple_share(color.chroma_of(halves(rgb, GREY))) == is_purple / 2


def wall() -> NDArray[np.int16]:
    """A wall, 160 x 240, that is a little lighter on the right."""
    return np.repeat(np.linspace(120, 150, 240, dtype=np.int16)[None, :, None], 3, axis=2).repeat(160, axis=0)


def test_a_patch_of_colour_on_an_even_wall_is_a_stain() -> None:
    stained = wall()
    stained[60:100, 100:140] += np.array([30, -15, -1])  # luma: 0.299 * 30 - 0.587 * 15 - 0.114 = 0.05
    # its outline, 160 of 38,400 pixels, and 2 cells of 2.5 pixels on either side: 160 * 10 / 38,400 = 4 %
    assert scores.stained_share(stained.astype(np.uint8)) == pytest.approx(0.04, abs=0.015)
    assert scores.stained_share(wall().astype(np.uint8)) == 0


def test_what_has_a_border_in_luma_is_no_stain() -> None:
    thing = wall()
    thing[60:100, 100:140] += np.array([60, 15, 29])  # the same colour, 30 levels lighter
    assert scores.stained_share(thing.astype(np.uint8)) == 0


def test_an_even_sky_over_a_meadow_is_no_stain() -> None:
    scene = np.empty((160, 240, 3), np.uint8)
    scene[:80], scene[80:] = (135, 206, 235), (60, 110, 40)
    assert scores.stained_share(scene) == 0


def test_a_tiny_picture_has_measures() -> None:
    found = scores.measure(np.full((1, 1, 3), 99, np.uint8))
    assert astuple(found) == pytest.approx((0, 0, 0, 0, 0, 0), abs=1e-6)


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
    assert flat_share(halves(GREY, BLUE)) == pytest.approx(0.5)
    assert flat_share(halves(BLUE, RED)) == pytest.approx(0.5)  # 4 columns and 5: one lies beside another colour
    assert flat_share(halves(BLUE, GREY)) == pytest.approx(0.4)
    assert flat_share(halves(GREY, GREY)) == 0
    assert flat_share(halves((150, 120, 100), (150, 120, 100))) == 0  # Cb -0.06, Cr 0.07: a weak brown
    board = np.where(np.indices((4, 10)).sum(axis=0)[..., None] % 2, BLUE, RED).astype(np.uint8)
    assert flat_share(board) == pytest.approx(1 / 40)  # the last corner, which has no neighbour


def test_hues_on_both_sides_of_a_border_are_one_colour() -> None:
    # Cb 0.30 in both, Cr 0.005 and -0.006: at 1 degree and at 359
    assert flat_share(halves((104, 75, 238), (100, 77, 238))) == pytest.approx(1)


def test_a_batch_is_known_by_the_median_of_roots_and_their_median_deviation() -> None:
    batch = scores.typical([25, 36, 49, 64, 81])  # roots 5 to 9: median 7, deviations 2 1 0 1 2
    assert (batch.median, batch.spread) == pytest.approx((7, 1.4826))
    alike = scores.typical([30, 30, 30])
    assert (alike.median, alike.spread) == pytest.approx((30**0.5, 0.25))
    assert scores.typical([]).spread == 0.25


USUAL = Measures(49, 0.1, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"purple": 0.0325}, {"purple": 0.5}),
        ({"purple": 0.2}, {"purple": 1}),
        ({"stains": 0.0275}, {"stains": 0.5}),
        ({"colourfulness": 90.25}, {"more colourful than the rest": 1 / 3}),  # root 9.5, 2.5 spreads above 7
        ({"colourfulness": 400}, {"more colourful than the rest": 1}),
        ({"colourfulness": 1}, {}),  # nothing is wrong with a pale picture
        ({"cut_off": 0.175}, {"colours cut off": 0.5}),
        ({"flat": 0.425}, {"flat colour": 0.5}),
        ({"cut_off": 0.3, "flat": 0.425}, {"colours cut off": 1, "flat colour": 0.5}),
    ],
)
def test_concerns_grow_along_their_ramps(changes: dict[str, float], expected: dict[str, float]) -> None:
    found = scores.concerns(replace(USUAL, **changes), Typical(7, 1), 0.9)
    assert found == pytest.approx(expected)
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    ("confidence", "vividness", "expected"),
    [
        (None, 0.1, 0),
        (1.0, 0.1, 0),
        (10 / 29, 0.1, 0),  # 10 / (10 + CIEDE2000): 19 * 0.1 = 1.9
        (10 / 39.5, 0.1, 0.5),  # 29.5 * 0.1 = 2.95
        (10 / 50, 0.1, 1),
        (10 / 50, 0.04, 0),  # as unsure, but nearly grey
        (10 / 24.75, 0.2, 0.5),
    ],
)
def test_a_vivid_picture_of_an_unsure_model_is_a_concern(
    confidence: float | None, vividness: float, expected: float
) -> None:
    found = scores.concerns(replace(USUAL, vividness=vividness), Typical(7, 1), confidence)
    assert found.get("unsure of its colours", 0) == pytest.approx(expected, abs=1e-6)


def test_the_score_is_that_of_independent_chances() -> None:
    assert scores.score({}) == 0
    assert scores.score({"a": 0.5, "b": 0.5}) == pytest.approx(0.75)
    assert scores.score({"a": 1, "b": 0.1}) == 1
    assert scores.score({"a": 0.2, "b": 0.3, "c": 0.4}) == pytest.approx(1 - 0.8 * 0.7 * 0.6)


def test_the_documentation_gives_the_ramps() -> None:
    text = (ROOT / "docs" / "report.md").read_text("utf-8")
    ramps = [[cell.strip() for cell in line.split("|")[3:5]] for line in text.splitlines() if line.startswith("| ")][1:]
    plain = [[f"{value}" for value in ramp] for ramp in (scores._DOUBT, scores._DEVIATION)]  # noqa: SLF001
    shares = (scores._PURPLE, scores._STAINS, scores._CUT_OFF, scores._FLAT)  # noqa: SLF001
    percent = [[f"{100 * value:.3g} %" for value in ramp] for ramp in shares]
    assert ramps[1:] == [plain[0], *percent[:2], plain[1], *percent[2:]]
