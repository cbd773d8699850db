import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from batches import rows
from helpers import ORANGE, hinted_model, vivid_model
from PIL import Image

import colorbatch
from colorbatch.errors import (
    OutputUnwritableError,
    UnreadablePictureError,
    UnsupportedPictureError,
    UsageError,
)
from colorbatch.formats import mark
from colorbatch.inference.colorizer import Colorizer
from colorbatch.location import LocationLike
from colorbatch.operations import one_file
from colorbatch.pixels import color


class Named:
    """Something that stands for a path and is none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "scan.jpg"
    path.parent.mkdir()
    Image.linear_gradient("L").resize((90, 60)).save(path)
    return path


def in_color(folder: Path) -> Path:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32, :, 0], pixels[32:, :, 1], pixels[:, 32:, 2] = 200, 102, 90
    Image.fromarray(pixels).save(folder / "colour.png")
    return folder / "colour.png"


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


@pytest.mark.parametrize("given", [str, Path, Named])
@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
def test_the_bytes_are_those_of_a_run(
    scan: Path, tmp_path: Path, model_path: Path, given: Callable[[Path], LocationLike], kind: str
) -> None:
    source, output = scan.with_suffix(f".{kind}"), tmp_path / "new" / f"other.{kind}"
    Image.open(scan).save(source)
    row = colorbatch.colorize_file(given(source), given(output), colorbatch.open_model(model_path))
    colorbatch.run_batch(colorbatch.BatchJob(source, tmp_path / "out", model_path))
    assert output.read_bytes() == (tmp_path / "out" / source.name).read_bytes()
    assert (row.input, row.output, row.status, row.width, row.height) == (source.name, output.name, "done", 90, 60)
    assert names(output.parent) == [output.name]


def test_the_extension_decides_the_format(scan: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    for extension, kind in (("png", "PNG"), ("TIFF", "TIFF"), ("webp", "WEBP"), ("jp2", "JPEG2000"), ("jpeg", "JPEG")):
        output = tmp_path / f"a.{extension}"
        row = colorbatch.colorize_file(scan, output, colorizer)
        with Image.open(output) as image:
            assert image.format == kind
            rgb = np.asarray(image.convert("RGB"))
        grey = np.asarray(Image.open(scan)).astype(int)
        luma = np.asarray(Image.fromarray(rgb).convert("L")).astype(int)
        assert abs(luma - grey).max() <= 1
        chroma = color.chroma_of(rgb)[:, 20:40, 20:40]
        np.testing.assert_allclose(chroma.mean(axis=(1, 2)), ORANGE, atol=0.06)
        assert row.luma == ("exact" if kind == "JPEG" else "rounded")
        assert mark.is_made_of(colorbatch.decode(output.read_bytes()).first.metadata.xmp, "scan.jpg")


def test_outputs_of_two_formats_have_other_identifiers(scan: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    rows = [colorbatch.colorize_file(scan, tmp_path / name, colorizer) for name in ("a.jpg", "a.png", "a.tif")]
    assert len({row.settings_sha256 for row in rows}) == 3


def test_a_scan_of_16_bits_becomes_a_jpeg_with_a_warning(tmp_path: Path, colorizer: Colorizer) -> None:
    levels = np.tile(np.linspace(0, 65535, 80).astype(np.uint16), (40, 1))
    tifffile.imwrite(tmp_path / "a.tif", levels, photometric="minisblack")
    row = colorbatch.colorize_file(tmp_path / "a.tif", tmp_path / "a.jpg", colorizer)
    assert row.warnings == ("its 16 bits per channel became 8: JPEG has no more",)
    assert (row.bits, row.luma) == (8, "reencoded")
    shown = np.asarray(Image.open(tmp_path / "a.jpg").convert("L")).astype(float)
    assert abs(shown - levels / 257).max() < 4


def test_pages_that_a_format_cannot_hold_leave_nothing_behind(tmp_path: Path, colorizer: Colorizer) -> None:
    page = Image.linear_gradient("L")
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    with pytest.raises(UnsupportedPictureError, match="JPEG cannot hold its 2 pages"):
        colorbatch.colorize_file(tmp_path / "a.tif", tmp_path / "new" / "a.jpg", colorizer)
    assert names(tmp_path) == ["a.tif", "small.onnx"]


def test_an_existing_file_is_left_unless_it_may_be_overwritten(
    scan: Path, tmp_path: Path, colorizer: Colorizer
) -> None:
    output = tmp_path / "a.jpg"
    output.write_bytes(b"mine")
    with pytest.raises(UsageError, match="already exists") as refused:
        colorbatch.colorize_file(scan, output, colorizer)
    assert "--overwrite" in refused.value.advice
    assert output.read_bytes() == b"mine"
    colorbatch.colorize_file(scan, output, colorizer, overwrite=True)
    assert output.read_bytes()[:2] == b"\xff\xd8"


def test_it_may_be_repeated(scan: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    output = tmp_path / "a.jpg"
    colorbatch.colorize_file(scan, output, colorizer)
    before = (output.stat(), tmp_path.stat())
    assert colorbatch.colorize_file(scan, output, colorizer).status == "done"
    assert (output.stat(), tmp_path.stat()) == before  # not even a temporary file was written


def test_a_file_that_appears_meanwhile_is_left(
    scan: Path, tmp_path: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a.jpg"
    output.write_bytes(b"mine")
    monkeypatch.setattr("colorbatch.store.local.LocalStore.state", lambda *_: None)
    with pytest.raises(UsageError, match="already exists"):
        colorbatch.colorize_file(scan, output, colorizer)
    assert output.read_bytes() == b"mine"
    assert names(tmp_path) == ["a.jpg", "in", "small.onnx"]


def test_the_source_is_never_written_to(scan: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    before = scan.read_bytes()
    soft, hard = tmp_path / "soft.jpg", tmp_path / "hard.jpg"
    soft.symlink_to(scan)
    hard.hardlink_to(scan)
    for output in (scan, scan.parent / ".." / "in" / "scan.jpg", soft, hard):
        with pytest.raises(UsageError, match="is the source, or a link to it"):
            colorbatch.colorize_file(scan, output, colorizer, overwrite=True)
    assert scan.read_bytes() == before
    assert soft.is_symlink()
    assert hard.samefile(scan)


def test_a_link_is_replaced_not_followed(scan: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    other, link = tmp_path / "other.jpg", tmp_path / "link.jpg"
    colorbatch.colorize_file(scan, other, colorizer)
    before = other.read_bytes()
    link.symlink_to(other)
    with pytest.raises(UsageError, match="already exists"):
        colorbatch.colorize_file(scan, link, colorizer)
    colorbatch.colorize_file(scan, link, colorizer, overwrite=True, digital_source_type=None)
    assert not link.is_symlink()
    assert other.read_bytes() == before


def test_a_picture_in_colour_is_skipped_or_copied(tmp_path: Path, colorizer: Colorizer) -> None:
    source = in_color(tmp_path)
    row = colorbatch.colorize_file(source, tmp_path / "a.png", colorizer)
    assert (row.status, row.reason, row.output) == ("skipped", "it is in colour already", None)
    assert not (tmp_path / "a.png").exists()
    row = colorbatch.colorize_file(source, tmp_path / "a.png", colorizer, already_color="copy")
    assert (row.status, row.output) == ("done", "a.png")
    assert (tmp_path / "a.png").read_bytes() == source.read_bytes()
    with pytest.raises(UnsupportedPictureError, match="a copy of it cannot become JPEG"):
        colorbatch.colorize_file(source, tmp_path / "a.jpg", colorizer, already_color="copy")
    assert colorbatch.colorize_file(source, tmp_path / "a.jpg", colorizer, already_color="recolor").status == "done"


def test_the_time_of_the_source_is_preserved_if_asked_for(scan: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    os.utime(scan, (10**9, 10**9))
    colorbatch.colorize_file(scan, tmp_path / "a.jpg", colorizer, preserve_times=True)
    colorbatch.colorize_file(scan, tmp_path / "b.jpg", colorizer)
    assert (tmp_path / "a.jpg").stat().st_mtime == 10**9
    assert (tmp_path / "b.jpg").stat().st_mtime > 10**9


@pytest.mark.parametrize(
    ("source", "output", "error", "message"),
    [
        ("none.jpg", "a.jpg", UsageError, "none.jpg is no regular file"),
        ("in", "a.jpg", UsageError, "in is no regular file"),
        ("in/scan.jpg", "a.gif", UsageError, "is none that is written"),
        ("in/scan.jpg", "a", UsageError, "is none that is written"),
        ("in/scan.jpg", "folder.jpg", UsageError, "is a folder"),
        ("in/scan.jpg", "loop.jpg/a.jpg", UsageError, "cannot access"),
        ("in/scan.jpg", "in/scan.jpg/a.jpg", UsageError, "cannot access"),
        ("in/scan.jpg", "/proc/none/a.jpg", OutputUnwritableError, "cannot write"),
        ("broken.jpg", "a.jpg", UnreadablePictureError, "damaged or truncated"),
        ("empty.jpg", "a.jpg", UnreadablePictureError, "the file is empty"),
        ("pipe.jpg", "a.jpg", UsageError, "pipe.jpg is no regular file"),
    ],
)
def test_each_failure_is_told_and_leaves_nothing(
    scan: Path,
    tmp_path: Path,
    colorizer: Colorizer,
    source: str,
    output: str,
    error: type[colorbatch.ColorbatchError],
    message: str,
) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "broken.jpg").write_bytes(scan.read_bytes()[:300])
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    before = names(tmp_path)
    with pytest.raises(error, match=message):
        colorbatch.colorize_file(tmp_path / source, tmp_path / output, colorizer)
    assert names(tmp_path) == before


def test_a_file_of_a_store_becomes_one_here(scan: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe("/one_file/scan.jpg", scan.read_bytes())
    row = colorbatch.colorize_file("memory://one_file/scan.jpg", tmp_path / "a.jpg", colorizer)
    colorbatch.colorize_file(scan, tmp_path / "b.jpg", colorizer)
    assert row.input == "scan.jpg"
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    with pytest.raises(UsageError, match="is in a store"):
        colorbatch.colorize_file(scan, "memory://one_file/a.jpg", colorizer)
    with pytest.raises(UsageError, match="is no regular file"):
        colorbatch.colorize_file("memory://one_file/none.jpg", tmp_path / "c.jpg", colorizer)


def test_too_little_memory_fails_the_picture(
    scan: Path, tmp_path: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(one_file, "colorize_source", too_much)
    with pytest.raises(colorbatch.ColorbatchError, match="not enough memory") as failed:
        colorbatch.colorize_file(scan, tmp_path / "a.jpg", colorizer)
    assert failed.value.exit_code == 1


def test_hints_are_the_colours_of_the_file_and_its_mark_says_so(tmp_path: Path) -> None:
    """Expected: Cb and Cr of the colour as Pillow converts it; the model gives every pixel the chroma of its hint."""
    model = tmp_path / "hinted.onnx"
    model.write_bytes(hinted_model().SerializeToString())
    source, output = tmp_path / "a.png", tmp_path / "out.png"
    Image.new("L", (40, 30), 128).save(source)
    row = colorbatch.colorize_file(
        source, output, colorbatch.open_model(model), hints=[colorbatch.Hint(0.5, 0.5, "#408048", 0.5)]
    )
    with Image.open(output) as image:
        found = np.asarray(image.convert("YCbCr"), int)[15, 20]
    assert (
        np.abs(found[1:] - np.asarray(Image.new("RGB", (1, 1), "#408048").convert("YCbCr"), int)[0, 0, 1:]).max() <= 1
    )
    assert b"coloured by a model, with 1 hint of a person" in output.read_bytes()
    assert row.retouch_sha256 is not None


@pytest.mark.parametrize("chosen", [{}, {"strength": 0.5, "tta": True}, {"vividness": 0.75, "working_size": 64}])
def test_the_settings_of_its_row_are_those_of_a_run(tmp_path: Path, chosen: dict[str, Any]) -> None:
    model = tmp_path / "vivid.onnx"
    model.write_bytes(vivid_model().SerializeToString())
    source = tmp_path / "a.png"
    Image.new("L", (40, 30), 128).save(source)
    options = colorbatch.ColorOptions(**chosen)
    opened = colorbatch.open_model(model, options=options)
    row = colorbatch.colorize_file(source, tmp_path / "one.png", opened)
    colorbatch.run_batch(colorbatch.BatchJob(source, tmp_path / "out", model, options=options))
    (of_run,) = rows(tmp_path / "out").values()
    assert row.settings == of_run["settings"] == chosen
    assert row.settings_sha256 == of_run["settings_sha256"]
