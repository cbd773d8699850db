"""Fixtures of the tests beside this file."""

from pathlib import Path

import pytest
from bags import OUTPUTS
from finished import finished_folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return the folders of scans and outputs."""
    return finished_folder(tmp_path, OUTPUTS)
