"""Runs that sign what they make."""

import hashlib
import io
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import c2pa
import pytest
from batches import Listener, make_tree, rows, tree
from certificates import Chain, make_chain
from helpers import CommandLine, LocalJob, hinted_model

from colorbatch.errors import UnsignableError, UsageError
from colorbatch.formats.credentials import credentials_of
from colorbatch.formats.signer import Signer
from colorbatch.job import BatchSummary
from colorbatch.operations.audit import audit_batch
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.run import batch
from colorbatch.run.engines import open_engine


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_chain(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def signed_job(job: LocalJob, chain: Chain) -> LocalJob:
    return replace(job, signing=chain.options)


def agree(output: Path) -> bool:
    return all(
        row["output_sha256"] == hashlib.sha256(content := (output / str(row["output"])).read_bytes()).hexdigest()
        and row["c2pa"] == credentials_of(content).claim
        for row in rows(output).values()
        if row["output"] is not None
    )


def test_outputs_are_signed_as_they_are_made(signed_job: LocalJob, chain: Chain) -> None:
    assert batch.run_batch(signed_job).done == 5
    assert agree(signed_job.output)
    found = audit_batch(signed_job.output, signed_job.source, trust_anchors=chain.root)
    assert (found.findings, found.signatures, found.marked) == ([], {"trusted": 5}, 5)


def test_child_processes_never_see_the_key(signed_job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def remembering(job: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        seen.append(job.signing)
        return open_engine(job, *arguments, **options)

    monkeypatch.setattr(batch, "open_engine", remembering)
    batch.run_batch(replace(signed_job, engine="processes", jobs=1))
    assert seen == [None]
    assert all(row["c2pa"] for row in rows(signed_job.output).values())


def test_a_second_run_keeps_what_is_signed_with_the_key_and_without(job: LocalJob, signed_job: LocalJob) -> None:
    batch.run_batch(signed_job)
    before = tree(job.output)
    assert batch.run_batch(signed_job).kept == 5
    assert batch.run_batch(job).kept == 5
    assert tree(job.output) == before
    assert all(row["c2pa"] for row in rows(job.output).values())


@pytest.mark.parametrize("changes", [{}, {"trust_times": True}], ids=["hashes", "times"])
def test_what_was_made_without_the_key_is_signed_later(
    changes: dict[str, Any], job: LocalJob, signed_job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch.run_batch(replace(job, **changes))
    monkeypatch.setattr("colorbatch.run.engines.local.colorize_source", None)  # nothing is computed again
    summary = batch.run_batch(replace(signed_job, **changes))
    assert (summary.done, summary.kept, summary.failed) == (5, 5, 0)
    assert agree(job.output)
    assert all(row["c2pa"] for row in rows(job.output).values())


def test_remaking_without_the_key_says_that_the_signature_is_gone(job: LocalJob, signed_job: LocalJob) -> None:
    batch.run_batch(signed_job)
    batch.run_batch(replace(job, options=replace(job.options, strength=0.5)))
    for row in rows(job.output).values():
        assert row["c2pa"] is None
        assert any("the earlier output was signed, and this one is not" in each for each in row["warnings"])  # type: ignore[attr-defined]
    batch.run_batch(replace(signed_job, options=replace(job.options, strength=0.5)))
    assert all((row["c2pa"] is not None, row["warnings"]) == (True, []) for row in rows(job.output).values())


def test_pictures_in_colour_are_copied_without_a_claim(colour_source: Path, signed_job: LocalJob, chain: Chain) -> None:
    batch.run_batch(replace(signed_job, source=colour_source, already_color="copy"))
    assert (signed_job.output / "colour.png").read_bytes() == (colour_source / "colour.png").read_bytes()
    assert {name: bool(row["c2pa"]) for name, row in rows(signed_job.output).items()} == {
        "grey.png": True,
        "colour.png": False,
        "colour.bmp": False,
    }
    assert audit_batch(signed_job.output, trust_anchors=chain.root).signatures == {"trusted": 1}


def test_what_cannot_be_signed_has_a_warning_or_fails(tmp_path: Path, signed_job: LocalJob, chain: Chain) -> None:
    make_tree(tmp_path / "other", "a.jp2", "b.jpg")
    lax = replace(signed_job, source=tmp_path / "other")
    batch.run_batch(lax)
    reason = "Content Credentials cannot be put into a file of this format"
    assert rows(lax.output)["a.jp2"]["warnings"] == [f"not signed: {reason}"]
    assert rows(lax.output)["b.jpg"]["c2pa"]
    strict = replace(lax, output=tmp_path / "strict", signing=replace(chain.options, strict=True))
    summary = batch.run_batch(strict)
    assert (summary.done, summary.failures) == (1, [("a.jp2", reason)])
    assert not (tmp_path / "strict" / "a.jp2").exists()


def test_when_the_authority_is_gone_for_a_while_the_next_run_signs(
    signed_job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign, calls = Signer.signed, []

    def failing(self: Signer, content: bytes, title: str, *others: Any) -> Any:  # noqa: ANN401
        calls.append(title)
        if title == "d.webp" and calls.count(title) == 1:
            raise UnsignableError("the signature could not be made: no answer")
        return sign(self, content, title, *others)

    monkeypatch.setattr(Signer, "signed", failing)
    batch.run_batch(signed_job)
    assert rows(signed_job.output)["d.webp"]["warnings"] == ["not signed: the signature could not be made: no answer"]
    assert batch.run_batch(signed_job).kept == 5
    assert (rows(signed_job.output)["d.webp"]["warnings"], agree(signed_job.output)) == ([], True)
    assert rows(signed_job.output)["d.webp"]["c2pa"]


def test_a_run_that_is_stopped_leaves_rows_that_agree(signed_job: LocalJob) -> None:
    stop = threading.Event()
    batch.run_batch(replace(signed_job, jobs=1), Listener(stop, 2), stop)
    assert agree(signed_job.output)
    assert batch.run_batch(signed_job).done == 5
    assert agree(signed_job.output)


class Killed(BaseException):
    """The process ends here."""


def test_an_output_without_a_row_is_recognised_though_signatures_differ(
    signed_job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unrecorded(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("colorbatch.records.manifest.Manifest.append", unrecorded)
        patch.setattr("colorbatch.records.manifest.Manifest.finish", unrecorded)
        with pytest.raises(Killed):
            batch.run_batch(replace(signed_job, jobs=1))
    assert tree(signed_job.output)
    summary: BatchSummary = batch.run_batch(signed_job)
    assert (summary.done, summary.failed) == (5, 0)
    assert agree(signed_job.output)
    assert all(row["warnings"] == [] for row in rows(signed_job.output).values())


def test_the_hints_of_a_person_are_in_the_claim(tmp_path: Path, signed_job: LocalJob) -> None:
    model = tmp_path / "hinted.onnx"
    model.write_bytes(hinted_model().SerializeToString())
    signed_job.output.mkdir()
    line = {"schema": 1, "input": "a.jpg", "hints": [{"x": 0.5, "y": 0.5, "color": "#7a8b3c"}]}
    (signed_job.output / RETOUCH_NAME).write_text(json.dumps(line) + "\n")
    batch.run_batch(replace(signed_job, model=str(model)))
    claims = {}
    for name in ("a.jpg", "sub/b.png"):
        with c2pa.Reader(io.BytesIO((signed_job.output / name).read_bytes())) as reader:
            claims[name] = reader.json()
    assert '"org.pypi.colorbatch.hints": 1' in claims["a.jpg"]
    assert "color_adjustments" not in claims["sub/b.png"]


def test_a_signed_output_as_a_source_becomes_a_parent_with_its_credentials(
    tmp_path: Path, signed_job: LocalJob, chain: Chain
) -> None:
    batch.run_batch(signed_job)
    unsigned = replace(signed_job, source=signed_job.output, output=tmp_path / "plain", already_color="recolor")
    unsigned = replace(unsigned, signing=None, exclude=("*.jsonl",))
    batch.run_batch(unsigned)
    for name in ("a.jpg", "sub/b.png", "sub/deeper/c.tif", "d.webp"):  # no stale claim is carried along
        assert credentials_of((tmp_path / "plain" / name).read_bytes()).state == "missing", name
    again = replace(unsigned, output=tmp_path / "again", signing=chain.options)
    batch.run_batch(again)
    for name, row in rows(tmp_path / "again").items():
        if row["c2pa"]:
            with c2pa.Reader(io.BytesIO((tmp_path / "again" / name).read_bytes())) as reader:
                report = json.loads(reader.json())
            (parent,) = report["manifests"][row["c2pa"]]["ingredients"]
            assert parent["active_manifest"] == rows(signed_job.output)[name]["c2pa"]
    assert audit_batch(tmp_path / "again", signed_job.output, trust_anchors=chain.root).signatures == {"trusted": 5}


def test_a_cluster_gets_no_key(signed_job: LocalJob) -> None:
    with pytest.raises(UsageError, match="the key stays on this machine"):
        replace(signed_job, engine="ray")


def test_a_key_that_is_wrong_is_refused_before_anything_is_written(signed_job: LocalJob, tmp_path: Path) -> None:
    other = make_chain(tmp_path / "other")
    with pytest.raises(UsageError, match="does not belong"):
        batch.run_batch(replace(signed_job, signing=replace(other.options, certificate=signed_job.signing.certificate)))  # type: ignore[union-attr]
    assert not signed_job.output.exists()


def test_the_key_is_in_no_record_and_no_log(
    job: LocalJob, chain: Chain, command_line: CommandLine, tmp_path: Path, model_path: Path
) -> None:
    log = tmp_path / "run.log"
    arguments = (*chain.arguments, "--model", model_path, "--provider", "cpu", "--log-file", log, "-v")
    assert command_line("run", job.source, job.output, *arguments) == 0
    secret = "".join((chain.folder / "key.pem").read_text().splitlines()[1:-1])[20:60]
    for path in (log, *job.output.rglob("*")):
        assert not path.is_file() or secret.encode() not in path.read_bytes()
    assert command_line("run", job.source, tmp_path / "b", "--sign-key", chain.folder / "key.pem") == 2
