"""Which provider a run takes by itself."""

from pathlib import Path

import pytest
from helpers import LocalJob, small_model
from PIL import Image

from colorbatch.job import BatchJob, ProviderName
from colorbatch.run import engines
from colorbatch.run.engines import provider_choice
from colorbatch.run.engines.provider_choice import choose_provider
from colorbatch.run.forecast import forecast


@pytest.fixture
def job(tmp_path: Path) -> LocalJob:
    model = tmp_path / "small.onnx"
    model.write_bytes(small_model().SerializeToString())
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model), "auto", jobs=4)


def _have_gpu(monkeypatch: pytest.MonkeyPatch, *, is_there: bool) -> None:
    monkeypatch.setattr(provider_choice, "is_in_this_build", lambda _: is_there)


@pytest.mark.parametrize("provider", ["cpu", "cuda"])
def test_one_that_is_named_is_taken(job: LocalJob, provider: ProviderName) -> None:
    assert choose_provider(BatchJob(job.source, job.output, job.model, provider), 1) == (provider, "")


def test_without_a_gpu_there_is_no_choice(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    _have_gpu(monkeypatch, is_there=False)
    assert choose_provider(job, 100_000) == ("cpu", "")


@pytest.mark.parametrize(("pictures", "expected"), [(9, "cpu"), (100_000, "auto")])
def test_a_gpu_is_taken_where_it_saves_more_than_its_start(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch, pictures: int, expected: str
) -> None:
    _have_gpu(monkeypatch, is_there=True)
    provider, reason = choose_provider(job, pictures)
    assert provider == expected
    assert "GPU" in reason


def test_a_gpu_that_does_not_start_leaves_the_cpu(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime here has no GPU, whatever it says of its build."""
    _have_gpu(monkeypatch, is_there=True)
    monkeypatch.setattr(engines, "PICTURES_FOR_A_PROCESS", 10**6)
    engine = engines.open_engine(job, 100_000, is_remote=False)
    assert engine.provider == "cpu"
    assert "does not start" in engine.provider_reason
    engine.close()


def test_a_forecast_does_without_a_gpu_that_does_not_start(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job.source.mkdir()
    for number in range(3):
        Image.new("L", (20, 30), 80 * number).save(job.source / f"{number}.png")
    _have_gpu(monkeypatch, is_there=True)
    monkeypatch.setattr(provider_choice, "SECONDS_TO_START", 0.0)
    assert forecast(job).counts["colour"] == 3
