import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageFont

from colorbatch.operations.sheet import Cell, draw_card, draw_sheet
from colorbatch.operations.sheet import _wrapped as wrapped

RED, BLUE = (255, 0, 0), (0, 0, 255)


def flat(color: tuple[int, int, int], height: int = 100, width: int = 200) -> NDArray[np.uint8]:
    return np.full((height, width, 3), color, np.uint8)


def places_of(sheet: NDArray[np.uint8], color: tuple[int, int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    down, across = np.nonzero((sheet == color).all(2))
    return down, across


def test_pictures_stand_side_by_side_whole_and_unchanged() -> None:
    sheet = draw_sheet(["title"], [[Cell(flat(RED), ["a"]), Cell(flat(BLUE), ["b", "c"])]], 200)
    red, blue = places_of(sheet, RED), places_of(sheet, BLUE)
    for down, across in (red, blue):
        assert (np.ptp(down) + 1, np.ptp(across) + 1, len(down)) == (100, 200, 100 * 200)
    assert red[0].min() == blue[0].min()  # though one label has a line more
    assert red[1].max() < blue[1].min()


def test_rows_stand_below_each_other_and_may_be_of_different_lengths() -> None:
    sheet = draw_sheet([], [[Cell(flat(RED), ["a"])] * 3, [Cell(flat(BLUE), ["b"])]], 200)
    red, blue = places_of(sheet, RED), places_of(sheet, BLUE)
    assert len(red[0]) == 3 * 100 * 200
    assert blue[0].min() > red[0].max()
    assert blue[1].min() == red[1].min()


def test_above_each_picture_there_is_ink_for_its_label_and_none_on_it() -> None:
    sheet = draw_sheet(["title"], [[Cell(flat(RED), ["label"]), Cell(flat(RED), [])]], 200)
    down, across = places_of(sheet, RED)
    label = sheet[down.min() - 25 : down.min(), across.min() : across.min() + 200]
    assert (label < 100).all(2).any()
    assert not (sheet[down.min() - 18 : down.min(), across.max() - 199 :] < 100).any()


@pytest.mark.parametrize("side", [64, 640, 2000])
def test_letters_grow_with_the_pictures(side: int) -> None:
    sheet = draw_sheet([], [[Cell(flat(RED, side, side), ["H"])]], side)
    ink = np.nonzero((sheet < 100).all(2))[0]
    assert np.ptp(ink) + 1 == pytest.approx(max(13, side // 29) * 0.7, rel=0.2)


def test_long_lines_are_broken_between_words_or_within_long_ones() -> None:
    font = ImageFont.load_default(20)
    text = "some words that do not fit " + "x" * 60
    lines = list(wrapped([text, "", "short"], font, 150))
    assert all(font.getlength(line) <= 150 for line in lines)
    assert "".join(lines).replace(" ", "") == (text + "short").replace(" ", "")
    assert lines[0] == "some words that"
    assert lines[-2:] == ["", "short"]


def test_letters_that_the_font_lacks_are_written_another_way() -> None:
    font = ImageFont.load_default(20)
    assert list(wrapped(["\xe4lb\xfcm \u65e5"], font, 1000)) == [r"album \u65e5"]


@pytest.mark.parametrize(("height", "width"), [(300, 200), (200, 200), (200, 300), (40, 30), (30, 40)])
def test_a_card_shows_both_pictures_whole_beside_or_below_each_other(height: int, width: int) -> None:
    card = draw_card(flat(RED, height, width), flat(BLUE, height, width), "caption")
    before, after = places_of(card, RED), places_of(card, BLUE)
    for down, across in (before, after):
        assert (np.ptp(down) + 1, np.ptp(across) + 1, len(down)) == (height, width, height * width)
        assert down.min() > 0
        assert 0 < across.min() < across.max() < card.shape[1] - 1
    if width > height:
        assert before[0].max() < after[0].min()
        assert before[1].min() == after[1].min()
    else:
        assert before[1].max() < after[1].min()
        assert before[0].min() == after[0].min()


@pytest.mark.parametrize(("height", "width"), [(300, 200), (200, 300), (20, 15)])
def test_the_caption_of_a_card_is_centred_below_the_pictures_and_nothing_else_is_drawn(height: int, width: int) -> None:
    card = draw_card(flat(RED, height, width), flat(BLUE, height, width), "colours guessed by a model")
    below = card[places_of(card, BLUE)[0].max() + 1 :]
    across = np.nonzero((below < 160).all(2))[1]
    assert len(across) > 50
    assert across.min() + across.max() == pytest.approx(card.shape[1] - 1, abs=6)
    above = card[: card.shape[0] - below.shape[0]].reshape(-1, 3)
    assert {tuple(pixel) for pixel in np.unique(above, axis=0).tolist()} == {RED, BLUE, (255, 255, 255)}
