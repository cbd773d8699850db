"""Signed outputs and sidecars in a bucket."""

import hashlib
from dataclasses import replace

import pytest
from batches_in_stores import rows, there
from certificates import Chain, make_chain
from stores import S3

from colorbatch.formats.credentials import credentials_of
from colorbatch.job import BatchJob
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.sign import sign_batch
from colorbatch.run import batch

SIDECAR = b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_chain(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("when", ["in the run", pytest.param("afterwards", marks=pytest.mark.slow)])
def test_outputs_in_a_bucket_are_signed_once(s3: S3, job: BatchJob, chain: Chain, when: str) -> None:
    s3.bucket.put("in/a.jpg.xmp", SIDECAR)
    job = replace(job, sidecars="copy")
    if when == "in the run":
        job = replace(job, signing=chain.options)
        assert batch.run_batch(job).done == 5
    else:
        assert batch.run_batch(job).done == 5
        assert sign_batch(job.output, chain.options, job.source).signed == 5
    files = there(s3)
    assert files["a.jpg.xmp"] == SIDECAR
    for name, row in rows(s3).items():
        if row["status"] == "done":
            content = files[str(row["output"])]
            assert row["output_sha256"] == hashlib.sha256(content).hexdigest(), name
            assert row["c2pa"] == credentials_of(content).claim is not None, name
    checked = audit_batch(job.output, job.source, trust_anchors=chain.root)
    assert (checked.findings, checked.signatures) == ([], {"trusted": 5})
    assert batch.run_batch(job).kept == 5
    assert there(s3) == files


def test_a_signed_run_whose_rows_were_lost_goes_on(s3: S3, job: BatchJob, chain: Chain) -> None:
    """Its outputs are known by their marks: signed again, they have other bytes."""
    job = replace(job, signing=chain.options)
    assert batch.run_batch(job).done == 5
    s3.bucket.delete("out/colorbatch-manifest.jsonl")
    assert (batch.run_batch(job).done, batch.run_batch(job).kept) == (5, 5)
    checked = audit_batch(job.output, job.source, trust_anchors=chain.root)
    assert (checked.findings, checked.signatures) == ([], {"trusted": 5})
