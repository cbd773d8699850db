"""On a GPU, where there is one: the same colours as on the CPU, and a run that ends well."""

from pathlib import Path

import numpy as np
import pytest
from helpers import SAMPLES, CommandLine
from PIL import Image

from colorbatch import open_model
from colorbatch.errors import EnvironmentFailure
from colorbatch.inference.colorizer import Colorizer

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
