from pathlib import Path

import numpy as np
import pytest
from helpers import hinted_model, small_model, vivid_model
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from colorbatch.errors import UsageError
from colorbatch.inference.colorizer import open_model
from colorbatch.operations.evaluate import evaluate
from colorbatch.pixels import metrics


@pytest.fixture
def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def test_psnr_is_that_of_scikit_image(noise: NDArray[np.uint8]) -> None:
    other = np.roll(noise, 1, axis=0)
    assert metrics.psnr(noise, other) == pytest.approx(peak_signal_noise_ratio(noise, other))
    assert metrics.psnr(noise, noise) == float("inf")


def test_ssim_and_ciede2000_of_equal_and_unequal_pictures(noise: NDArray[np.uint8]) -> None:
    assert metrics.ssim(noise, noise) == pytest.approx(1)
    assert metrics.ssim(noise, noise[::-1]) < 0.1
    assert metrics.mean_ciede2000(noise, noise) == 0
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    assert metrics.mean_ciede2000(black, white) == pytest.approx(100, abs=0.01)  # by definition of L*


def test_colourfulness_of_pictures_worked_by_hand() -> None:
    grey = np.full((4, 4, 3), 77, np.uint8)
    assert metrics.colourfulness(grey) == 0
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255  # rg = 255, yb = 127.5, no deviation: 0.3 * sqrt(255^2 + 127.5^2)
    assert metrics.colourfulness(red) == pytest.approx(0.3 * 285.0987)
    half = red.copy()
    half[:2] = 0  # means halved, deviations 127.5 and 63.75: sqrt(..) = 142.549, plus 0.3 * 142.549
    assert metrics.colourfulness(half) == pytest.approx(1.3 * 142.5494, abs=1e-3)


def test_blotches_are_departures_from_the_mean_of_a_flat_region() -> None:
    grey = np.full((96, 96), 128, np.uint8)
    regions = metrics.flat_regions(grey)
    assert (regions == 1).all()
    even, halves = np.full((96, 96, 3), (150, 120, 110), np.uint8), np.full((96, 96, 3), 128, np.uint8)
    assert metrics.blotchiness([metrics.blotches(even, regions)]) == pytest.approx(0, abs=1e-3)
    # Grey on the left; on the right Cb = -20 and Cr = 20 levels: each departs by 10 levels from the mean of both.
    halves[:, 48:] = np.rint([128 + 1.402 * 20, 128 + 0.344136 * 20 - 0.714136 * 20, 128 - 1.772 * 20])
    found = metrics.blotches(halves, regions)
    assert found.places == 48 * 48
    assert metrics.blotchiness([found]) == pytest.approx(np.hypot(10, 10), rel=0.05)  # blurred at the border


def test_regions_end_at_edges_and_texture_belongs_to_none() -> None:
    grey = np.full((192, 192), 60, np.uint8)
    grey[:, 96:] = 200
    regions = metrics.flat_regions(grey)
    assert set(np.unique(regions)) == {0, 1, 2}
    assert (regions[:, :20] == 1).all()
    assert (regions[:, 28:] == 2).all()
    slope = np.tile(np.linspace(0, 255, 192).astype(np.uint8), (192, 1))  # 1.3 levels a pixel
    assert not metrics.flat_regions(slope)[:, 6:-6].any()
    assert metrics.blotches(np.dstack([slope] * 3), np.zeros((48, 48), np.int32)) == (0.0, 0)


def test_evaluation_puts_the_model_beside_grey(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    (pictures / "sub").mkdir(parents=True)
    luma = np.random.default_rng(1).integers(90, 160, (64, 64))
    chroma = (0.04, 0.06)
    offsets = 255 * np.array([1.402 * chroma[1], -0.344136 * chroma[0] - 0.714136 * chroma[1], 1.772 * chroma[0]])
    truth = np.rint(luma[..., None] + offsets).astype(np.uint8)
    Image.fromarray(truth).save(pictures / "a.png")
    Image.fromarray(truth[::-1].copy()).save(pictures / "sub" / "b.png")
    (pictures / "broken.jpg").write_bytes(b"no")
    Image.new("RGB", (64, 64), (9, 9, 9)).save(pictures / "grey.png")
    path = tmp_path / "right.onnx"
    path.write_bytes(small_model(chroma).SerializeToString())

    found = evaluate(open_model(path, provider="cpu"), pictures, size=64)
    assert (found.pictures, found.left_out, found.size) == (2, 2, 64)
    assert found.model.psnr > 45  # the model knows the one right chroma
    assert found.model.ciede2000 < 1 < found.grey.ciede2000
    assert found.model.colourfulness == pytest.approx(found.truth_colourfulness, abs=1)
    assert found.grey.colourfulness == 0
    assert found.grey.psnr == pytest.approx(10 * np.log10(255**2 / np.mean(offsets**2)), abs=0.2)
    assert evaluate(open_model(path, provider="cpu"), pictures, size=64, limit=2).pictures == 1


def test_what_is_aged_is_what_the_model_sees_and_not_what_is_measured(tmp_path: Path) -> None:
    """A model that answers with the luma it sees, on a flat picture: only its colours may change."""
    for number in range(5):  # some are so lucky that age does nothing to them
        Image.new("RGB", (64, 64), (140, 120, 100)).save(tmp_path / f"{number}.png")
    path = tmp_path / "vivid.onnx"
    path.write_bytes(vivid_model(0.0).SerializeToString())
    model = open_model(path, provider="cpu")
    plain, aged, again = (evaluate(model, tmp_path, size=64, aged=aged) for aged in (False, True, True))
    assert aged == again
    assert aged.grey == plain.grey
    assert aged.model != plain.model


def test_a_folder_without_pictures_is_a_usage_error(tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no pictures"):
        evaluate(open_model(model_path), tmp_path / "empty")
    with pytest.raises(UsageError, match="is not a folder"):
        evaluate(open_model(model_path), tmp_path / "none")


def test_a_model_that_takes_hints_is_told_the_truth_and_says_what_it_expects(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (140, 120, 100)).save(tmp_path / "a.png")
    path = tmp_path / "hinted.onnx"
    path.write_bytes(hinted_model().SerializeToString())
    model = open_model(path, provider="cpu")
    plain, hinted = (evaluate(model, tmp_path, size=64, hints=count) for count in (0, 200))
    assert plain.model.psnr == pytest.approx(plain.grey.psnr)  # without hints it gives no colour
    assert hinted.model.psnr > plain.model.psnr + 10  # 200 squares of 5 x 5 cover most of a picture of 32 x 32
    luma = (0.299 * 140 + 0.587 * 120 + 0.114 * 100) / 255
    assert plain.expected_ciede2000 == pytest.approx(10 / luma - 10, rel=0.02)  # its confidence is the luma
    assert plain.reliability is not None
    assert sum(row.places for row in plain.reliability.rows) == 8 * 8


def test_hints_for_a_model_that_takes_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(small_model().SerializeToString())
    with pytest.raises(UsageError, match="does not support hints"):
        evaluate(open_model(path, provider="cpu"), tmp_path, hints=3)
