"""The gauntlet: every case attacks the installed command from outside, in an arena of its own."""

import sys
from pathlib import Path

import pytest
from gauntlet.arena import Arena


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gauntlet)
            if sys.platform != "linux":
                item.add_marker(pytest.mark.skip(reason="its means are those of Linux"))


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where arenas keep what the next ones need."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def arena(tmp_path: Path, kept: Path) -> Arena:
    return Arena(tmp_path / "arena", kept)
