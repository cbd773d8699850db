"""What an adopted network gives, compared with the way of its authors."""

from pathlib import Path
from typing import Any

import foreign_files as files
import numpy as np
import onnx
import pytest
from foreign_colors import PICTURES, VARIANTS, by_authors, chroma_of, grey, levels_apart, saved
from numpy.typing import NDArray

from colorbatch.inference.colorizer import open_model
from colorbatch_export.adapters.adopting import adopt_model

Array = NDArray[Any]
pytestmark = [
    pytest.mark.usefixtures("small_pictures"),
    pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB"),  # of colours outside RGB, by scikit-image
]


QUICK = ("ddcolor, fixed, fp16", "ddcolor, dynamic", "deoldify, fixed", "zhang2016, centred, divided")


@pytest.mark.parametrize(
    "variant", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in VARIANTS]
)
def test_an_adopted_file_gives_the_colours_of_its_authors(variant: str, tmp_path: Path) -> None:
    kind, make = VARIANTS[variant]
    source = saved(make(), tmp_path)
    result = adopt_model(source, tmp_path / "model.onnx", kind=kind, working_size=files.SIDE)
    for picture, size in zip(PICTURES, ((64, 97), (150, 64)), strict=True):
        levels = grey(picture, size)
        expected = by_authors(source, variant, levels, (files.SIDE, files.SIDE), (files.SIDE, files.SIDE))
        assert np.abs(expected).max() > 0.05, "the test needs a network that gives colour"
        apart = levels_apart(chroma_of(result.path, levels)[0], expected)
        assert apart.mean() <= 1
        assert apart.max() <= 3
    assert result.report.passed
    assert (result.report.tolerance, result.report.mean_tolerance) == (3, 1)


@pytest.mark.parametrize(
    "variant",
    [
        "ddcolor, fixed, opset 12",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("deoldify, fixed", "zhang2016, centred")),
    ],
)
def test_pad_shows_the_network_a_picture_in_its_own_shape(variant: str, tmp_path: Path) -> None:
    kind, make = VARIANTS[variant]
    source = saved(make(), tmp_path)
    result = adopt_model(source, tmp_path / "model.onnx", kind=kind, fit="pad")
    levels = grey(PICTURES[0], (64, 97))
    expected = by_authors(source, variant, levels, (64, 64), (42, 64))  # 64 * 64 / 97 = 42.2
    assert levels_apart(chroma_of(result.path, levels)[0], expected).max() <= 3
    assert result.contract.resizes


@pytest.mark.parametrize(
    ("variant", "multiple"),
    [
        pytest.param("ddcolor, dynamic", 32, marks=pytest.mark.slow),
        pytest.param("deoldify, dynamic", 16, marks=pytest.mark.slow),
        ("zhang2016, L inside, quarter", 8),
    ],
)
def test_a_file_with_dynamic_sides_takes_pictures_as_they_are_with_pad(
    variant: str, multiple: int, tmp_path: Path
) -> None:
    kind, make = VARIANTS[variant]
    source = saved(make(), tmp_path)
    result = adopt_model(source, tmp_path / "model.onnx", kind=kind, fit="pad")
    assert (result.contract.size_multiple, result.contract.resizes) == (multiple, False)
    levels = grey(PICTURES[0], (64, 96))
    expected = by_authors(source, variant, levels, (64, 96), (64, 96))
    assert levels_apart(chroma_of(result.path, levels)[0], expected).max() <= 3


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param("ddcolor, fixed, opset 12", marks=pytest.mark.slow),
        "ddcolor, batch of one",
        pytest.param("ddcolor, mixing its batch", marks=pytest.mark.slow),
    ],
)
def test_pictures_of_a_batch_do_not_change_each_other(variant: str, tmp_path: Path) -> None:
    adopted = adopt_model(saved(VARIANTS[variant][1](), tmp_path), tmp_path / "model.onnx").path
    one, other = (grey(picture, (64, 80)) for picture in PICTURES)
    together = chroma_of(adopted, one, other)
    for index, picture in enumerate((one, other)):
        np.testing.assert_allclose(together[index], chroma_of(adopted, picture)[0], atol=1e-5)
    loops = [node.op_type for node in onnx.load(adopted).graph.node].count("Loop")
    assert loops == (0 if "fixed" in variant else 1)


def test_on_a_gpu_nothing_is_added_to_a_picture_that_the_model_resizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted = adopt_model(saved(files.ddcolor(), tmp_path), tmp_path / "model.onnx").path
    colorizer = open_model(adopted)
    pixels = grey(PICTURES[1], (100, 130))
    on_cpu = colorizer.predict_pixels(pixels).chroma
    monkeypatch.setattr(colorizer.session, "on_gpu", True)
    np.testing.assert_array_equal(colorizer.predict_pixels(pixels).chroma, on_cpu)
