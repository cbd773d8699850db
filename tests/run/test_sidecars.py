"""XMP sidecars beside sources: whose they are, and what a run makes of them."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batches import rows, run_with, tree
from helpers import LocalJob
from numpy.typing import NDArray
from PIL import Image

import colorbatch
from colorbatch.errors import UsageError
from colorbatch.formats.sidecar import MAX_SIDECAR_BYTES
from colorbatch.job import Sidecars
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.restore import restore_batch
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.retouch.made_with import Choices
from colorbatch.retouch.session import RetouchSession
from colorbatch.run import batch
from colorbatch.run.forecast import forecast
from colorbatch.run.sidecars import File, sidecars_of


def sidecar(caption: str, attributes: str = "") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        f'xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" photoshop:Headline="{caption}" {attributes}/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def says(output: Path, caption: str) -> bool:
    return f'photoshop:Headline="{caption}"'.encode() in output.read_bytes()


@pytest.fixture
def job(tmp_path: Path, model_path: Path, ramp: NDArray[np.uint8]) -> LocalJob:
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a.jpg", "b.tif", "c.png"):
        Image.fromarray(ramp).save(source / name)
    (source / "a.jpg.xmp").write_bytes(sidecar("Grandmother", 'crs:Saturation="-100"'))
    (source / "b.xmp").write_bytes(sidecar("The mill"))
    return LocalJob(source, tmp_path / "out", str(model_path), "cpu")


def test_captions_are_merged_and_the_rows_say_so(job: LocalJob) -> None:
    plain = run_with(replace(job, output=job.output.with_name("plain")), sidecars="ignore")
    found = run_with(job)
    assert says(job.output / "a.jpg", "Grandmother")
    assert says(job.output / "b.tif", "The mill")
    assert b"Saturation" not in (job.output / "a.jpg").read_bytes()
    assert [found[name]["sidecars"] for name in ("a.jpg", "b.tif", "c.png")] == [["a.jpg.xmp"], ["b.xmp"], []]
    assert (found["b.xmp"]["status"], found["b.xmp"]["reason"]) == ("skipped", "an XMP sidecar of a picture")
    assert plain["b.xmp"]["reason"] == "not a picture file name"
    assert found["c.png"]["output_sha256"] == plain["c.png"]["output_sha256"]
    with Image.open(job.output / "a.jpg") as one, Image.open(job.output.with_name("plain") / "a.jpg") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))
    grey = job.output.with_name("grey")
    restore_batch(job.output, grey)
    with Image.open(grey / "a.jpg") as one, Image.open(job.source / "a.jpg") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="ExifTool is not installed")
def test_another_program_reads_the_captions(job: LocalJob) -> None:
    for name in ("c.png", "d.webp", "e.jp2"):
        Image.open(job.source / "c.png").save(job.source / name)
        (job.source / f"{name}.xmp").write_bytes(sidecar("Grandmother"))
    (job.source / "b.xmp").write_bytes(sidecar("Grandmother"))
    run_with(job)
    told = subprocess.run(
        [
            str(shutil.which("exiftool")),
            "-json",
            "-XMP-photoshop:Headline",
            "-warning",
            *sorted(job.output.glob("?.*")),
        ],
        capture_output=True,
        check=True,
    )
    read = {Path(each["SourceFile"]).name: each.get("Headline") for each in json.loads(told.stdout)}
    assert read == dict.fromkeys(["a.jpg", "b.tif", "c.png", "d.webp", "e.jp2"], "Grandmother")


def test_outputs_made_before_there_were_sidecars_are_kept(job: LocalJob) -> None:
    """The rows of older versions have none of the fields."""
    run_with(job)
    lines = [json.loads(line) for line in (job.output / MANIFEST_NAME).read_bytes().splitlines()]
    older = [{name: value for name, value in row.items() if "sidecar" not in name} for row in lines]
    (job.output / MANIFEST_NAME).write_text("".join(json.dumps(row) + "\n" for row in older))
    for name in ("a.jpg.xmp", "b.xmp"):
        (job.source / name).unlink()
    assert batch.run_batch(job).kept == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda source: (source / "b.xmp").write_bytes(sidecar("The old mill")),
        lambda source: (source / "b.xmp").unlink(),
        lambda source: (source / "c.xmp").write_bytes(sidecar("New")),
        lambda source: (source / "b.jpg").write_bytes((source / "a.jpg").read_bytes()),  # whose is b.xmp now?
    ],
)
def test_a_changed_sidecar_makes_its_picture_again_and_no_other(job: LocalJob, change: Callable[[Path], Any]) -> None:
    run_with(job)
    assert batch.run_batch(job).kept == 3
    change(job.source)
    expected = forecast(job).counts
    found = batch.run_batch(job)
    assert (found.kept, found.failed) == (2, 0)
    assert expected["kept"] == 2
    fresh = replace(job, output=job.output.with_name("fresh"))
    run_with(fresh)
    assert tree(job.output) == tree(fresh.output)
    warnings = [{name: row["warnings"] for name, row in rows(each.output).items()} for each in (job, fresh)]
    assert warnings[0] == warnings[1]
    assert batch.run_batch(job).kept == found.done


def test_a_copy_is_beside_the_output_under_its_name_and_not_over_anything(job: LocalJob) -> None:
    Image.open(job.source / "c.png").save(job.source / "d.gif")
    (job.source / "d.gif.xmp").write_bytes(sidecar("As a GIF"))
    found = run_with(job, sidecars="copy")
    assert (job.output / "a.jpg.xmp").read_bytes() == (job.source / "a.jpg.xmp").read_bytes()
    assert (job.output / "b.tif.xmp").read_bytes() == (job.source / "b.xmp").read_bytes()
    assert (job.output / "d.gif.png.xmp").read_bytes() == (job.source / "d.gif.xmp").read_bytes()
    assert not says(job.output / "b.tif", "The mill")
    assert found["b.tif"]["sidecar_output"] == "b.tif.xmp"
    assert found["b.tif"]["sidecar_output_sha256"] == hashlib.sha256((job.source / "b.xmp").read_bytes()).hexdigest()
    copying = replace(job, sidecars="copy")
    assert batch.run_batch(copying).kept == 4
    (job.output / "b.tif.xmp").unlink()
    assert batch.run_batch(copying).kept == 3
    (job.source / "b.xmp").write_bytes(sidecar("Changed"))
    assert run_with(copying)["b.tif"]["warnings"] == []
    assert says(job.output / "b.tif.xmp", "Changed")
    run_with(job)  # merged now: the copies stay, on record
    assert says(job.output / "b.tif", "Changed")
    assert rows(job.output)["b.tif"]["sidecar_output"] == "b.tif.xmp"
    (job.output / "b.tif.xmp").write_bytes(b"mine")
    assert not audit_batch(job.output).is_sound
    batch.run_batch(copying)
    assert (job.output / "b.tif.xmp").read_bytes() == b"mine"
    assert "was not copied: a file that colorbatch did not make" in str(rows(job.output)["b.tif"]["warnings"])


def test_the_copy_of_a_run_that_was_killed_before_its_row_is_taken_for_ours(job: LocalJob) -> None:
    run_with(job, sidecars="copy")
    (job.output / MANIFEST_NAME).unlink()
    found = run_with(job, sidecars="copy")
    assert found["a.jpg"]["sidecar_output"] == "a.jpg.xmp"
    assert found["a.jpg"]["warnings"] == []


@pytest.mark.parametrize(
    ("hostile", "warning"),
    [
        (b"<x", "it is no XMP"),
        (b'<!DOCTYPE x [<!ENTITY a "aaa">]>' + sidecar("&a;"), "it is no XMP"),
        (b" " * (MAX_SIDECAR_BYTES + 1), "it is larger than 4 MiB"),
    ],
)
@pytest.mark.parametrize("sidecars", ["merge", "copy"])
def test_a_hostile_sidecar_is_a_warning_and_the_picture_is_made(
    job: LocalJob, hostile: bytes, warning: str, sidecars: Sidecars
) -> None:
    (job.source / "a.jpg.xmp").write_bytes(hostile)
    found = run_with(job, sidecars=sidecars)
    assert found["a.jpg"]["status"] == "done"
    if sidecars == "copy" and len(hostile) < 1000:  # a copy is a copy
        assert (job.output / "a.jpg.xmp").read_bytes() == hostile
        return
    assert [warning in each for each in found["a.jpg"]["warnings"]] == [True]
    assert found["a.jpg"]["sidecars"] == []
    assert batch.run_batch(replace(job, sidecars=sidecars)).kept == 3


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_sidecar_that_may_not_be_read_is_a_warning(job: LocalJob) -> None:
    (job.source / "a.jpg.xmp").chmod(0)
    found = run_with(job)
    assert "cannot read it" in found["a.jpg"]["warnings"][0]


def belonging(files: dict[str, list[str]], pictures: list[str]) -> None:
    found = sidecars_of(pictures, [File(name, name) for name in files])
    assert {
        name: sorted(p for p in pictures if any(s.name == name for s in found.get(p, ()))) for name in files
    } == files


def test_whose_a_sidecar_is() -> None:
    belonging({"a.jpg.xmp": ["a.jpg"], "a.xmp": ["a.jpg", "a.tif"]}, ["a.jpg", "a.tif", "b/a.jpg"])
    belonging({"a.jpg.xmp": ["a.jpg"]}, ["a.jpg", "a.jpg.png"])
    belonging({"a.jpg.xmp": ["a.jpg.png"]}, ["a.jpg.png"])
    belonging({"IMG_1.XMP": ["img_1.CR2"], "B.JPG.xmp": ["b.jpg"]}, ["img_1.CR2", "b.jpg"])
    belonging({"a.jpg.xmp": ["a.jpg"], "A.jpg.xmp": ["A.jpg"]}, ["a.jpg", "A.jpg"])
    belonging({"u\u0308.xmp": ["ü.jpg"]}, ["ü.jpg"])


def test_a_sidecar_of_several_pictures_is_that_of_the_one_it_names(job: LocalJob) -> None:
    (job.source / "b.jpg").write_bytes((job.source / "a.jpg").read_bytes())
    found = run_with(job)
    for name, other in (("b.jpg", "b.tif"), ("b.tif", "b.jpg")):
        assert found[name]["warnings"] == [
            f"the sidecar b.xmp was not used: it could be for {other} too; name it {name}.xmp to say that it is for "
            "this one"
        ]
        assert not says(job.output / name, "The mill")
    (job.source / "b.xmp").write_bytes(sidecar("The mill", 'photoshop:SidecarForExtension="TIF"'))
    found = run_with(job)
    assert (found["b.jpg"]["warnings"], found["b.tif"]["warnings"]) == ([], [])
    assert (says(job.output / "b.jpg", "The mill"), says(job.output / "b.tif", "The mill")) == (False, True)


def test_a_sidecar_is_that_of_a_raw_file_rather_than_of_a_jpeg_beside_it(job: LocalJob) -> None:
    (job.source / "b.nef").write_bytes(b"whatever")
    (job.source / "b.tif").unlink()
    (job.source / "b.jpg").write_bytes((job.source / "a.jpg").read_bytes())
    batch.run_batch(job)
    assert rows(job.output)["b.jpg"]["sidecars"] == []
    assert rows(job.output)["b.jpg"]["warnings"] == []


def test_a_sidecar_for_a_picture_that_is_not_there_is_a_warning(job: LocalJob) -> None:
    (job.source / "b.xmp").write_bytes(sidecar("The mill", 'photoshop:SidecarForExtension="NEF"'))
    assert run_with(job)["b.tif"]["warnings"] == ["the sidecar b.xmp was not used: it says that it is for .nef"]


def test_two_sidecars_of_one_picture_are_both_read_the_more_exactly_named_first(job: LocalJob) -> None:
    (job.source / "a.xmp").write_bytes(sidecar("Other", 'photoshop:City="Berlin"'))
    found = run_with(job)
    assert found["a.jpg"]["sidecars"] == ["a.jpg.xmp", "a.xmp"]
    assert says(job.output / "a.jpg", "Grandmother")
    assert b'photoshop:City="Berlin"' in (job.output / "a.jpg").read_bytes()


def test_hidden_and_excluded_sidecars_are_not_used(job: LocalJob) -> None:
    (job.source / "._c.png.xmp").write_bytes(sidecar("Finder"))
    found = run_with(job, exclude=("b.xmp",))
    assert found["c.png"]["sidecars"] == []
    assert found["b.tif"]["sidecars"] == []


def test_the_json_of_a_takeout_is_left_alone(job: LocalJob) -> None:
    (job.source / "c.png.json").write_text('{"description": "x"}')
    assert run_with(job)["c.png.json"]["reason"] == "not a picture file name"


@pytest.mark.parametrize("changes", [{"engine": "processes", "jobs": 1}, {"shard": colorbatch.Shard(1, 1)}])
def test_every_way_to_run_gives_the_same_bytes(job: LocalJob, changes: dict[str, Any]) -> None:
    run_with(job)
    other = replace(job, output=job.output.with_name("other"), **changes)
    batch.run_batch(other)
    one, another = tree(job.output), tree(other.output)
    assert {name: data for name, data in another.items() if not name.startswith(".colorbatch")} == one


def test_several_files_and_one_file_give_the_same_bytes_as_their_folder(job: LocalJob) -> None:
    run_with(job)
    files = replace(job, files=frozenset({"a.jpg", "b.tif"}), output=job.output.with_name("files"))
    batch.run_batch(files)
    single = replace(job, source=job.source / "a.jpg", output=job.output.with_name("single"))
    batch.run_batch(single)
    made = job.output.with_name("a.jpg")
    row = colorbatch.colorize_file(job.source / "a.jpg", made, job.model)
    expected = (job.output / "a.jpg").read_bytes()
    for path in (files.output / "a.jpg", single.output / "a.jpg", made):
        assert path.read_bytes() == expected, path
    assert (files.output / "b.tif").read_bytes() == (job.output / "b.tif").read_bytes()
    assert list(row.sidecars) == ["a.jpg.xmp"]
    assert batch.run_batch(files).kept == 2
    assert batch.run_batch(single).kept == 1


def test_one_file_copies_its_sidecar_and_overwrites_nothing(job: LocalJob, tmp_path: Path) -> None:
    made, copy = tmp_path / "made.jpg", tmp_path / "made.jpg.xmp"
    row = colorbatch.colorize_file(job.source / "a.jpg", made, job.model, sidecars="copy")
    assert copy.read_bytes() == (job.source / "a.jpg.xmp").read_bytes()
    assert row.sidecar_output == "made.jpg.xmp"
    copy.write_bytes(b"mine")
    made.unlink()
    with pytest.raises(UsageError, match="already exists"):
        colorbatch.colorize_file(job.source / "a.jpg", made, job.model, sidecars="copy")
    assert not made.exists()
    assert copy.read_bytes() == b"mine"


def test_a_picture_in_colour_that_is_copied_is_not_given_a_caption(colour_source: Path, job: LocalJob) -> None:
    (colour_source / "colour.png.xmp").write_bytes(sidecar("Red"))
    found = run_with(job, source=colour_source, already_color="copy")
    assert found["colour.png"]["output_sha256"] == found["colour.png"]["input_sha256"]
    assert found["colour.png"]["warnings"] == ["its sidecar was not merged, since the picture is copied unchanged"]


def test_the_retouch_page_makes_the_same_bytes(job: LocalJob) -> None:
    run_with(job)
    before = tree(job.output)
    session = RetouchSession(job.source, job.output, Choices(model=str(job.model)))
    try:
        line = session.line("a.jpg", 1)
        assert session.save([replace(line, strength=0.5)], 1).made
        assert says(job.output / "a.jpg", "Grandmother")
        assert session.save([line], 1).made
    finally:
        session.close()
    assert {name: data for name, data in tree(job.output).items() if "retouch" not in name} == before
