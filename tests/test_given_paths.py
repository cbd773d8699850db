"""Every function that takes a folder or a file takes it as text and as any object that stands for a path."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from batches import make_tree
from PIL import Image

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


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("already_color", "kopie", "already_color is 'kopie'; known are: skip, copy, recolor"),
        ("doubtful_color", "no", "doubtful_color is 'no'"),
        ("jpeg_luma", "extact", "jpeg_luma is 'extact'"),
        ("engine", "thread", "engine is 'thread'"),
        ("digital_source_type", "ai", "digital_source_type is 'ai'"),
        ("include", "*.jpg", "include is a text, and must be a list"),
        ("exclude", "*.jpg", "exclude is a text"),
        ("only", "a.jpg", "only is a text"),
    ],
)
def test_a_misspelt_word_of_a_job_is_refused(field: str, value: str, message: str) -> None:
    with pytest.raises(colorbatch.ColorbatchError, match=re.escape(message)):
        colorbatch.BatchJob("in", "out", **{field: value})  # type: ignore[arg-type]


def test_a_retouch_record_may_be_a_text(tmp_path: Path) -> None:
    assert colorbatch.BatchJob("in", "out", retouch=str(tmp_path)).retouch == tmp_path  # type: ignore[arg-type]


def test_a_model_may_be_named_where_one_is_taken(tmp_path: Path, model_path: Path) -> None:
    make_tree(tmp_path, "a.png")
    row = colorbatch.colorize_file(tmp_path / "a.png", tmp_path / "b.png", str(model_path))
    assert row.model == "small"
    with Image.open(tmp_path / "a.png") as image:
        assert colorbatch.colorize(image, model_path).mode == "RGB"
