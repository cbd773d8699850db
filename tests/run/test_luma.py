"""What a run tells about the luma of its pictures, and that audit finds it."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from helpers import LocalJob
from PIL import Image, ImageCms

from colorbatch.operations.audit import audit_batch
from colorbatch.records.manifest import MANIFEST_NAME, rows_of
from colorbatch.records.row import Row
from colorbatch.run import batch
from colorbatch.store import open_store

GAMMA_1_8 = bytes(imagecodecs.cms_profile("gray", whitepoint=(0.3127, 0.3290, 1.0), gamma=1.8))


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    source = tmp_path / "in"
    source.mkdir()
    grey = Image.linear_gradient("L").resize((90, 70)).rotate(10)
    grey.save(source / "grey.jpg")
    grey.convert("RGB").save(source / "three.jpg")
    grey.save(source / "gamma.jpg", icc_profile=GAMMA_1_8)
    grey.convert("CMYK").save(source / "cmyk.jpg")
    grey.save(source / "scan.png")
    return LocalJob(source, tmp_path / "out", str(model_path), "cpu")


def rows_in(folder: Path) -> dict[str, Row]:
    return dict(rows_of(open_store(folder)))


def test_the_row_and_the_summary_tell_what_became_of_luma(job: LocalJob) -> None:
    summary = batch.run_batch(job)
    assert summary.luma == {"exact": 3, "rounded": 1, "reencoded": 1}
    found = {name: row.luma for name, row in rows_in(job.output).items()}
    exact = dict.fromkeys(("grey.jpg", "three.jpg", "gamma.jpg"), "exact")
    assert found == {**exact, "scan.png": "rounded", "cmyk.jpg": "reencoded"}
    warnings = rows_in(job.output)["cmyk.jpg"].warnings
    assert warnings == ("its luma was encoded again: it is stored as CMYK",)
    audit = audit_batch(job.output, job.source)
    assert audit.is_sound
    assert (audit.luma_compared, audit.luma_handed_on) == (5, 3)
    assert batch.run_batch(job).luma == {}  # all are kept


def test_audit_reads_sources_that_lack_the_marker_of_their_end(job: LocalJob) -> None:
    source = job.source / "three.jpg"
    source.write_bytes(source.read_bytes()[:-2])
    batch.run_batch(job)
    assert rows_in(job.output)["three.jpg"].luma == "exact"
    assert audit_batch(job.output, job.source).is_sound


def test_a_profile_is_converted_on_request_alone(job: LocalJob) -> None:
    batch.run_batch(job)
    assert batch.run_batch(replace(job, convert_profile=True)).kept == 0
    row = rows_in(job.output)["gamma.jpg"]
    assert (row.luma, row.warnings) == ("reencoded", ())
    assert rows_in(job.output)["three.jpg"].luma == "exact"
    with Image.open(job.output / "gamma.jpg") as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert audit_batch(job.output, job.source).is_sound


def test_a_re_encoded_luma_that_is_said_to_be_exact_is_found(job: LocalJob) -> None:
    """By hand: the output is saved again with other steps; its luma then differs by less than a level on average."""
    batch.run_batch(job)
    output, manifest = job.output / "three.jpg", job.output / MANIFEST_NAME
    before = output.read_bytes()
    buffer = io.BytesIO()
    with Image.open(output) as image:
        image.save(buffer, "JPEG", quality=97, subsampling=0, xmp=image.info["xmp"])
        luma = np.asarray(image.convert("L"), int)
    assert np.abs(np.asarray(Image.open(buffer).convert("L"), int) - luma).mean() < 1
    output.write_bytes(buffer.getvalue())
    old, new = (hashlib.sha256(data).hexdigest() for data in (before, buffer.getvalue()))
    manifest.write_text(manifest.read_text().replace(old, new))
    findings = {finding.path: finding.problem for finding in audit_batch(job.output, job.source).findings}
    assert findings == {"three.jpg": "its coded luma is not the source's"}
