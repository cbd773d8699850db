"""Several pictures at once, for a network that takes one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import foreign_files as files
import numpy as np
import onnxruntime
import pytest
from foreign_colors import PICTURES, grey, saved

from colorbatch.inference.colorizer import Colorizer
from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.session import Session
from colorbatch_export.adapters.adopting import adopt_model

pytestmark = pytest.mark.usefixtures("small_pictures")


@pytest.fixture
def one_at_a_time(tmp_path: Path) -> Path:
    """A model of a file whose batch is 1: that file fails with two pictures."""
    source = saved(files.one_at_a_time(), tmp_path)
    session = onnxruntime.InferenceSession(source.read_bytes())
    with pytest.raises(Exception, match="Got: 2 Expected: 1"):
        session.run(None, {"input": np.zeros((2, 3, files.SIDE, files.SIDE), np.float32)})
    return adopt_model(source, tmp_path / "model.onnx").path


def test_pictures_of_many_threads_come_back_to_those_that_asked(one_at_a_time: Path) -> None:
    """On a GPU they are gathered in batches; here a stand-in for it, on the CPU."""
    pictures = [grey(PICTURES[number % 2], (70 + 2 * (number // 3), 90)) for number in range(12)]
    model = read_model_file(one_at_a_time)
    alone, together = (Colorizer(Session(model, "cpu", on_gpu=on_gpu)) for on_gpu in (False, True))
    expected = [alone.predict_pixels(each).chroma for each in pictures]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda each: together.predict_pixels(each).chroma, pictures))
    assert together.session.provider == "cpu"
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_batch_is_answered_in_order_and_as_a_whole(one_at_a_time: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """19 pictures in parts of 8, 8 and 3."""
    session = Session(read_model_file(one_at_a_time), "cpu", on_gpu=True)
    given: list[int] = []
    bound = onnxruntime.IOBinding.bind_cpu_input

    def noted(self: onnxruntime.IOBinding, name: str, values: Any) -> None:  # noqa: ANN401 (an array)
        given.append(len(values))
        bound(self, name, values)

    monkeypatch.setattr(onnxruntime.IOBinding, "bind_cpu_input", noted)
    luma = np.random.default_rng(0).random((19, 1, 64, 80), np.float32)
    chroma = session.predict(luma).chroma
    assert given == [8, 8, 3]
    for index in range(19):
        np.testing.assert_allclose(chroma[index], session.predict(luma[index : index + 1]).chroma[0], atol=1e-6)
