"""Every function that takes a folder or a file takes it as text and as any object that stands for a path."""

from collections.abc import Callable
from pathlib import Path

import pytest
from batches import make_tree

import colorbatch
from colorbatch.location import LocationLike


class Named:
    """Something that stands for a path and is none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.mark.parametrize("given", [str, Path, Named])
def test_a_run_and_what_follows_it(tmp_path: Path, model_path: Path, given: Callable[[Path], LocationLike]) -> None:
    source, output, grey = tmp_path / "in", tmp_path / "out", tmp_path / "grey"
    make_tree(source, "a.png", "b/c.jpg")
    model = str(model_path) if given is str else model_path
    job = colorbatch.BatchJob(given(source), given(output), model, provider="cpu", jobs=1)
    assert colorbatch.run_batch(job).coloured == 2
    assert colorbatch.audit_batch(given(output), given(source)).is_sound
    assert colorbatch.join_shards(given(output)).done == 2
    assert colorbatch.write_report(given(output), given(source)).shown == 2
    assert colorbatch.restore_batch(given(output), given(grey)).restored == 1
    assert [path.name for path in grey.rglob("*.*")] == ["c.jpg"]


def test_a_page_or_grey_pictures_are_not_written_to_a_store() -> None:
    with pytest.raises(colorbatch.ColorbatchError, match="memory://out is in a store"):
        colorbatch.write_report("memory://out")
    with pytest.raises(colorbatch.ColorbatchError, match="memory://grey is in a store"):
        colorbatch.restore_batch("out", "memory://grey")
