"""What a GPU is given, without one: sessions on the CPU stand in, and note the shapes that they see."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from helpers import hinted_model, small_contract, small_model
from onnx import helper

from colorbatch.errors import InferenceError
from colorbatch.inference import session as session_module
from colorbatch.inference.colorizer import Colorizer
from colorbatch.inference.contract import ModelContract
from colorbatch.inference.gpu import GpuRunner
from colorbatch.inference.model_file import ModelFile
from colorbatch.inference.onnx_header import read_onnx_header
from colorbatch.inference.provider import open_inference_session
from colorbatch.inference.session import Session
from colorbatch.job import ColorOptions

Shape = tuple[int, ...]


class Binding:
    """Notes the shapes that are bound."""

    def __init__(self, real: onnxruntime.IOBinding, seen: list[Shape]) -> None:
        self.real = real
        self._seen = seen

    def bind_cpu_input(self, name: str, values: np.ndarray[Any, Any]) -> None:
        if name == "luma":
            self._seen.append(values.shape)
        self.real.bind_cpu_input(name, values)

    def bind_output(self, name: str, device: str) -> None:
        self.real.bind_output(name, device)

    def copy_outputs_to_cpu(self) -> Sequence[Any]:
        outputs: Sequence[Any] = self.real.copy_outputs_to_cpu()
        return outputs


class Noted:
    """A session on the CPU that notes the shapes it is given, and fails as a GPU may."""

    def __init__(self, data: bytes, largest: int = 1000) -> None:
        self._real, _ = open_inference_session(data, "cpu")
        self._largest = largest
        self.seen: list[Shape] = []

    def io_binding(self) -> Binding:
        return Binding(self._real.io_binding(), self.seen)

    def run(self, names: Sequence[str], inputs: dict[str, Any], options: onnxruntime.RunOptions) -> Sequence[Any]:
        self.seen.append(inputs["luma"].shape)
        self._fail()
        outputs: Sequence[Any] = self._real.run(names, inputs, options)
        return outputs

    def run_with_iobinding(self, binding: Binding, options: onnxruntime.RunOptions) -> None:
        self._fail()
        self._real.run_with_iobinding(binding.real, options)

    def _fail(self) -> None:
        if self.seen[-1][0] > self._largest:
            raise RuntimeError("Failed to allocate memory for requested buffer")


def model_file(data: bytes) -> ModelFile:
    header = read_onnx_header(data)
    return ModelFile(Path("test.onnx"), data, "", header, ModelContract.from_metadata(header.metadata), len(data))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Noted]:
    """All sessions that a :class:`Session` opens from now on."""
    sessions: list[Noted] = []

    def open_noted(data: bytes, *_: object) -> tuple[Noted, str]:
        sessions.append(Noted(data))
        return sessions[-1], "cpu"

    monkeypatch.setattr(session_module, "open_inference_session", open_noted)
    return sessions


def test_three_hundred_shapes_become_four_each_with_a_session_of_its_own(opened: list[Noted]) -> None:
    colorizer = Colorizer(
        Session(model_file(small_model().SerializeToString()), on_gpu=True), ColorOptions(working_size=32)
    )
    for number in range(300):
        size = (200 + number, 200) if number % 2 else (200, 200 + number)
        assert colorizer.predict_pixels(np.zeros(size, np.uint8)).chroma.shape[0] == 2
    shapes = [set(each.seen) for each in opened]
    assert all(len(each) == 1 for each in shapes)  # no session ever changes its shape
    assert len(set.union(*shapes)) == len(opened) == 4
    assert sum(len(each.seen) for each in opened) == 300


def test_a_model_that_resizes_is_opened_once_and_given_nothing_beside_the_pictures(opened: list[Noted]) -> None:
    """Its network sees one shape, so that another session for each would only hold its weights again."""
    model = small_model()
    helper.set_model_props(model, small_contract(resizes=True).to_metadata())
    colorizer = Colorizer(Session(model_file(model.SerializeToString()), on_gpu=True), ColorOptions(working_size=32))
    for number in range(20):
        colorizer.predict_pixels(np.zeros((64 + number, 64), np.uint8))
    assert len(opened) == 1
    assert [each[0] for each in opened[0].seen] == [1] * 20
    assert len(set(opened[0].seen)) == 3


@pytest.mark.parametrize(("resizes", "sessions"), [(False, 8), (True, 2)])
def test_the_memory_of_a_gpu_is_divided_by_the_sessions_that_there_may_be(
    *, resizes: bool, sessions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[object] = []

    def noted(data: bytes, *others: object) -> tuple[Noted, str]:
        limits.append(others[-1])
        return Noted(data), "cpu"

    monkeypatch.setattr(session_module, "open_inference_session", noted)
    model = small_model()
    helper.set_model_props(model, small_contract(resizes=resizes).to_metadata())
    Session(model_file(model.SerializeToString()), gpu_memory=8000)
    assert limits == [8000 // sessions]


def test_a_picture_gets_the_chroma_of_its_own_place_on_the_canvas() -> None:
    """Chroma of the model is its hints: what is at a place must come back at that place."""
    colorizer = Colorizer(
        Session(model_file(hinted_model().SerializeToString()), "cpu", on_gpu=True), ColorOptions(working_size=32)
    )
    hints = np.random.default_rng(0).uniform(-0.4, 0.4, (3, 40, 32)).astype(np.float32)
    found = colorizer.predict_pixels(np.zeros((80, 64), np.uint8), hints=hints)
    np.testing.assert_allclose(found.chroma, hints[:2], atol=1e-6)


def runner(data: bytes, largest: int, cpu: Callable[[], Any] | None = None) -> tuple[GpuRunner, list[Noted]]:
    """Return a runner on a GPU that can do so many pictures at once, and the sessions that it opens there."""
    sessions: list[Noted] = []

    def on_gpu() -> Any:  # noqa: ANN401 (a stand-in)
        sessions.append(Noted(data, largest))
        return sessions[-1]

    return GpuRunner("cpu", on_gpu, cpu or (lambda: open_inference_session(data, "cpu")[0])), sessions


def asked(runner: GpuRunner, count: int) -> Sequence[Any]:
    luma = np.linspace(0, 1, count * 32 * 48, dtype=np.float32).reshape(count, 1, 32, 48)
    return runner.run(["chroma"], {"luma": luma}, onnxruntime.RunOptions())


@pytest.mark.parametrize("count", [1, 7, 8, 19])
def test_batches_have_one_size_and_give_each_picture_its_own(count: int) -> None:
    data = small_model().SerializeToString()
    gpu, sessions = runner(data, 1000)
    (chroma,) = asked(gpu, count)
    assert chroma.shape == (count, 2, 32, 48)
    assert set(sessions[0].seen) == {(8, 1, 32, 48)}
    assert len(sessions) == 1


def test_a_gpu_with_little_memory_gets_smaller_batches(caplog: pytest.LogCaptureFixture) -> None:
    gpu, sessions = runner(small_model().SerializeToString(), 3)
    (chroma,) = asked(gpu, 5)
    assert chroma.shape[0] == 5
    assert gpu.provider == "cpu"  # as the stand-in is called
    assert [each.seen[0][0] for each in sessions] == [8, 4, 2]
    assert "cannot process 8 pictures at once" in caplog.text
    asked(gpu, 5)
    assert len(sessions) == 3  # it remembers


def test_a_gpu_that_is_gone_costs_no_picture(caplog: pytest.LogCaptureFixture) -> None:
    data = small_model().SerializeToString()
    gpu = GpuRunner("cuda", _gone, lambda: open_inference_session(data, "cpu")[0])
    with caplog.at_level(logging.WARNING):
        (chroma,) = asked(gpu, 5)
    assert chroma.shape[0] == 5
    assert gpu.provider == "cpu"
    assert "the CPU takes over" in caplog.text
    asked(gpu, 1)


def _gone() -> Any:  # noqa: ANN401 (it never returns)
    raise RuntimeError("CUDA failure 719: unspecified launch failure")


def test_what_the_cpu_cannot_do_either_is_not_the_fault_of_the_gpu(opened: list[Noted]) -> None:
    session = Session(model_file(small_model().SerializeToString()), on_gpu=True)
    with pytest.raises(InferenceError, match="the model failed"):
        session.predict(np.zeros((1, 3, 8, 8), np.float32))
    before = len(opened)
    assert session.predict(np.zeros((1, 1, 8, 8), np.float32)).chroma.shape == (1, 2, 8, 8)
    assert opened[-1].seen == [(8, 1, 8, 8)]  # on the GPU again, and in whole batches
    assert len(opened) == before + 1
