import numpy as np
import pytest

from colorbatch.inference.reliability import ReliabilityTable

BINS = ((0.1, 0.0), (-0.1, 0.0))


def half_and_half(places: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    return np.full((2, 1, places), 0.5, np.float32)


def test_who_says_half_and_half_and_is_right_is_calibrated() -> None:
    truth = np.zeros((2, 1, 100), np.float32)
    truth[0] = np.where(np.arange(100) % 2, 0.1, -0.1)
    table = ReliabilityTable(BINS)
    table.add(half_and_half(100), truth)
    found = table.table()
    assert len(found.rows) == 10
    assert sum(row.places for row in found.rows) == 100
    for row in found.rows:
        assert [row.stated, row.found] == pytest.approx([25.5, 25.5], rel=1e-4)
    assert found.error == pytest.approx(0, abs=1e-3)


def test_too_sure_and_too_unsure_are_both_errors() -> None:
    certain = np.zeros((2, 1, 50), np.float32)
    certain[0] = 1  # of a colour that is wrong by 0.2, which is 51 levels
    wrong = np.zeros((2, 1, 50), np.float32)
    wrong[0] = -0.1
    table = ReliabilityTable(BINS)
    table.add(certain, wrong)
    table.add(half_and_half(50), np.zeros((2, 1, 50), np.float32))  # unsure by 25.5 levels of what is right
    found = table.table()
    assert [row.places for row in found.rows] == [10] * 10
    assert found.rows[0].stated == pytest.approx(0, abs=0.1)
    assert found.rows[0].found == pytest.approx(51, rel=1e-4)
    assert found.rows[9].stated == pytest.approx(25.5, rel=1e-4)
    assert found.rows[9].found == pytest.approx(0, abs=0.1)
    assert found.error == pytest.approx((51 + 25.5) / 2, rel=1e-3)
