"""One source to its output in memory."""

import hashlib
import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import UnsupportedPictureError
from colorbatch.formats import mark
from colorbatch.inference.colorizer import Colorizer
from colorbatch.job import BatchJob
from colorbatch.records.row import MIGHT_BE_COLOR
from colorbatch.run.colorize import OBJECTS_KEPT, UNMARKED, Encoded, NoOutput, Recipe, colorize_source
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.treatment import IN_COLOR
from colorbatch.stages import StageTimer

PLANNED = PlannedPicture("scan.png", "scan.png", "scan.png")


def grey() -> bytes:
    return encoded(Image.linear_gradient("L").resize((40, 30)))


def in_color() -> bytes:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32, :, 0], pixels[32:, :, 1], pixels[:, 32:, 2] = 200, 102, 90
    return encoded(Image.fromarray(pixels))


def doubtful() -> NDArray[np.uint8]:
    """A picture of one luma whose Cb is 4.7 levels above or below the mean: between 4.5 and 5."""
    pixels = np.full((64, 64, 3), 128, np.uint8)
    pixels[:32] += np.array([0, 254, 8], np.uint8)  # 254 is -2
    pixels[32:] += np.array([0, 2, 248], np.uint8)
    return pixels


def encoded(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def recipe_of(colorizer: Colorizer, **changes: object) -> Recipe:
    job = replace(BatchJob(Path("in"), Path("out")), **changes)  # type: ignore[arg-type]
    return Recipe(job, colorizer.session.model, colorizer.options)


def test_a_grey_picture_gets_the_colours_of_the_model_and_keeps_its_luma(colorizer: Colorizer) -> None:
    timer = StageTimer()
    result = colorize_source(grey(), PLANNED, recipe_of(colorizer), colorizer, timer)
    assert isinstance(result, Encoded)
    with Image.open(BytesIO(result.content)) as output, Image.open(BytesIO(grey())) as source:
        assert output.mode == "RGB"
        difference = np.abs(np.asarray(output.convert("L"), int) - np.asarray(source, int))
        assert mark.digital_source_type(output.info["xmp"]) == "compositeWithTrainedAlgorithmicMedia"
    assert difference.max() <= 1
    row = result.row
    assert row.output_sha256 == hashlib.sha256(result.content).hexdigest()
    assert row.input_sha256 == hashlib.sha256(grey()).hexdigest()
    assert (row.status, row.output, row.width, row.height, row.bits) == ("done", "scan.png", 40, 30, 8)
    assert {"decode", "network", "encode"} <= set(timer.costs)


def test_the_same_source_gives_the_same_bytes(colorizer: Colorizer) -> None:
    results = [colorize_source(grey(), PLANNED, recipe_of(colorizer), colorizer, StageTimer()) for _ in range(2)]
    assert all(isinstance(each, Encoded) for each in results)
    assert len({each.content for each in results if isinstance(each, Encoded)}) == 1


def test_a_picture_in_colour_is_skipped_copied_or_coloured_again(colorizer: Colorizer) -> None:
    skipped = colorize_source(in_color(), PLANNED, recipe_of(colorizer), colorizer, StageTimer())
    assert isinstance(skipped, NoOutput)
    assert (skipped.row.status, skipped.row.reason) == ("skipped", IN_COLOR)
    copied = colorize_source(in_color(), PLANNED, recipe_of(colorizer, already_color="copy"), colorizer, StageTimer())
    assert isinstance(copied, Encoded)
    assert copied.content == in_color()
    again = colorize_source(in_color(), PLANNED, recipe_of(colorizer, already_color="recolor"), colorizer, StageTimer())
    assert isinstance(again, Encoded)
    assert again.content != in_color()


def test_a_picture_that_might_be_in_colour_is_coloured_with_a_warning_skipped_or_copied(colorizer: Colorizer) -> None:
    source = encoded(Image.fromarray(doubtful()))

    def result_with(**changes: object) -> Encoded | NoOutput:
        return colorize_source(source, PLANNED, recipe_of(colorizer, **changes), colorizer, StageTimer())

    warning = "it might be a colour photograph; with --doubtful-color skip or copy, such pictures are not coloured"
    for already in ("skip", "copy"):
        coloured = result_with(already_color=already)
        assert isinstance(coloured, Encoded)
        assert coloured.content != source
        assert (coloured.row.status, coloured.row.reason, coloured.row.warnings) == ("done", "", (warning,))
        assert coloured.row.might_be_color
    skipped = result_with(doubtful_color="skip", already_color="copy")
    assert isinstance(skipped, NoOutput)
    assert (skipped.row.status, skipped.row.reason) == ("skipped", "it might be a colour photograph")
    copied = result_with(doubtful_color="copy")
    assert isinstance(copied, Encoded)
    assert copied.content == source
    assert copied.row.reason == "it might be a colour photograph, copied unchanged"
    for unasked in (result_with(already_color="recolor"), result_with(already_color="recolor", doubtful_color="skip")):
        assert isinstance(unasked, Encoded)
        assert unasked.content != source
        assert not unasked.row.might_be_color
    assert not any(result.row.might_be_color for result in (skipped, copied))


def test_of_a_tiff_the_pages_that_might_be_in_colour_are_named_or_kept(colorizer: Colorizer) -> None:
    buffer = BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(doubtful()[..., 1], photometric="minisblack", metadata=None)
        writer.write(doubtful(), photometric="rgb", metadata=None)
    planned = PlannedPicture("scan.tif", "scan.tif", "scan.tif")
    found = {
        choice: colorize_source(
            buffer.getvalue(), planned, recipe_of(colorizer, doubtful_color=choice), colorizer, StageTimer()
        )
        for choice in ("color", "skip", "copy")
    }
    for choice, warning in {
        "color": f"{MIGHT_BE_COLOR} (page 2); with --doubtful-color skip or copy, such pictures are not coloured",
        "skip": "perhaps in colour and kept unchanged: page 2",
        "copy": "perhaps in colour and kept unchanged: page 2",
    }.items():
        result = found[choice]
        assert isinstance(result, Encoded)
        assert result.row.warnings == (warning,)
        with tifffile.TiffFile(BytesIO(result.content)) as output:
            assert np.array_equal(output.pages[1].asarray(), doubtful()) is (choice != "color")


def stamped() -> Image.Image:
    """A grey picture with a red bar of 3 % of its area at the lower edge."""
    image = Image.linear_gradient("L").resize((200, 150)).convert("RGB")
    image.paste((200, 30, 40), (20, 140, 120, 150))
    return image


@pytest.mark.parametrize("already_color", ["skip", "copy", "recolor"])
def test_something_in_colour_on_a_grey_picture_is_kept_and_the_rest_coloured(
    already_color: str, colorizer: Colorizer
) -> None:
    recipe = recipe_of(colorizer, already_color=already_color)
    result = colorize_source(encoded(stamped()), PLANNED, recipe, colorizer, StageTimer())
    assert isinstance(result, Encoded)
    assert (result.row.status, result.row.reason, result.row.warnings) == ("done", "", (OBJECTS_KEPT,))
    before = np.asarray(stamped())
    with Image.open(BytesIO(result.content)) as output:
        after = np.asarray(output)
        difference = np.asarray(output.convert("L"), int) - np.asarray(stamped().convert("L"), int)
    np.testing.assert_array_equal(after[142:, 22:118], before[142:, 22:118])
    assert np.ptp(after[:130].astype(int), axis=2).max() > 50, "the rest is coloured"
    assert np.abs(difference).max() <= 1


def test_of_a_tiff_the_pages_with_something_in_colour_are_named(colorizer: Colorizer) -> None:
    buffer = BytesIO()
    pixels = np.asarray(stamped()).astype(np.uint16) * 257
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(pixels[..., 1], photometric="minisblack", metadata=None)
        writer.write(pixels, photometric="rgb", metadata=None)
    planned = PlannedPicture("scan.tif", "scan.tif", "scan.tif")
    result = colorize_source(buffer.getvalue(), planned, recipe_of(colorizer), colorizer, StageTimer())
    assert isinstance(result, Encoded)
    assert result.row.warnings == (f"{OBJECTS_KEPT}: page 2",)
    with tifffile.TiffFile(BytesIO(result.content)) as output:
        np.testing.assert_array_equal(output.pages[1].asarray()[142:, 22:118], pixels[142:, 22:118])


def test_an_output_without_mark_says_so_in_its_row(colorizer: Colorizer) -> None:
    recipe = recipe_of(colorizer, digital_source_type=None)
    result = colorize_source(grey(), PLANNED, recipe, colorizer, StageTimer())
    assert isinstance(result, Encoded)
    assert result.row.reason == UNMARKED
    with Image.open(BytesIO(result.content)) as output:
        assert "xmp" not in output.info


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(colorizer: Colorizer) -> None:
    recipe = recipe_of(colorizer, max_megapixels=0.001)
    with pytest.raises(UnsupportedPictureError):
        colorize_source(grey(), PLANNED, recipe, colorizer, StageTimer())


@pytest.mark.parametrize(
    ("changes", "is_other"),
    [
        ({"already_color": "copy"}, True),
        ({"doubtful_color": "copy"}, True),
        ({"jpeg_luma": "reencoded"}, True),
        ({"digital_source_type": None}, True),
        ({"jobs": 7}, False),
        ({"provider": "cpu"}, False),
        ({"timeout": 1.0}, False),
        ({"source": Path("elsewhere")}, False),
    ],
)
def test_settings_are_those_that_decide_an_output(
    colorizer: Colorizer, changes: dict[str, object], *, is_other: bool
) -> None:
    usual, other = recipe_of(colorizer), recipe_of(colorizer, **changes)
    assert (usual.settings_sha256 != other.settings_sha256) is is_other


def test_the_default_settings_have_the_hash_of_older_versions(colorizer: Colorizer) -> None:
    """Options that came later are hashed only where they are used, so that older outputs are kept."""
    recipe = recipe_of(colorizer)
    settings = {
        "working_size": recipe.options.working_size,
        "vividness": recipe.options.vividness,
        "strength": 1.0,
        "tta": False,
        "already_color": "skip",
        "jpeg_luma": "exact",
        "digital_source_type": "compositeWithTrainedAlgorithmicMedia",
    }
    expected = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    assert recipe.settings_sha256 == expected
