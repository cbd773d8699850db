"""What the page of ``colorbatch retouch`` shows of a picture."""

import pytest

from colorbatch.records.row import Row
from colorbatch.retouch.pictures import Listed, described


@pytest.mark.parametrize(
    ("warning", "shown"),
    [
        (
            "it might be a colour photograph; with --doubtful-color skip or copy, such pictures are not coloured",
            "it might be a colour photograph; if it is one, leave it as it is",
        ),
        (
            "it might be a colour photograph (page 1, 3); with --doubtful-color skip or copy, such pictures are not "
            "coloured",
            "it might be a colour photograph (page 1, 3); if it is one, leave it as it is",
        ),
        ("its luma was encoded again: it is stored as CMYK", "its luma was encoded again: it is stored as CMYK"),
    ],
)
def test_a_warning_advises_what_the_page_can_do(warning: str, shown: str) -> None:
    row = Row("a.jpg", status="done", warnings=(warning,))
    assert described(0, Listed("a.jpg"), row, None)["warnings"] == [shown]
