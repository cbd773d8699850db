import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import ORANGE, endless_model, hinted_model, model_of, small_model, vivid_model
from onnx import helper, numpy_helper

from colorbatch.errors import (
    InferenceError,
    InferenceStoppedError,
    ModelRefusedError,
    ProviderUnavailableError,
    UsageError,
)
from colorbatch.inference.contract import ModelContract
from colorbatch.inference.model_file import ModelFile
from colorbatch.inference.onnx_header import read_onnx_header
from colorbatch.inference.provider import open_inference_session
from colorbatch.inference.session import Session

OpenSession = Callable[[onnx.ModelProto], Session]


@pytest.fixture(params=[False, True], ids=["plain", "batched"])
def open_session(request: pytest.FixtureRequest) -> OpenSession:
    """Open a model on the CPU, which stands in for a GPU where inferences are batched."""

    def opened(model: onnx.ModelProto) -> Session:
        data = model.SerializeToString()
        header = read_onnx_header(data)
        file = ModelFile(Path("test.onnx"), data, "", header, ModelContract.from_metadata(header.metadata), len(data))
        return Session(file, "cpu", on_gpu=request.param)

    return opened


def test_a_session_gives_the_chroma_of_its_model(open_session: OpenSession) -> None:
    chroma = open_session(small_model()).predict(np.zeros((2, 1, 8, 16), np.float32)).chroma
    assert chroma.shape == (2, 2, 8, 16)
    assert chroma[1, :, 3, 3] == pytest.approx(ORANGE)


def test_vividness_is_what_was_asked_for_or_what_the_contract_says(open_session: OpenSession) -> None:
    session = open_session(vivid_model(0.25))
    luma = np.full((1, 1, 8, 8), 0.5, np.float32)
    assert session.predict(luma).chroma[0, :, 0, 0] == pytest.approx([0.125, 0.0625])
    assert session.predict(luma, 1.0).chroma[0, :, 0, 0] == pytest.approx([0.125, 0.25])
    assert session.predict(luma, 0.0).chroma[0, :, 0, 0] == pytest.approx([0.125, 0.0])


def test_hints_reach_the_model_and_its_confidence_and_colors_come_back(open_session: OpenSession) -> None:
    session = open_session(hinted_model())
    luma = np.full((2, 1, 8, 8), 0.25, np.float32)
    hints = np.full((2, 3, 8, 8), 0.125, np.float32)
    plain, hinted = session.predict(luma), session.predict(luma, hints=hints)
    assert plain.chroma[1, :, 3, 3] == pytest.approx([0, 0])
    assert hinted.chroma[1, :, 3, 3] == pytest.approx([0.125, 0.125])
    for each in (plain, hinted):
        assert each.confidence == pytest.approx([0.25, 0.25])
    colors = session.predict_colors(luma)
    assert colors.shape == (2, 1, 2, 2)
    assert (colors == 0.25).all()


def test_a_model_without_hints_or_colors_says_so(open_session: OpenSession) -> None:
    session = open_session(small_model())
    luma = np.zeros((1, 1, 8, 8), np.float32)
    assert session.predict(luma).confidence is None
    with pytest.raises(InferenceError, match="the model small does not support hints"):
        session.predict(luma, hints=np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(InferenceError, match="small has no output with the probability of each colour"):
        session.predict_colors(luma)


def test_chroma_stays_in_its_range(open_session: OpenSession) -> None:
    chroma = open_session(small_model((7.0, -7.0))).predict(np.zeros((1, 1, 8, 8), np.float32)).chroma
    assert chroma[0, :, 0, 0].tolist() == [0.5, -0.5]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_an_error(open_session: OpenSession, value: float) -> None:
    with pytest.raises(InferenceError, match="not finite"):
        open_session(small_model((value, 0.0))).predict(np.zeros((1, 1, 8, 8), np.float32))


def test_output_of_another_size_is_an_error(open_session: OpenSession) -> None:
    weights = numpy_helper.from_array(np.zeros((2, 1, 1, 1), np.float32), "weights")
    model = model_of([helper.make_node("Conv", ["luma", "weights"], ["chroma"], strides=[2, 2])], [weights])
    with pytest.raises(InferenceError, match=r"returned chroma \[1, 2, 4, 4\] instead of \[1, 2, 8, 8\]"):
        open_session(model).predict(np.zeros((1, 1, 8, 8), np.float32))


def test_a_failing_model_is_an_inference_error(open_session: OpenSession) -> None:
    with pytest.raises(InferenceError, match="the model failed"):
        open_session(small_model()).predict(np.zeros((1, 3, 8, 8), np.float32))


def test_a_graph_that_onnx_runtime_refuses_is_a_refused_model(open_session: OpenSession) -> None:
    model = model_of([helper.make_node("NoSuchOperator", ["luma"], ["chroma"])], [])
    with pytest.raises(ModelRefusedError, match="NoSuchOperator"):
        open_session(model)


def test_a_provider_that_is_not_in_the_build_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderUnavailableError, match="not in this build") as refused:
        open_inference_session(small_model().SerializeToString(), "cuda")
    assert "colorbatch[cuda]" in refused.value.advice


def _fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ONNX Runtime do what it does with a GPU build on a machine without a GPU: say CUDA, use the CPU."""
    real = onnxruntime.InferenceSession

    def opened(
        data: bytes,
        options: onnxruntime.SessionOptions,
        providers: list[str | tuple[str, dict[str, str]]],
        enable_fallback: int,
    ) -> onnxruntime.InferenceSession:
        names = [each if isinstance(each, str) else each[0] for each in providers]
        assert (names, enable_fallback) in ((["CUDAExecutionProvider"], 0), (["CPUExecutionProvider"], 0))
        return real(data, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)


def test_a_silent_fallback_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _fall_back(monkeypatch)
    with pytest.raises(ProviderUnavailableError, match="fell back to CPUExecutionProvider"):
        open_inference_session(small_model().SerializeToString(), "cuda")


def test_a_session_never_changes_its_provider_later() -> None:
    session, _ = open_inference_session(small_model().SerializeToString(), "cpu")
    assert not session._enable_fallback  # noqa: SLF001 (there is no other way to ask)


def test_an_unknown_provider_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="there are: auto, cpu, cuda"):
        open_inference_session(small_model().SerializeToString(), "tpu")


def test_auto_says_which_provider_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    _fall_back(monkeypatch)
    _, provider = open_inference_session(small_model().SerializeToString(), "auto")
    assert provider == "cpu"


def test_a_model_that_never_returns_is_broken_off_at_the_deadline(open_session: OpenSession) -> None:
    session = open_session(endless_model())
    started = time.monotonic()
    with pytest.raises(InferenceError, match="took too long"):
        session.predict(np.zeros((1, 1, 8, 8), np.float32), deadline=started + 0.3)
    assert 0.2 < time.monotonic() - started < 5


def test_stop_breaks_off_what_another_thread_waits_for_and_refuses_more(open_session: OpenSession) -> None:
    session = open_session(endless_model())
    luma = np.zeros((1, 1, 8, 8), np.float32)
    stopper = threading.Timer(0.3, session.stop)
    stopper.start()
    with pytest.raises(InferenceStoppedError):
        session.predict(luma)
    stopper.join()
    with pytest.raises(InferenceStoppedError):
        session.predict(luma)


def test_onnx_runtime_keeps_no_telemetry_in_the_home_folder(tmp_path: Path) -> None:
    """Once imported without its variable, it writes a device id there, and a data base of what it is going to send."""
    (tmp_path / "small.onnx").write_bytes(small_model().SerializeToString())
    code = "import sys; from colorbatch import open_model; open_model(sys.argv[1], provider='cpu')"
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home)}
    subprocess.run([sys.executable, "-c", code, tmp_path / "small.onnx"], env={**os.environ, **places}, check=True)
    assert list(home.rglob("*")) == []
