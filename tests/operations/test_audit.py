import hashlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers import SAMPLES, LocalJob, small_model
from PIL import Image, ImageDraw

from colorbatch.errors import UsageError
from colorbatch.formats import decode, encode
from colorbatch.operations.audit import Audit, audit_batch
from colorbatch.pixels.picture import Frame, Picture
from colorbatch.records.manifest import MANIFEST_NAME, Manifest
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.run import batch, colorize
from colorbatch.store import open_store


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    """Return a finished job over pictures of many kinds, a broken one, one in colour and a text among them."""
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    slope = np.linspace(0, 255, 60, dtype=np.uint8)[None].repeat(40, axis=0)
    Image.fromarray(slope).save(source / "a.jpg", quality=60)
    Image.merge("LA", (Image.fromarray(slope), Image.fromarray(slope.T.copy()).resize((60, 40)))).save(source / "b.png")
    with tifffile.TiffWriter(source / "sub" / "c.tif") as writer:
        writer.write(slope)
        writer.write(slope[::2].astype(np.uint16) * 200)
    Image.fromarray(slope).save(source / "d.gif")
    Image.open(SAMPLES / "still_life" / "coffee.png").convert("L").save(source / "e.webp", quality=70)
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (source / "notes.txt").write_text("of 1931")
    quarters = np.zeros((40, 60, 3), np.uint8)
    quarters[:20, :, 0], quarters[20:, :, 1], quarters[:, 30:, 2] = 200, 102, 90
    Image.fromarray(quarters).save(source / "colour.png")
    done = LocalJob(source, tmp_path / "out", str(model_path), "cpu", already_color="copy")
    batch.run_batch(done)
    return done


def problems(found: Audit) -> dict[str, str]:
    return {finding.path: finding.problem for finding in found.findings}


def test_a_finished_folder_is_sound(job: LocalJob) -> None:
    found = audit_batch(job.output, job.source)
    assert found.findings == []
    assert (found.rows, found.done, found.skipped, found.failed) == (8, 6, 1, 1)
    assert (found.marked, found.unmarked, found.luma_compared) == (5, 1, 5)
    assert 0 < found.largest_luma_difference < 10
    assert audit_batch(job.output).luma_compared == 0


def test_scanned_text_in_a_poor_jpeg_is_sound(tmp_path: Path, model_path: Path) -> None:
    """Where nearly every block is cut off at white, encoding again changes luma; grey alone would change as much."""
    source = tmp_path / "in"
    source.mkdir()
    page = Image.new("L", (600, 400), 255)
    for line in range(0, 400, 12):
        ImageDraw.Draw(page).text((5, line), "The quick brown fox jumps over the lazy dog 0123456789" * 2, fill=0)
    page.save(source / "page.jpg", quality=30)
    job = LocalJob(source, tmp_path / "out", str(model_path), "cpu", jpeg_luma="reencoded")
    batch.run_batch(job)
    found = audit_batch(job.output, source)
    assert found.is_sound
    assert found.largest_luma_difference > 20
    batch.run_batch(replace(job, jpeg_luma="exact"))
    found = audit_batch(job.output, source)
    assert found.is_sound
    assert (found.luma_handed_on, found.largest_luma_difference) == (1, 0)


def test_lossless_jpegs_have_no_table_to_compare(tmp_path: Path, model_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    slope = np.linspace(0, 255, 60, dtype=np.uint8)[None].repeat(40, axis=0)
    (source / "lossless.jpg").write_bytes(imagecodecs.ljpeg_encode(slope))
    job = LocalJob(source, tmp_path / "out", str(model_path), "cpu")
    batch.run_batch(job)
    found = audit_batch(job.output, source)
    assert found.is_sound
    assert (found.luma_compared, found.luma_handed_on) == (1, 0)


def test_masks_and_extra_channels_are_compared_bit_for_bit(tmp_path: Path, model_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    slope = np.linspace(0, 255, 60, dtype=np.uint8)[None].repeat(40, axis=0)
    with tifffile.TiffWriter(source / "mask.tif") as writer:
        writer.write(slope, metadata=None)
        writer.write(slope > 99, photometric="minisblack", subfiletype=4, metadata=None)
    extra = np.dstack([slope, slope[:, ::-1]])
    tifffile.imwrite(source / "extra.tif", extra, photometric="minisblack", planarconfig="contig", extrasamples=[0])
    job = LocalJob(source, tmp_path / "out", str(model_path), "cpu")
    batch.run_batch(job)
    assert audit_batch(job.output, source).is_sound
    for name, page, position in (("mask.tif", 1, 9), ("extra.tif", 0, 4 * 9 + 3)):
        output = bytearray((job.output / name).read_bytes())
        with tifffile.TiffFile(job.output / name) as file:
            output[file.pages[page].dataoffsets[0] + position] ^= 1
        (job.output / name).write_bytes(output)
    manifest = job.output / MANIFEST_NAME
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for row in rows:
        row["output_sha256"] = hashlib.sha256((job.output / row["output"]).read_bytes()).hexdigest()
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert problems(audit_batch(job.output, source)) == {
        "mask.tif": "its masks are not the source's",
        "extra.tif": "its extra channel is not the source's",
    }


def test_what_was_altered_removed_or_added_is_found(job: LocalJob) -> None:
    (job.output / "a.jpg").unlink()
    (job.output / "b.png").write_bytes(b"other")
    (job.output / "stray.jpg").write_bytes(b"new")
    assert problems(audit_batch(job.output)) == {
        "a.jpg": "the output cannot be read: No such file or directory",
        "b.png": "the output was altered after it was made",
        "stray.jpg": "it is not in the manifest",
    }


def test_links_in_the_output_and_lines_that_are_no_rows_are_found(job: LocalJob) -> None:
    (job.output / "link").symlink_to(job.source, target_is_directory=True)
    manifest = job.output / MANIFEST_NAME
    manifest.write_bytes(manifest.read_bytes() + manifest.read_bytes().splitlines()[0] + b"\n")
    assert problems(audit_batch(job.output)) == {
        "link": "it is not in the manifest",
        MANIFEST_NAME: "some lines are not rows, or a source has several rows",
    }


def forged(job: LocalJob, name: str, data: bytes) -> None:
    """Put other bytes in the place of an output, and their hash into its row."""
    manifest = job.output / MANIFEST_NAME
    before = hashlib.sha256((job.output / name).read_bytes()).hexdigest()
    (job.output / name).write_bytes(data)
    manifest.write_text(manifest.read_text().replace(before, hashlib.sha256(data).hexdigest()))


def test_another_alpha_another_size_and_a_missing_mark_are_found(job: LocalJob) -> None:
    picture = decode((job.output / "b.png").read_bytes())
    assert picture.first.alpha is not None
    frame = replace(picture.first, alpha=255 - picture.first.alpha)
    forged(job, "b.png", encode(replace(picture, frames=(frame,))))
    webp = decode((job.output / "e.webp").read_bytes())
    forged(job, "e.webp", encode(replace(webp, frames=(replace(webp.first, pixels=webp.first.pixels[1:].copy()),))))
    bare = replace(picture.first, metadata=replace(picture.first.metadata, xmp=b""))
    gif = decode((job.output / "d.gif.png").read_bytes())
    forged(job, "d.gif.png", encode(replace(gif, frames=(replace(gif.first, metadata=bare.metadata),))))
    found = problems(audit_batch(job.output, job.source))
    assert found["b.png"] == "its alpha is not the source's"
    assert found["e.webp"].startswith("the pages are [(")
    assert found["d.gif.png"] == "its metadata does not state that a model made its colours"


def test_pictures_that_a_stopped_run_left_are_found(job: LocalJob) -> None:
    stop = threading.Event()
    stop.set()
    again = replace(job, output=job.output.with_name("again"))
    batch.run_batch(again, stop=stop)
    assert {finding.problem for finding in audit_batch(again.output).findings} == {"not coloured yet"}


def test_a_source_that_failed_this_time_is_not_said_to_be_altered(job: LocalJob, tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(small_model((float("nan"), 0.0)).SerializeToString())
    assert batch.run_batch(replace(job, model=str(bad))).failed == 6
    assert audit_batch(job.output, job.source).is_sound


def test_a_source_that_changed_or_came_or_went_is_found(job: LocalJob) -> None:
    (job.source / "a.jpg").write_bytes((job.source / "a.jpg").read_bytes() + b"x")
    (job.source / "d.gif").unlink()
    (job.source / "new.png").write_bytes(b"")
    found = problems(audit_batch(job.output, job.source))
    assert found == {
        "a.jpg": "the source a.jpg was altered after the output was made",
        "d.gif": "it is in the manifest, but not in the source",
        "d.gif.png": "the source d.gif cannot be read: No such file or directory",
        "new.png": "it is in the source, but not in the manifest",
    }


@pytest.mark.parametrize("name", ["a.jpg", "b.png", "sub/c.tif", "e.webp"])
def test_luma_that_is_not_the_source_s_is_found(job: LocalJob, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that shifts luma by 6 levels of 255 between decoding and encoding."""

    def shifted(picture: Picture) -> bytes:
        def of(frame: Frame) -> Frame:
            step = frame.pixels.max() // 40
            return replace(frame, pixels=np.clip(frame.pixels, step, None) - step.astype(frame.pixels.dtype))

        return encode(replace(picture, frames=tuple(map(of, picture.frames))))

    monkeypatch.setattr(colorize, "encode", shifted)
    again = replace(job, output=job.output.with_name("again"), jpeg_luma="reencoded")
    batch.run_batch(again)
    assert problems(audit_batch(again.output, job.source))[name].startswith("its luma is not the source's")


def test_an_output_without_the_mark_it_should_have_is_found(job: LocalJob) -> None:
    again = replace(job, output=job.output.with_name("again"), digital_source_type=None)
    batch.run_batch(again)
    assert audit_batch(again.output).unmarked == 6
    manifest = again.output / MANIFEST_NAME
    text = manifest.read_text().replace(
        '"digital_source_type": null', '"digital_source_type": "algorithmicallyEnhanced"'
    )
    manifest.write_text(text)
    found = audit_batch(again.output)
    assert {finding.problem for finding in found.findings} == {
        "its metadata does not state that a model made its colours"
    }
    assert len(found.findings) == 5


def test_an_unfinished_run_is_found(job: LocalJob) -> None:
    (job.output / STATE_FOLDER).mkdir()
    (job.output / STATE_FOLDER / "journal.jsonl").touch()
    assert problems(audit_batch(job.output))[MANIFEST_NAME] == "a run was killed: run it again first"
    with Manifest(open_store(job.output), purpose="retouching"):
        found = problems(audit_batch(job.output))[MANIFEST_NAME]
    assert found.startswith(f"in use by process {os.getpid()} on ")
    assert ", retouching, since " in found
    assert found.endswith(": wait until that has ended")


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no colorbatch-manifest"):
        audit_batch(tmp_path)
