"""A value of a wrong type is refused with the name of its argument, before anything is done."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import colorbatch
from colorbatch.inference.colorizer import Colorizer

JOB: dict[str, Any] = {"source": "in", "output": "out"}
HINT: dict[str, Any] = {"x": 0.5, "y": 0.5, "color": "#00a000"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("source", value) for value in (None, 3, b"in")),
        *(("output", value) for value in (None, ["out"])),
        *(("model", value) for value in (None, 3)),
        *(("jobs", value) for value in ("4", 2.5, True)),
        *(("memory_limit", "4GB"), ("gpu_memory", 1.5), ("max_megapixels", None), ("timeout", "1")),
        *(("options", {"strength": 1}), ("options", None), ("shard", "1/2"), ("ray", "auto"), ("retouch", 3)),
        *(("salvage", "no"), ("convert_profile", None), ("fail_fast", "yes"), ("strict_match", 2)),
        *(("include", None), ("exclude", 3), ("only", 3)),
    ],
)
def test_a_job(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{name}: expected .*, found "):
        colorbatch.BatchJob(**(JOB | {name: value}))


@pytest.mark.parametrize(
    ("name", "value"), [("working_size", 2.5), ("vividness", "1"), ("strength", None), ("strength", "1"), ("tta", "no")]
)
def test_options(name: str, value: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match=f"^{name}: expected .*, found "):
        colorbatch.ColorOptions(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("x", "0.5"), ("y", None), ("radius", "1"), ("radius", None), ("color", None), ("color", 3)]
)
def test_a_hint(name: str, value: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match=f"^{name}: expected .*, found "):
        colorbatch.Hint(**(HINT | {name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("picture", "a.jpg"), ("picture", None), ("model", 3), ("hints", None), ("hints", [(0.5, 0.5, "#00a000")])],
)
def test_a_picture_to_colour(name: str, value: Any, colorizer: Colorizer) -> None:  # noqa: ANN401
    given: dict[str, Any] = {"picture": np.zeros((8, 8), np.uint8), "model": colorizer}
    with pytest.raises(TypeError, match=f"^{name}: expected .*, found "):
        colorbatch.colorize(**(given | {name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("source", None), ("output", None), ("model", 3), ("hints", colorbatch.Hint(0.5, 0.5, "#00a000"))),
        *(("salvage", "no"), ("overwrite", "no"), ("max_megapixels", "9")),
    ],
)
def test_a_file_to_colour(name: str, value: Any, tmp_path: Path, colorizer: Colorizer) -> None:  # noqa: ANN401
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    given: dict[str, Any] = {"source": tmp_path / "a.png", "output": tmp_path / "b.png", "model": colorizer}
    with pytest.raises(TypeError, match=f"^{name}: expected .*, found "):
        colorbatch.colorize_file(**(given | {name: value}))
    assert not (tmp_path / "b.png").exists()


def test_numbers_of_numpy_are_numbers() -> None:
    options = colorbatch.ColorOptions(np.int64(64), np.float32(0.5), np.float64(1), tta=np.bool_(1))  # type: ignore[arg-type]
    colorbatch.BatchJob("in", "out", options=options, jobs=np.int32(2), salvage=np.bool_(0))  # type: ignore[arg-type]
    colorbatch.Hint(np.float32(0.5), np.float64(0.5), "#00a000", np.float32(0.1))
