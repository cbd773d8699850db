"""The mark in the outputs of a run, read by ExifTool where that is installed."""

import hashlib
import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers import LocalJob
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from colorbatch.formats import decode
from colorbatch.formats.mark import digital_source_type
from colorbatch.records.manifest import rows_of
from colorbatch.run import batch, colorize
from colorbatch.store import open_store

COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
NAMES = ("a.jpg", "b.png", "c.tif", "d.webp", "e.jp2", "f.gif", "g.png", "h.jpg")
TITLE = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:o="http://archive.example/" '
    'o:shelf="7/b"><dc:title><rdf:Alt><rdf:li xml:lang="x-default">Großmutter</rdf:li></rdf:Alt></dc:title>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
).encode()

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="ExifTool is not installed")


@pytest.fixture
def job(tmp_path: Path, model_path: Path, ramp: NDArray[np.uint8]) -> LocalJob:
    """Return a job over one picture of each format, all but the last two with XMP."""
    source = tmp_path / "in"
    source.mkdir()
    grey = Image.fromarray(ramp)
    grey.save(source / "a.jpg", xmp=TITLE)
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", TITLE.decode())
    grey.save(source / "b.png", pnginfo=info)
    with tifffile.TiffWriter(source / "c.tif") as writer:
        for bits in (np.uint8, np.uint16):
            writer.write(ramp.astype(bits), extratags=[(700, 1, len(TITLE), TITLE, True)], metadata=None)
    grey.save(source / "d.webp", lossless=True, xmp=TITLE)
    uuid = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    box = (24 + len(TITLE)).to_bytes(4, "big") + b"uuid" + uuid + TITLE
    (source / "e.jp2").write_bytes(imagecodecs.jpeg2k_encode(ramp, level=0, codecformat="jp2") + box)
    grey.save(source / "f.gif")
    grey.save(source / "g.png")
    grey.save(source / "h.jpg", xmp=b"<x:xmpmeta>torn")
    return LocalJob(source, tmp_path / "out", str(model_path), "cpu")


def exiftool(path: Path) -> dict[str, Any]:
    command = ["exiftool", "-j", "-G1", "-struct", "-n", str(path)]
    found = subprocess.run(command, capture_output=True, check=True)
    facts: dict[str, Any] = json.loads(found.stdout)[0]
    return facts


@needs_exiftool
def test_exiftool_finds_the_mark_beside_what_was_there(job: LocalJob) -> None:
    assert batch.run_batch(job).done == len(NAMES)
    rows = rows_of(open_store(job.output))
    for name in NAMES:
        found = exiftool(job.output / str(rows[name].output))
        assert "ExifTool:Warning" not in found, name
        assert found["XMP-iptcExt:DigitalSourceType"].endswith("/" + COMPOSITE)
        assert found["XMP-iptcExt:AISystemUsed"] == "colorbatch, model small"
        assert rows[name].input_sha256 in found["XMP-dc:Source"]
        assert found["XMP-xmpMM:DerivedFrom"]["FilePath"] == name
        assert found["XMP-xmp:CreatorTool"].startswith("colorbatch ")
        assert found["XMP-xmpMM:History"][-1]["Action"] == "derived"
        if name in NAMES[:5]:
            assert found["XMP-dc:Title"] == {"x-default": "Großmutter"} or found["XMP-dc:Title"] == "Großmutter"
            assert found["XMP-o:Shelf"] == "7/b"


def test_every_frame_is_marked_and_the_manifest_says_how(job: LocalJob) -> None:
    batch.run_batch(replace(job, digital_source_type="algorithmicallyEnhanced"))
    rows = rows_of(open_store(job.output))
    assert {row.digital_source_type for row in rows.values()} == {"algorithmicallyEnhanced"}
    picture = decode((job.output / "c.tif").read_bytes())
    assert [frame.bits for frame in picture.frames] == [8, 16]
    for frame in picture.frames:
        assert digital_source_type(frame.metadata.xmp) == "algorithmicallyEnhanced"


def test_torn_xmp_is_a_warning_and_the_mark_is_there(job: LocalJob) -> None:
    batch.run_batch(job)
    (warning,) = rows_of(open_store(job.output))["h.jpg"].warnings
    assert warning.startswith("damaged XMP was dropped")
    assert digital_source_type(decode((job.output / "h.jpg").read_bytes()).first.metadata.xmp) == COMPOSITE


def test_without_the_mark_xmp_is_as_it_was_and_the_manifest_says_so(job: LocalJob) -> None:
    batch.run_batch(replace(job, digital_source_type=None))
    rows = rows_of(open_store(job.output))
    assert {(row.digital_source_type, row.reason) for row in rows.values()} == {(None, colorize.UNMARKED)}
    for name in NAMES[:5]:
        assert decode((job.output / str(rows[name].output)).read_bytes()).first.metadata.xmp == TITLE
    assert decode((job.output / "g.png").read_bytes()).first.metadata.xmp == b""


@pytest.mark.parametrize("mark", [COMPOSITE, None])
def test_xmp_longer_than_a_jpeg_segment_survives(
    tmp_path: Path,
    model_path: Path,
    ramp: NDArray[np.uint8],
    mark: Any,  # noqa: ANN401
) -> None:
    """The source holds it in parts, out of order, as the XMP specification allows."""
    long = TITLE.replace(b"7/b", b"7/b" * 50_000)
    name = hashlib.md5(long, usedforsecurity=False).hexdigest().upper().encode()
    note = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="' + name + b'"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    segments = b""
    for start in reversed(range(0, len(long), 60_000)):
        part = long[start : start + 60_000]
        content = (
            b"http://ns.adobe.com/xmp/extension/\0" + name + len(long).to_bytes(4, "big") + start.to_bytes(4, "big")
        )
        segments += b"\xff\xe1" + (len(content + part) + 2).to_bytes(2, "big") + content + part
    source = tmp_path / "in"
    source.mkdir()
    Image.fromarray(ramp).save(source / "a.jpg", xmp=note, extra=segments)
    job = LocalJob(source, tmp_path / "out", str(model_path), "cpu", digital_source_type=mark)
    assert batch.run_batch(job).done == 1
    assert rows_of(open_store(job.output))["a.jpg"].warnings == ()
    output = (job.output / "a.jpg").read_bytes()
    packet = decode(output).first.metadata.xmp
    assert b"7/b" * 50_000 in packet
    assert digital_source_type(packet) == (mark or "")
    standard = Image.open(io.BytesIO(output)).info["xmp"]
    assert digital_source_type(standard) == (mark or "")
    if shutil.which("exiftool"):
        found = exiftool(job.output / "a.jpg")
        assert "Binary data 150000 bytes" in found["XMP-o:Shelf"]
