"""On a GPU, where there is one: the same colours as on the CPU, and a run that ends well."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import SAMPLES, CommandLine, MakePictures
from numpy.typing import NDArray
from PIL import Image

from colorbatch import open_model
from colorbatch.errors import EnvironmentFailure
from colorbatch.inference.colorizer import Colorizer
from colorbatch.job import BatchJob
from colorbatch.run.batch import run_batch

pytestmark = pytest.mark.cuda


@pytest.fixture(scope="module")
def on_gpu() -> Colorizer:
    try:
        return open_model(provider="cuda")
    except EnvironmentFailure as error:
        pytest.skip(str(error))


def test_a_gpu_gives_the_chroma_of_the_cpu_on_a_canvas_that_a_picture_fills(on_gpu: Colorizer) -> None:
    with Image.open(SAMPLES / "portraits" / "grace_hopper.png") as opened:
        pixels = np.asarray(opened.convert("L").resize((288, 192)))
    found, expected = (each.predict_pixels(pixels) for each in (on_gpu, open_model(provider="cpu")))
    assert np.abs(found.chroma - expected.chroma).max() < 0.1 / 255
    assert on_gpu.session.provider == "cuda"


def test_on_other_canvases_it_is_about_that_of_the_cpu(on_gpu: Colorizer) -> None:
    with Image.open(SAMPLES / "portraits" / "grace_hopper.png") as opened:
        pixels = np.asarray(opened.convert("L").resize((200, 192)))
    found, expected = (each.predict_pixels(pixels) for each in (on_gpu, open_model(provider="cpu")))
    assert np.abs(found.chroma - expected.chroma).mean() < 3 / 255


def test_a_run_on_a_gpu(on_gpu: Colorizer, command_line: CommandLine, tmp_path: Path) -> None:
    assert on_gpu.session.provider == "cuda"
    assert command_line("run", "--provider", "cuda", SAMPLES, tmp_path / "out") == 0


def crops(count: int) -> list[NDArray[np.uint8]]:
    """Return different parts of a sample, each of which fills a canvas."""
    with Image.open(SAMPLES / "portraits" / "grace_hopper.png") as opened:
        whole = np.asarray(opened.convert("L").resize((400, 400)))
    return [np.ascontiguousarray(whole[10 * each : 10 * each + 192, :288]) for each in range(count)]


def test_pictures_that_are_computed_together_get_the_chroma_that_each_gets_alone(on_gpu: Colorizer) -> None:
    pictures = crops(19)
    alone = [on_gpu.predict_pixels(each).chroma for each in pictures]
    with ThreadPoolExecutor(16) as pool:
        together = [each.chroma for each in pool.map(on_gpu.predict_pixels, pictures)]
    for expected, found in zip(alone, together, strict=True):
        assert np.abs(found - expected).max() < 0.1 / 255
    assert on_gpu.session.provider == "cuda"


def test_hints_have_the_effect_that_they_have_on_the_cpu(on_gpu: Colorizer) -> None:
    hints = np.zeros((3, 192, 288), np.float32)
    hints[:, 60:68, 100:108] = np.array([-0.2, 0.2, 1.0], np.float32)[:, None, None]
    (picture,) = crops(1)
    found, expected = (
        each.predict_pixels(picture, hints=hints).chroma for each in (on_gpu, open_model(provider="cpu"))
    )
    without = on_gpu.predict_pixels(picture).chroma
    assert np.abs(found - expected).max() < 0.1 / 255
    assert np.abs(found - without).max() > 0.05
    assert on_gpu.session.provider == "cuda"


def test_too_little_memory_costs_no_picture(
    on_gpu: Colorizer, make_pictures: MakePictures, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Batches are halved, or the CPU takes over."""
    assert on_gpu.session.provider == "cuda"
    source = make_pictures("in", *(f"{number}.png" for number in range(40)), mode="L")
    summary = run_batch(BatchJob(source, tmp_path / "out", provider="cuda", gpu_memory=800_000_000))
    assert (summary.done, summary.failed) == (40, 0)
    assert "cannot process" in caplog.text or "takes over" in caplog.text
