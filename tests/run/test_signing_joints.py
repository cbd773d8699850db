"""Signing together with sidecars, watched folders, retouching, shards, stores and single files."""

import hashlib
import shutil
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batches import make_tree, rows
from certificates import Chain, make_chain
from helpers import CommandLine, LocalJob, hinted_model, wait_until
from PIL import Image
from upath import UPath

from colorbatch.formats.credentials import credentials_of
from colorbatch.job import BatchJob
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.merge import join_shards
from colorbatch.operations.sign import sign_batch
from colorbatch.pixels.hint import Hint
from colorbatch.records.retouch import RetouchLine
from colorbatch.retouch.made_with import Choices
from colorbatch.retouch.session import RetouchSession
from colorbatch.run import batch
from colorbatch.run.engines import open_engine
from colorbatch.run.watch import Watching, watch_batch
from colorbatch.shard import Shard

SIDECAR = b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_chain(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    make_tree(tmp_path / "in", "a.jpg", "sub/b.png")
    (tmp_path / "in/a.jpg.xmp").write_bytes(SIDECAR)
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu", sidecars="copy")


def signatures(output: Path, chain: Chain) -> Any:  # noqa: ANN401
    found = audit_batch(output, trust_anchors=chain.root)
    assert found.findings == []
    return found.signatures


def test_shards_sign_and_copy_sidecars(job: LocalJob, chain: Chain) -> None:
    for index in (1, 2):
        batch.run_batch(replace(job, signing=chain.options, shard=Shard(index, 2)))
    join_shards(job.output)
    assert signatures(job.output, chain) == {"trusted": 2}
    assert rows(job.output)["a.jpg"]["sidecar_output_sha256"] == hashlib.sha256(SIDECAR).hexdigest()
    assert (job.output / "a.jpg.xmp").read_bytes() == SIDECAR


@pytest.mark.parametrize("when", ["in the run", "by the next run", "afterwards"])
def test_a_store_keeps_signatures_and_copies_of_sidecars(
    when: str, job: LocalJob, chain: Chain, tmp_path: Path
) -> None:
    output = UPath(f"memory://{tmp_path.name}/out")
    in_store = BatchJob(job.source, output, job.model, "cpu", sidecars="copy")
    batch.run_batch(replace(in_store, signing=chain.options if when == "in the run" else None))
    if when == "by the next run":
        batch.run_batch(replace(in_store, signing=chain.options))
    if when == "afterwards":
        sign_batch(output, chain.options, job.source)
    found = audit_batch(output, job.source, trust_anchors=chain.root)
    assert (found.findings, found.signatures) == ([], {"trusted": 2})
    assert (output / "a.jpg.xmp").read_bytes() == SIDECAR
    assert batch.run_batch(in_store).kept == 2


def test_arrivals_are_signed_and_so_are_sources_that_were_replaced(
    job: LocalJob, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def remembering(job: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        seen.append(job.signing)
        return open_engine(job, *arguments, **options)

    monkeypatch.setattr(batch, "open_engine", remembering)
    stop = threading.Event()
    asked = replace(job, signing=chain.options)
    thread = threading.Thread(target=lambda: watch_batch(asked, Watching(0.1, 0.05), stop=stop))

    def claim(name: str) -> str | None:
        path = job.output / name
        return credentials_of(path.read_bytes()).claim if path.exists() else None

    thread.start()
    try:
        wait_until(lambda: claim("sub/b.png") is not None and claim("a.jpg") is not None)
        before = claim("sub/b.png")
        shutil.copy(job.source / "a.jpg", job.source / "c.jpg")
        Image.linear_gradient("L").rotate(90).resize((30, 40)).save(job.source / "sub/b.png")
        wait_until(lambda: claim("c.jpg") is not None and claim("sub/b.png") not in (None, before))
    finally:
        stop.set()
        thread.join(20)
    assert seen
    assert not any(seen)  # the key
    assert signatures(job.output, chain) == {"trusted": 3}
    assert (job.output / "a.jpg.xmp").read_bytes() == SIDECAR


def test_what_is_retouched_loses_its_signature_and_can_be_signed_again(
    job: LocalJob, chain: Chain, tmp_path: Path
) -> None:
    (tmp_path / "hinted.onnx").write_bytes(hinted_model().SerializeToString())
    job = replace(job, model=str(tmp_path / "hinted.onnx"))
    batch.run_batch(replace(job, signing=chain.options))
    with closing(RetouchSession(job.source, job.output, Choices(model=str(job.model)))) as session:
        session.save([RetouchLine("a.jpg", 1, hints=(Hint(0.5, 0.5, "#cc2020"),))], 1)
    row = rows(job.output)["a.jpg"]
    assert (row["c2pa"], row["sidecar_output"]) == (None, "a.jpg.xmp")
    assert any("the earlier output was signed, and this one is not" in each for each in row["warnings"])  # type: ignore[attr-defined]
    assert signatures(job.output, chain) == {"trusted": 1, "missing": 1}
    sign_batch(job.output, chain.options, job.source)
    assert signatures(job.output, chain) == {"trusted": 2}


def test_several_files_are_signed_and_one_into_one_is_refused(
    job: LocalJob, chain: Chain, command_line: CommandLine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    files, options = (job.source / "a.jpg", job.source / "sub/b.png"), ("--model", job.model, *chain.arguments)
    assert command_line("run", *files, job.output, *options) == 0
    assert signatures(job.output, chain) == {"trusted": 2}
    capsys.readouterr()
    assert command_line("run", files[0], tmp_path / "one.jpg", *options) == 2
    assert "--sign-cert" in capsys.readouterr().err
    assert not (tmp_path / "one.jpg").exists()
