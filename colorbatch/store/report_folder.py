"""What of an output folder belongs to its report: no output, no source, and no stranger's file."""

import re
from pathlib import Path

REPORT_FOLDER = "colorbatch-report"
"""Below the output folder."""
MARKER_NAME = "colorbatch-report.json"
"""The file by which a folder of that name is known as ours."""
MARKER_START = b'{"colorbatch-report": 1'
_PARTS = re.compile(
    rf"{REPORT_FOLDER}/(colorbatch-report\.json|index\.html|report\.css|report\.js|previews\.json"
    r"|previews/[0-9a-f]{2}/[0-9a-f]{30}-(before|after)(-large)?\.webp)"
)


def is_report(folder: Path) -> bool:
    """Return whether a folder was made by ``colorbatch report``: it is named so and holds the marker."""
    marker = folder / MARKER_NAME
    if folder.name != REPORT_FOLDER or folder.is_symlink() or marker.is_symlink():
        return False
    try:
        with marker.open("rb") as file:
            return file.read(len(MARKER_START)) in (MARKER_START, b"")  # empty: it was killed just then
    except OSError:
        return False


def is_part_of_report(name: str) -> bool:
    """Return whether a path below an output folder is one that a report has files at."""
    return _PARTS.fullmatch(name) is not None
