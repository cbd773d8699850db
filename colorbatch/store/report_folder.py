"""Which files of an output folder belong to its report: they are neither outputs nor sources nor foreign files."""

import re
from pathlib import Path

REPORT_FOLDER = "colorbatch-report"
"""Name of the report folder below the output folder."""
MARKER_NAME = "colorbatch-report.json"
"""Name of the file that marks a folder of that name as made by colorbatch."""
REPORT_LOCK = f"{REPORT_FOLDER}/{MARKER_NAME}.lock"
"""Lock of the report below the output folder, which a killed process may have left."""
MARKER_START = b'{"colorbatch-report": 1'
_PARTS = re.compile(
    rf"{REPORT_FOLDER}/(colorbatch-report\.json|index\.html|report\.css|report\.js|previews\.json"
    r"|previews/[0-9a-f]{2}/[0-9a-f]{30}-(before|after)(-large)?\.webp)"
)


def is_report(folder: Path) -> bool:
    """Return whether a folder was made by ``colorbatch report``: it has its name and contains the marker."""
    marker = folder / MARKER_NAME
    if folder.name != REPORT_FOLDER or folder.is_symlink() or marker.is_symlink():
        return False
    try:
        with marker.open("rb") as file:
            return file.read(len(MARKER_START)) in (MARKER_START, b"")  # empty: the report was killed at that moment
    except OSError:
        return False


def is_part_of_report(name: str) -> bool:
    """Return whether a path below an output folder is that of a file of a report."""
    return _PARTS.fullmatch(name) is not None
