"""Fixtures of the tests of ``adopt``."""

import foreign_files as files
import pytest

from colorbatch_export.adapters import gate


@pytest.fixture
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare networks with dynamic sides at a small size."""
    monkeypatch.setattr(gate, "_LARGEST_SIDE", files.SIDE)
