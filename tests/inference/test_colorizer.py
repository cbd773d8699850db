from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import ORANGE, vivid_model
from numpy.typing import NDArray
from PIL import Image

import colorbatch
from colorbatch.errors import UsageError
from colorbatch.inference.batching import Prediction
from colorbatch.inference.colorizer import Colorizer
from colorbatch.job import ColorOptions
from colorbatch.pixels.color import Plane
from colorbatch.pixels.picture import Frame, Picture


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 5000), (33, 70), (511, 257)])
def test_the_output_has_exactly_the_source_size(colorizer: Colorizer, shape: tuple[int, int]) -> None:
    grey = np.full(shape, 128, np.uint8)
    result = colorizer.colorize(Picture((Frame(grey),), "TIFF"))
    assert (result.first.height, result.first.width) == shape
    assert result.format == "TIFF"
    # the model gives one chroma everywhere, so every pixel is grey plus the offsets of JFIF (ITU-T T.871, section 7)
    cb, cr = ORANGE
    expected = 128 + 255 * np.array([1.402 * cr, -0.344136 * cb - 0.714136 * cr, 1.772 * cb])
    assert np.abs(result.first.pixels.reshape(-1, 3) - expected).max() <= 0.51


def test_the_grey_of_the_output_is_the_grey_of_the_source(colorizer: Colorizer, ramp: NDArray[np.uint8]) -> None:
    result = colorizer.colorize(Picture((Frame(ramp),))).first.pixels
    assert np.abs(np.asarray(Image.fromarray(result).convert("L")).astype(int) - ramp).max() <= 1
    assert np.ptp(result, axis=-1).max() > 50


def test_a_toned_picture_keeps_its_luma_and_loses_its_tone(colorizer: Colorizer, ramp: NDArray[np.uint8]) -> None:
    sepia = np.dstack([ramp // 2 + 80, ramp // 2 + 60, ramp // 2 + 40])
    result = colorizer.colorize(Picture((Frame(sepia),))).first.pixels
    grey_before, grey_after = (np.asarray(Image.fromarray(p).convert("L")).astype(int) for p in (sepia, result))
    assert np.abs(grey_after - grey_before).max() <= 1


def test_many_threads_give_the_bytes_of_one(colorizer: Colorizer) -> None:
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (50 + i, 90 - i), dtype=np.uint8) for i in range(24)]
    alone = [colorizer.colorize(Picture((Frame(each),))).first.pixels for each in pictures]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda each: colorizer.colorize(Picture((Frame(each),))).first.pixels, pictures))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_colorize_takes_arrays_and_pictures(colorizer: Colorizer, ramp: NDArray[np.uint8]) -> None:
    of_array = colorbatch.colorize(ramp, colorizer)
    of_picture = colorbatch.colorize(Picture((Frame(ramp),)), colorizer)
    assert isinstance(of_array, np.ndarray)
    assert isinstance(of_picture, Picture)
    np.testing.assert_array_equal(of_array, of_picture.first.pixels)
    assert of_array.shape == (*ramp.shape, 3)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_other_arrays_are_refused(colorizer: Colorizer, array: NDArray[np.uint8]) -> None:
    with pytest.raises(UsageError, match="expected uint8"):
        colorbatch.colorize(array, colorizer)


def test_the_working_size_is_the_contracts_unless_given(model_path: Path) -> None:
    assert colorbatch.open_model(model_path).working_size == 32
    assert colorbatch.open_model(model_path, options=ColorOptions(working_size=96)).working_size == 96
    with pytest.raises(UsageError, match="at least 8"):
        colorbatch.open_model(model_path, options=ColorOptions(working_size=7))


def test_the_built_in_model_colours_a_photograph() -> None:
    with Image.open(Path(__file__).parents[2] / "samples" / "portraits" / "astronaut.jpg") as image:
        grey = np.asarray(image)
    result = colorbatch.colorize(grey)
    assert isinstance(result, np.ndarray)
    offsets = result.astype(int) - grey[..., None]
    assert np.abs(offsets).mean() > 2, "it left the photograph grey"
    assert offsets[..., 0].mean() > offsets[..., 2].mean(), "skin, orange suit and wood are warm"


@pytest.fixture
def vivid_path(tmp_path: Path) -> Path:
    path = tmp_path / "vivid.onnx"
    path.write_bytes(vivid_model(0.25).SerializeToString())
    return path


def test_strength_scales_chroma(model_path: Path, ramp: NDArray[np.uint8]) -> None:
    luma = np.full((20, 20), 0.5, np.float32)
    for strength in (0.0, 0.5, 1.5):
        found = colorbatch.open_model(model_path, options=ColorOptions(strength=strength)).predict_pixels(luma).chroma
        assert found[:, 3, 3] == pytest.approx(strength * np.array(ORANGE), abs=1e-6)
    grey = colorbatch.open_model(model_path, options=ColorOptions(strength=0))
    assert (colorbatch.colorize(ramp, grey) == ramp[..., None]).all()


def test_vividness_reaches_the_model(vivid_path: Path) -> None:
    luma = np.full((32, 32), 0.5, np.float32)
    for vividness, expected in ((None, 0.0625), (1.0, 0.25)):
        model = colorbatch.open_model(vivid_path, options=ColorOptions(vividness=vividness))
        assert model.predict_pixels(luma).chroma[1, 5, 5] == pytest.approx(expected)


def test_tta_colours_a_picture_and_its_mirror_image_alike(vivid_path: Path) -> None:
    slope = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (36, 1))
    plain, averaged = (colorbatch.open_model(vivid_path, options=ColorOptions(tta=tta)) for tta in (False, True))
    found = averaged.predict_pixels(slope).chroma
    np.testing.assert_allclose(averaged.predict_pixels(slope[:, ::-1]).chroma[:, :, ::-1], found, atol=0.004)
    np.testing.assert_allclose(
        found, plain.predict_pixels(slope).chroma, atol=0.004
    )  # this model has no side to prefer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ColorOptions(vividness=0.5), "the model small has no vividness"),
        (ColorOptions(strength=2.1), "strength must be from 0 to 2"),
        (ColorOptions(strength=float("nan")), "strength must be from 0 to 2"),
    ],
)
def test_options_that_do_not_fit_are_usage_errors(model_path: Path, options: ColorOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        colorbatch.open_model(model_path, options=options)


def test_a_vividness_out_of_range_is_a_usage_error(vivid_path: Path) -> None:
    with pytest.raises(UsageError, match="vividness must be from 0 to 1"):
        colorbatch.open_model(vivid_path, options=ColorOptions(vividness=-0.5))


def test_a_model_for_tiles_sees_a_picture_at_its_own_size_in_squares(tmp_path: Path) -> None:
    model = vivid_model(0.0)
    for entry in model.metadata_props:
        if entry.key == "colorbatch.tiling":
            entry.value = "tiles"
    path = tmp_path / "tiles.onnx"
    path.write_bytes(model.SerializeToString())
    colorizer = colorbatch.open_model(path, provider="cpu", threads=1)
    seen = _shapes_seen(colorizer)
    luma = np.random.default_rng(0).random((70, 45), dtype=np.float32)
    chroma = colorizer.predict_pixels(luma).chroma
    assert set(seen) == {(32, 32)}  # the small model's working size
    assert len(seen) == 3 * 2
    np.testing.assert_allclose(chroma[0], luma / 4, atol=1e-6)  # what the model gives, at every pixel


def test_a_panorama_is_seen_in_parts_of_8_to_1(colorizer: Colorizer) -> None:
    seen = _shapes_seen(colorizer)
    chroma = colorizer.predict_pixels(np.full((40, 800), 0.5, np.float32)).chroma
    assert len(seen) == 3
    assert set(seen) == {(32, 256)}
    np.testing.assert_allclose(chroma[:, 20, 400], ORANGE, atol=1e-6)


def _shapes_seen(colorizer: Colorizer) -> list[tuple[int, ...]]:
    """Return a list that fills with the sizes of what the model is given."""
    seen: list[tuple[int, ...]] = []
    predict = colorizer.session.predict

    def noting(
        luma: Plane, vividness: float | None = None, deadline: float | None = None, hints: Plane | None = None
    ) -> Prediction:
        seen.append(luma.shape[2:])
        return predict(luma, vividness, deadline, hints)

    colorizer.session.predict = noting  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_image_of_pillow_gives_one(colorizer: Colorizer, ramp: NDArray[np.uint8], mode: str) -> None:
    image = Image.fromarray(ramp).convert(mode)
    found = colorbatch.colorize(image, colorizer)
    assert (found.mode, found.size) == ("RGB", image.size)
    np.testing.assert_array_equal(np.asarray(found), colorbatch.colorize(np.asarray(image), colorizer))


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_an_image_of_16_bits_gives_one_of_8(colorizer: Colorizer, mode: str) -> None:
    levels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    image = Image.frombytes(mode, (64, 64), levels.astype(">u2" if mode == "I;16B" else "<u2").tobytes())
    found = colorbatch.colorize(image, colorizer)
    assert found.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(found), np.rint(colorbatch.colorize(levels, colorizer) / 257))


def test_an_image_is_coloured_as_it_lies_in_memory(colorizer: Colorizer) -> None:
    image = Image.linear_gradient("L").resize((60, 40))
    image.getexif()[0x0112] = 6
    assert colorbatch.colorize(image, colorizer).size == (60, 40)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK", "I", "F"])
def test_other_modes_are_refused(colorizer: Colorizer, mode: str) -> None:
    with pytest.raises(UsageError, match=f"mode L, RGB or I;16, got {mode}") as refused:
        colorbatch.colorize(Image.new(mode, (8, 8)), colorizer)
    assert "image.convert" in refused.value.advice
