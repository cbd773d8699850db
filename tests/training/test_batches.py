from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.filters import laplace
from torch import Tensor

from colorbatch.training import batches
from colorbatch.training.batches import Variation, varied_batch, whole_batch
from colorbatch.training.draws import Draws
from colorbatch.training.packed import Canvas, PackedPictures

EVERYTHING = Variation(crop=True, softened=0.5, sharpened=0.5, recompressed=0.5, aged=0.5, hinted=0.5)


@pytest.fixture
def canvas() -> Canvas:
    """The same 40 times in colour and of many details, 150 x 100 pixels, with the luma of Pillow."""
    gray = Image.effect_mandelbrot((150, 100), (-2, -1, 1, 1), 60)
    image = Image.merge("RGB", [gray, gray.point(lambda level: 255 - level), gray.point(lambda level: level // 2)])
    planes = [np.asarray(image.convert("L"))[..., None], np.asarray(image)]
    return PackedPictures.taking([torch.tensor(np.concatenate(planes, axis=2))]).canvas([0] * 40)


def touched(batch: batches.Batch, whole: batches.Batch) -> Tensor:
    return (batch.luma != whole.luma).flatten(1).any(dim=1)


def test_without_variation_the_whole_picture_is_shown(canvas: Canvas) -> None:
    batch = whole_batch(canvas, 64)
    assert batch.hints is None
    levels = canvas.levels[0].numpy()
    for found, expected in ((batch.luma[0, 0], levels[..., 0]), (batch.rgb[0].permute(1, 2, 0), levels[..., 1:])):
        small = Image.fromarray(expected).resize((64, 64), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(found.numpy() * 255, np.asarray(small), atol=1.5)
    varied = varied_batch(canvas, 64, Variation(), Draws((1,)))
    assert torch.equal(varied.luma, batch.luma)
    assert torch.equal(varied.rgb, batch.rgb)


def test_the_draws_alone_decide_how_a_batch_varies(canvas: Canvas) -> None:
    def shown(number: int) -> list[Tensor]:
        return [each for each in varied_batch(canvas, 64, EVERYTHING, Draws((7, number))) if each is not None]

    one, again, other = (shown(number) for number in (1, 1, 2))
    assert len(one) == 3
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_luma_and_colour_are_the_same_part(canvas: Canvas) -> None:
    luma, rgb, _ = varied_batch(canvas, 64, Variation(crop=True), Draws((1,)))
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert (luma - (rgb * weights).sum(dim=1, keepdim=True)).abs().max() < 0.01
    assert len(np.unique(luma.flatten(1), axis=0)) == 40


@pytest.mark.parametrize("kind", ["softened", "sharpened", "recompressed", "aged"])
def test_a_share_of_the_pictures_is_changed(canvas: Canvas, kind: str) -> None:
    whole = whole_batch(canvas, 128)
    shares = [
        touched(varied_batch(canvas, 128, Variation(**{kind: 0.3}), Draws((number,))), whole).float().mean()  # type: ignore[arg-type]
        for number in range(5)
    ]
    # Three of ten; a few of the aged ones are met by no effect: 0.75 * 0.85 * 0.75 * 0.4 * ... = 0.04 of them.
    assert np.mean(shares) == pytest.approx(0.3, abs=0.025 if kind == "aged" else 1e-6)


def test_softness_sharpness_and_a_jpeg_befall_aged_pictures_too(canvas: Canvas) -> None:
    both = varied_batch(canvas, 128, Variation(softened=1, aged=0.5), Draws((1,)))
    assert touched(both, whole_batch(canvas, 128)).all()


def test_what_is_soft_has_less_detail_and_what_is_sharp_more(canvas: Canvas) -> None:
    def detail(luma: Tensor) -> float:
        return float(np.mean([np.abs(laplace(each)).mean() for each in luma[:, 0].numpy()]))

    luma = whole_batch(canvas, 64).luma
    soft, sharp = (effect(luma, Draws((1,))) for effect in (batches.soften, batches.sharpen))
    assert detail(soft) < 0.9 * detail(luma) < 0.9 * 0.9 * detail(sharp)
    assert float(soft.mean()) == pytest.approx(float(luma.mean()), abs=0.01)
    assert 0 <= sharp.min() <= sharp.max() <= 1


def test_only_a_network_with_hints_is_given_hints(canvas: Canvas) -> None:
    assert varied_batch(canvas, 64, Variation(), Draws((1,))).hints is None
    luma, rgb, hints = varied_batch(canvas, 64, Variation(crop=True, hinted=1), Draws((1,)))
    assert hints is not None
    told = hints[:, 2] > 0
    assert told.flatten(1).any(dim=1).all()
    cb = (rgb[:, 2] - luma[:, 0]) / 1.772  # ITU-T T.871, section 7
    assert np.corrcoef(hints[:, 0][told], cb[told])[0, 1] > 0.6


def test_no_step_needs_a_number_from_the_device() -> None:
    """The device ``meta`` has shapes and no numbers: what would wait for a GPU fails there."""
    pictures = [torch.zeros(100, 150, 4, dtype=torch.uint8), torch.zeros(80, 64, 4, dtype=torch.uint8)]
    packed = PackedPictures.taking(pictures).to(torch.device("meta"))
    canvas = packed.canvas([0, 1] * 20)
    assert canvas.levels.shape == (40, 100, 150, 4)
    batch = varied_batch(canvas, 64, EVERYTHING, Draws((1,), "meta"))
    assert [tuple(each.shape) for each in batch if each is not None] == [
        (40, 1, 64, 64),
        (40, 3, 64, 64),
        (40, 3, 64, 64),
    ]
    assert all(each.device.type == "meta" for each in batch if each is not None)


def test_prefetched_items_come_in_order_and_a_failure_is_met() -> None:
    assert list(batches.prefetched(range(5))) == [0, 1, 2, 3, 4]

    def failing() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    items = batches.prefetched(failing())
    assert next(items) == 1
    with pytest.raises(OSError, match="gone"):
        next(items)
