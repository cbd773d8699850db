"""Pictures of every kind come out as documented; broken ones and bombs fail by themselves, and never half."""

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from gauntlet import kinds
from gauntlet.arena import Arena
from gauntlet.facts import Ended, decoded
from PIL import Image

CUT = ("grey.jpg", "progressive.jpg", "toned.jpg", "grey.png", "16.png", "grey.tif", "lzw.tif", "16.tif", "pages.tif")
WITH_CODED_LUMA = {"grey.jpg", "progressive.jpg", "after.jpg", "two.mpo", "toned.jpg", "turned.jpg"}
CUT_TOO = (
    *("grey.webp", "grey.jp2", "16.jp2", "grey.gif", "grey.bmp", "grey.pgm", "grey.avif", "grey.heic", "jpeg.tif"),
    "grey.psd",
)


def placed(arena: Arena, files: "dict[str, bytes] | Any") -> None:  # noqa: ANN401
    for name, data in dict(files).items():
        (arena.source / name).write_bytes(data)


def luma_of(frame: Any) -> np.ndarray:  # noqa: ANN401 (any array of levels)
    """Return BT.601 luma in levels of the frame's own depth."""
    levels = np.asarray(frame).astype(np.float64)
    return levels if levels.ndim == 2 else levels[..., :3] @ [0.299, 0.587, 0.114]


def grey_of_jpeg(path: Path) -> np.ndarray:
    """Return the coded luma, as djpeg -grayscale gives it."""
    with Image.open(path) as image:
        image.draft("L", image.size)
        return np.asarray(image)


def failed(ended: Ended) -> dict[str, str]:
    return {name: row["reason"] for name, row in ended.rows.items() if row["status"] == "failed"}


def test_every_kind_of_the_documentation_is_coloured_and_keeps_its_luma(arena: Arena) -> None:
    pillow_heif.register_heif_opener()
    sources = kinds.whole()
    placed(arena, sources)
    ended = arena.run(codes={0})
    assert {name: status for name, status in ended.statuses.items() if status != "done"} == {}
    for name, row in ended.rows.items():
        output = arena.output / row["output"]
        before, after = decoded(arena.source / name)[0], decoded(output)[0]
        assert after.ndim == 3, name
        assert after.dtype.itemsize * 8 == row["bits"], name
        if name in WITH_CODED_LUMA:
            assert row["luma"] == "exact", name
            np.testing.assert_array_equal(grey_of_jpeg(output), grey_of_jpeg(arena.source / name), name)
        elif (
            before.dtype == after.dtype
            and before.ndim == 2
            and Path(name).stem
            not in {
                *("signed", "white-is-0", "palette", "1", "2", "4", "group3", "group4", "turned", "arithmetic"),
                "camera",
            }
        ):
            assert np.abs(luma_of(after) - before).max() <= 1, name
        if name not in {
            "1.png",
            "1.tif",
            "group3.tif",
            "group4.tif",
            "grey.pbm",
        }:  # black and white have room for no colour
            assert np.ptp(after[..., :3].astype(int), axis=-1).mean() > 0.01 * np.iinfo(after.dtype).max, name


def test_kinds_that_would_lose_something_are_refused_with_a_reason(arena: Arena) -> None:
    arena.fill(3)
    placed(arena, kinds.refused())
    ended = arena.run(codes={1})
    assert set(failed(ended)) == set(kinds.refused())
    assert all(len(reason) > 10 for reason in failed(ended).values())


@pytest.mark.parametrize("names", [CUT, CUT_TOO], ids=["most", "others"])
def test_a_picture_cut_short_is_never_coloured_in_part(arena: Arena, names: tuple[str, ...]) -> None:
    """What is still whole, because only something after the picture is missing, may be coloured."""
    sources = {name: data for name, data in kinds.whole().items() if name in names}
    placed(arena, dict(kinds.cuts(sources)))
    ended = arena.run(codes={1})
    whole = arena.root.parent / "whole"
    whole.mkdir()
    for name, data in sources.items():
        (whole / name).write_bytes(data)
    for name, row in ended.rows.items():
        if row["status"] == "done":
            before, after = decoded(whole / name[3:]), decoded(arena.output / row["output"])
            assert len(before) == len(after), name
            for one, other in zip(before, after, strict=True):
                tolerance = 3 if "jp" in name else 1
                assert np.abs(luma_of(one) - luma_of(other)).max() <= tolerance, name


@pytest.mark.parametrize("seed", range(5))
def test_five_hundred_files_with_flipped_bytes(arena: Arena, seed: int) -> None:
    placed(arena, dict(kinds.flips({**kinds.whole(), **kinds.refused()}, 150, seed)))
    arena.run("--timeout", 20, codes={0, 1})


@pytest.mark.parametrize("megapixels", [500, 100_000])
def test_bombs_fail_by_themselves_in_2_gib_of_address_space(arena: Arena, megapixels: int) -> None:
    arena.fill(5)
    placed(arena, kinds.bombs())
    ended = arena.run(
        *("--jobs", 2, "--max-megapixels", megapixels), codes={0, 1}, limits={resource.RLIMIT_AS: 2 * 2**30}
    )
    harmless = set(ended.rows) - set(kinds.bombs())
    assert not harmless & set(failed(ended))
    assert {"pixels.png", "wide.png", "pixels.gif", "pixels.jpg", "pixels.pgm", "pixels.jp2"} <= set(failed(ended))
    assert {"later-frame.tif", "later-frame.gif", "sensor.dng", "pixels.psd"} <= set(failed(ended))
    lying = ("no-height", "one-strip", "channels", "lerc", "webp", "jpegxr")
    assert {f"{name}.tif" for name in lying} <= set(failed(ended))


@pytest.mark.parametrize(
    "options",
    [("--salvage",), ("--already-color", "copy"), ("--already-color", "recolor"), ("--doubtful-color", "copy")],
)
def test_nor_do_other_options_let_broken_pictures_through_as_bugs(arena: Arena, options: tuple[str, ...]) -> None:
    placed(arena, dict(kinds.flips({**kinds.whole(), **kinds.refused()}, 130, 77)))
    arena.run(*options, codes={0, 1})
    assert arena.outputs()


def test_a_sheet_of_a_bomb_is_refused(arena: Arena) -> None:
    bombs, sheet = kinds.bombs(), arena.root / "place" / "sheet.png"
    for name in ("pixels.png", "later-frame.tif", "no-height.tif", "jpegxr.tif", "channels.tif"):
        placed(arena, {name: bombs[name]})
        arena.command(
            *("preview", "--model", arena.model, arena.source / name, "-o", sheet),
            codes={1, 2},
            limits={resource.RLIMIT_AS: 2 * 2**30},
        )
        assert not sheet.exists(), name
