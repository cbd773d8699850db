import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers import SAMPLES, small_model, vivid_model
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import UnreadablePictureError, UsageError
from colorbatch.formats import decode, mark
from colorbatch.inference.colorizer import open_model
from colorbatch.job import ColorOptions
from colorbatch.operations import preview as module
from colorbatch.operations.preview import Choices, card, preview
from colorbatch.operations.sheet import Cell

Labels = list[list[list[str]]]


@pytest.fixture
def grey() -> bytes:
    return png_of(Image.linear_gradient("L").resize((60, 40)))


@pytest.fixture
def vivid_path(tmp_path: Path) -> str:
    path = tmp_path / "vivid.onnx"
    path.write_bytes(vivid_model(default=0.25).SerializeToString())
    return str(path)


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sequence[str], list[list[Cell]]]]:
    """Return what is laid out, instead of its drawing."""
    seen: list[tuple[Sequence[str], list[list[Cell]]]] = []

    def draw(
        title: Sequence[str], rows: list[list[Cell]], _side: int
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        seen.append((title, rows))
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr(module, "draw_sheet", draw)
    return seen


def png_of(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def labels_of(rows: list[list[Cell]]) -> Labels:
    return [[list(cell.label) for cell in row] for row in rows]


def test_without_choices_levels_of_vividness_are_shown(
    grey: bytes, vivid_path: str, sheets: list[tuple[Sequence[str], list[list[Cell]]]]
) -> None:
    preview(grey, "scan.png", Choices(models=[vivid_path]), provider="cpu")
    title, rows = sheets[0]
    assert labels_of(rows) == [
        [["the original"], ["vividness 0"], ["vividness 0.2"]],
        [["vividness 0.25 (the default)"], ["vividness 0.8"], ["vividness 1"]],
    ]
    assert title[0] == "scan.png, 60 x 40 pixels; the colours were made by a model"
    assert title[1] == f"model {vivid_path}, strength 1 (the default), working size 32 (the default)"


def test_for_a_model_without_vividness_strengths_are_shown(
    grey: bytes, model_path: Path, sheets: list[tuple[Sequence[str], list[list[Cell]]]]
) -> None:
    preview(grey, "scan.png", Choices(models=[str(model_path)]), provider="cpu")
    assert labels_of(sheets[0][1]) == [
        [["the original"], ["strength 0.6"]],
        [["strength 1 (the default)"], ["strength 1.4"]],
    ]


def test_several_choices_make_a_grid_of_all_combinations(
    grey: bytes, vivid_path: str, model_path: Path, sheets: list[tuple[Sequence[str], list[list[Cell]]]]
) -> None:
    choices = Choices([vivid_path, str(model_path)], [0.1, 0.9], [0.5, 1.0, 1.5, 0.5], [64])
    preview(grey, "scan.png", choices, provider="cpu")
    title, rows = sheets[0]
    shown = labels_of(rows)
    strengths = ["strength 0.5", "strength 1 (the default)", "strength 1.5"]
    assert [row[0] for row in shown] == [["the original"]] * 3
    assert [[cell[-1] for cell in row[1:]] for row in shown] == [strengths] * 3
    assert [row[1][:-1] for row in shown] == [
        [f"model {vivid_path}", "vividness 0.1"],
        [f"model {vivid_path}", "vividness 0.9"],
        [f"model {model_path}", "no vividness"],  # which it has not, so it is shown once
    ]
    assert title[1] == "working size 64"


def test_one_choice_of_each_is_one_picture_beside_the_original(
    grey: bytes, vivid_path: str, sheets: list[tuple[Sequence[str], list[list[Cell]]]]
) -> None:
    preview(grey, "scan.png", Choices([vivid_path], [0.7], [1.2], [64]), provider="cpu")
    title, rows = sheets[0]
    assert labels_of(rows) == [[["the original"], []]]
    assert title[1] == f"model {vivid_path}, vividness 0.7, strength 1.2, working size 64"


def test_every_cell_is_what_a_run_gives(vivid_path: str, sheets: list[tuple[Sequence[str], list[list[Cell]]]]) -> None:
    data = (SAMPLES / "animals" / "chelsea.tif").read_bytes()
    preview(data, "chelsea.tif", Choices([vivid_path], [0.1, 0.9]), provider="cpu", side=5000)
    _, *cells = [cell for row in sheets[0][1] for cell in row]
    for vividness, cell in zip((0.1, 0.9), cells, strict=True):
        colorizer = open_model(vivid_path, provider="cpu", options=ColorOptions(vividness=vividness))
        np.testing.assert_array_equal(cell.image, colorizer.colorize(decode(data)).first.pixels)


def test_large_pictures_are_shrunk_and_small_ones_are_not_enlarged(
    grey: bytes, model_path: Path, sheets: list[tuple[Sequence[str], list[list[Cell]]]]
) -> None:
    preview(grey, "scan.png", Choices([str(model_path)]), provider="cpu", side=30)
    preview(grey, "scan.png", Choices([str(model_path)]), provider="cpu", side=640)
    shapes = [{cell.image.shape for row in rows for cell in row} for _, rows in sheets]
    assert shapes == [{(20, 30, 3)}, {(40, 60, 3)}]


@pytest.mark.parametrize(
    ("colour", "label"),
    [(True, "the original in grey (already in colour)"), (False, "the original in grey")],
)
def test_of_a_picture_with_colours_the_luma_is_shown(
    colour: bool,  # noqa: FBT001 (pytest passes it by name)
    label: str,
    model_path: Path,
    sheets: list[tuple[Sequence[str], list[list[Cell]]]],
) -> None:
    image = Image.open(SAMPLES / "animals" / "chelsea.tif").convert("RGB")
    if colour:
        half = Image.new("RGB", (image.width // 2, image.height), (200, 30, 30))
        image.paste(half)
    preview(png_of(image), "a.png", Choices([str(model_path)]), provider="cpu", side=5000)
    original = sheets[0][1][0][0]
    assert original.label == [label]
    expected = np.asarray(image.convert("L")).astype(int)
    assert np.abs(original.image.astype(int) - expected[..., None]).max() <= 1


def test_of_a_picture_that_might_be_in_colour_the_label_says_so(
    model_path: Path, sheets: list[tuple[Sequence[str], list[list[Cell]]]]
) -> None:
    pixels = np.full((64, 64, 3), 128, np.uint8)
    pixels[:32] += np.array([0, 254, 8], np.uint8)  # Cb 4.7 levels above the mean, and as much below
    pixels[32:] += np.array([0, 2, 248], np.uint8)
    preview(png_of(Image.fromarray(pixels)), "a.png", Choices([str(model_path)]), provider="cpu")
    assert sheets[0][1][0][0].label == ["the original in grey (might be in colour)"]


def test_something_in_colour_is_kept_as_in_a_run(
    model_path: Path, sheets: list[tuple[Sequence[str], list[list[Cell]]]]
) -> None:
    image = Image.linear_gradient("L").resize((200, 150)).convert("RGB")
    image.paste((200, 30, 40), (20, 140, 120, 150))
    preview(png_of(image), "a.png", Choices([str(model_path)], strengths=[1.0]), provider="cpu", side=5000)
    original, *cells = [cell for row in sheets[0][1] for cell in row]
    assert original.label == ["the original in grey"]
    for cell in cells:
        np.testing.assert_array_equal(cell.image[142:, 22:118], np.asarray(image)[142:, 22:118])


def test_sixteen_bits_pages_and_alpha_are_shown(
    tmp_path: Path, model_path: Path, sheets: list[tuple[Sequence[str], list[list[Cell]]]]
) -> None:
    import tifffile

    path = tmp_path / "a.tif"
    planes = np.full((40, 60, 2), 30000, np.uint16)
    planes[:, :30, 1] = 0
    planes[:, 30:, 1] = 65535
    with tifffile.TiffWriter(path) as writer:
        for _ in range(3):
            writer.write(planes, photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig")
    preview(path.read_bytes(), "a.tif", Choices([str(model_path)], strengths=[0.0, 1.0]), provider="cpu")
    title, rows = sheets[0]
    assert title[0].startswith("a.tif, page 1 of 3, 60 x 40 pixels")
    for cell in rows[0][:2]:  # the original, and strength 0
        assert (cell.image[:, :30] == 255).all()
        assert np.abs(cell.image[:, 30:].astype(int) - 30000 // 257).max() <= 1


def test_the_sheet_says_of_itself_that_its_colours_were_made(grey: bytes, model_path: Path) -> None:
    sheet = preview(grey, "scan.png", Choices([str(model_path)]), provider="cpu")
    packet = sheet.first.metadata.xmp
    assert mark.digital_source_type(packet) == "compositeWithTrainedAlgorithmicMedia"
    assert b"scan.png" in packet
    assert b"model small" in packet


def test_what_does_not_fit_is_refused(grey: bytes, model_path: Path) -> None:
    with pytest.raises(UsageError, match="has no vividness"):
        preview(grey, "a", Choices([str(model_path)], [0.5]), provider="cpu")
    many = Choices([str(model_path)], strengths=[number / 200 for number in range(400)])
    with pytest.raises(UsageError, match="400 pictures of 2000 pixels are too many for one sheet"):
        preview(grey, "a", many, provider="cpu", side=2000)
    with pytest.raises(UnreadablePictureError):
        preview(b"no picture", "a", Choices([str(model_path)]), provider="cpu")


def test_another_model_of_the_same_name_is_another_choice(
    grey: bytes, model_path: Path, tmp_path: Path, sheets: list[tuple[Sequence[str], list[list[Cell]]]]
) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(small_model((0.1, -0.1)).SerializeToString())
    preview(grey, "a", Choices([str(model_path), str(other)]), provider="cpu")
    _, first, second = [cell for row in sheets[0][1] for cell in row]
    assert (first.label, second.label) == ([f"model {model_path}"], [f"model {other}"])
    assert not np.array_equal(first.image, second.image)


def test_a_card_shows_the_picture_as_it_is_and_what_a_run_gives(
    vivid_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[NDArray[np.uint8]] = []

    def draw(before: NDArray[np.uint8], after: NDArray[np.uint8], _caption: str) -> NDArray[np.uint8]:
        shown.extend([before, after])
        return before

    monkeypatch.setattr(module, "draw_card", draw)
    levels = np.linspace(60, 200, 300, dtype=np.uint8)[None].repeat(200, axis=0)
    sepia = np.dstack([levels, levels - 10, levels - 40])
    data = png_of(Image.fromarray(sepia))
    card(data, "a.png", Choices([vivid_path], [0.9]), provider="cpu")
    colorizer = open_model(vivid_path, provider="cpu", options=ColorOptions(vividness=0.9))
    np.testing.assert_array_equal(shown[0], sepia)
    np.testing.assert_array_equal(shown[1], colorizer.colorize(decode(data)).first.pixels)


def test_a_card_states_that_a_model_made_its_colours(grey: bytes, model_path: Path) -> None:
    made = card(grey, "scan.png", Choices([str(model_path)]), provider="cpu", side=64)
    xmp = made.first.metadata.xmp
    assert mark.digital_source_type(xmp) == "compositeWithTrainedAlgorithmicMedia"
    assert hashlib.sha256(grey).hexdigest().encode() in xmp


def test_a_card_shows_one_result(grey: bytes, model_path: Path) -> None:
    with pytest.raises(UsageError, match="several values are given: strength, working size"):
        card(grey, "scan.png", Choices([str(model_path)], (), [0.5, 1], [32, 64]), provider="cpu")
