from pathlib import Path

import pytest

from colorbatch.store.report_folder import is_part_of_report, is_report


@pytest.mark.parametrize(
    ("name", "marker", "expected"),
    [
        ("colorbatch-report", b'{"colorbatch-report": 1, "batch": "0"}', True),
        ("colorbatch-report", b"", True),  # killed before it was written
        ("colorbatch-report", b"{}", False),
        ("colorbatch-report", None, False),
        ("other", b'{"colorbatch-report": 1}', False),
    ],
)
def test_a_report_is_known_by_its_name_and_its_marker(
    tmp_path: Path, name: str, marker: bytes | None, *, expected: bool
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    if marker is not None:
        (folder / "colorbatch-report.json").write_bytes(marker)
    assert is_report(folder) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("colorbatch-report/index.html", True),
        (f"colorbatch-report/previews/0a/{'0' * 30}-before.webp", True),
        (f"colorbatch-report/previews/0a/{'0' * 30}-after-large.webp", True),
        (f"colorbatch-report/previews/0a/{'0' * 30}-during.webp", False),
        ("colorbatch-report/previews/0a/holiday.webp", False),
        ("colorbatch-report/notes.txt", False),
        ("sub/colorbatch-report/index.html", False),
        ("index.html", False),
    ],
)
def test_only_the_files_that_a_report_writes_are_part_of_it(name: str, *, expected: bool) -> None:
    assert is_part_of_report(name) == expected
