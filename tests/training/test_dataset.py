from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import MakePictures
from PIL import Image

from colorbatch.errors import UsageError
from colorbatch.progress import SilentProgress
from colorbatch.training import dataset
from colorbatch.training.dataset import ColorizationDataset, find_pairs, load_pair


class Messages(SilentProgress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)


def test_pairs_go_by_relative_name(make_pictures: MakePictures) -> None:
    color = make_pictures("color", "b.png", "sub/a.png", "a.png")
    gray = make_pictures("gray", "a.png", "b.png", "sub/a.png", mode="L")
    (color / "readme.txt").touch()
    pairs = find_pairs(color, gray)
    assert [pair.name for pair in pairs] == ["a.png", "b.png", "sub/a.png"]
    assert [pair.gray for pair in pairs] == [gray / "a.png", gray / "b.png", gray / "sub" / "a.png"]
    assert [pair.gray for pair in find_pairs(color)] == [None] * 3


def test_names_that_do_not_pair_are_named(make_pictures: MakePictures) -> None:
    color = make_pictures("color", *(f"{number}.png" for number in range(8)))
    gray = make_pictures("gray", "0.png", "other.png", mode="L")
    with pytest.raises(UsageError, match=r"8 colour and 2 grey .* no 1.png.* and 3 more"):
        find_pairs(color, gray)


def test_a_missing_or_empty_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        find_pairs(tmp_path / "none")
    with pytest.raises(UsageError, match="no pictures"):
        find_pairs(tmp_path)


def test_the_grey_picture_is_pillows_l_of_the_colour_one(make_pictures: MakePictures) -> None:
    (pair,) = find_pairs(make_pictures("color", "a.png"))
    luma, rgb = load_pair(pair, 64)
    image = Image.open(pair.color)
    np.testing.assert_array_equal(luma[0], np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BILINEAR)))
    np.testing.assert_array_equal(rgb.permute(1, 2, 0), np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR)))


def test_a_given_grey_picture_is_used(make_pictures: MakePictures) -> None:
    color = make_pictures("color", "a.png")
    Image.new("L", (20, 20), 7).save(make_pictures("gray", "b.png") / "a.png")
    (color.parent / "gray" / "b.png").unlink()
    (pair,) = find_pairs(color, color.parent / "gray")
    assert (load_pair(pair, 64)[0] == 7).all()


@pytest.mark.parametrize("cached", [True, False])
def test_broken_pictures_are_reported_counted_and_left_out(
    make_pictures: MakePictures, monkeypatch: pytest.MonkeyPatch, *, cached: bool
) -> None:
    if not cached:
        monkeypatch.setattr(dataset, "CACHE_SHARE_OF_MEMORY", 0)
    folder = make_pictures("color", "a.png", "b.png", "c.png")
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:100])
    progress = Messages()
    pictures = ColorizationDataset(find_pairs(folder), 64, progress)
    assert len(pictures) == 2
    assert pictures.broken == ["b.png"]
    assert "b.png" in progress.texts[0]
    assert progress.texts[-1] == "1 of 3 pictures are damaged and were skipped"
    (levels,) = pictures.canvas([1]).levels
    assert levels.dtype == torch.uint8
    assert levels.shape == (64, 64, 4)
    luma, rgb = load_pair(pictures.pairs[1], 64)
    torch.testing.assert_close(levels[..., :1], luma.permute(1, 2, 0))
    torch.testing.assert_close(levels[..., 1:], rgb.permute(1, 2, 0))


def test_pictures_are_kept_with_their_aspect_ratio_and_never_enlarged(make_pictures: MakePictures) -> None:
    folder = make_pictures("color", "a.png", "b.png")
    Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 60).convert("RGB").save(folder / "c.png")
    pictures = ColorizationDataset(find_pairs(folder), 96, SilentProgress(), keep_aspect=True)
    assert [tuple(pictures.canvas([place]).levels.shape) for place in range(3)] == [
        (1, 66, 72, 4),
        (1, 66, 72, 4),
        (1, 96, 144, 4),
    ]


def test_nothing_but_broken_pictures_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no")
    with pytest.raises(UsageError, match="none of the 1 pictures"):
        ColorizationDataset(find_pairs(tmp_path), 64, SilentProgress())
