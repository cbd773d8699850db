import hashlib
import json
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batches import Listener, rows
from certificates import Chain, make_chain
from helpers import CommandLine, LocalJob
from PIL import Image

from colorbatch.errors import MissingExtraError, OutputInUseError, UsageError
from colorbatch.formats.credentials import credentials_of
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.restore import restore_batch
from colorbatch.operations.sign import sign_batch
from colorbatch.records.manifest import MANIFEST_NAME, Manifest
from colorbatch.run import batch
from colorbatch.store.local import LocalStore

SIGNABLE = ("a.jpg", "b.png", "c.tif", "d.webp")
NAMES = (*SIGNABLE, "e.jp2")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_chain(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    """Return a finished job."""
    (tmp_path / "in").mkdir()
    for number, name in enumerate(NAMES):
        Image.linear_gradient("L").resize((48, 40)).rotate(number).save(tmp_path / "in" / name)
    done = LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu", jobs=2)
    batch.run_batch(done)
    return done


def agree(output: Path) -> bool:
    """Return whether every row has the hash, the size and the claim of its file."""
    return all(
        row["output_sha256"] == hashlib.sha256(content := (output / row["output"]).read_bytes()).hexdigest()
        and row["c2pa"] == credentials_of(content).claim
        for row in rows(output).values()
        if isinstance(row["output"], str)
    )


def test_every_output_is_signed_with_its_row(job: LocalJob, chain: Chain) -> None:
    assert all(row["c2pa"] is None for row in rows(job.output).values())
    found = sign_batch(job.output, chain.options, job.source)
    assert (found.signed, found.kept, found.not_signed, found.stopped) == (4, 0, [], False)
    assert found.unsupported == [("e.jp2", "Content Credentials cannot be put into a file of this format")]
    assert agree(job.output)
    assert rows(job.output)["e.jp2"]["warnings"] == [f"not signed: {found.unsupported[0][1]}"]
    checked = audit_batch(job.output, job.source, trust_anchors=chain.root)
    assert checked.findings == []
    assert checked.signatures == {"trusted": 4, "missing": 1}
    assert audit_batch(job.output).signatures == {"valid": 4, "missing": 1}
    assert not (job.output / ".colorbatch").exists()


def test_what_is_signed_stays_as_it_is(job: LocalJob, chain: Chain) -> None:
    sign_batch(job.output, chain.options)
    before = {name: (job.output / name).read_bytes() for name in NAMES}
    again = sign_batch(job.output, chain.options)
    assert (again.signed, again.kept) == (0, 4)
    assert batch.run_batch(job).kept == 5
    assert batch.run_batch(replace(job, trust_times=True)).kept == 5
    assert {name: (job.output / name).read_bytes() for name in NAMES} == before
    assert {name for name, row in rows(job.output).items() if row["c2pa"]} == set(SIGNABLE)


def test_luma_and_the_grey_jpeg_are_still_those_of_the_source(job: LocalJob, chain: Chain, tmp_path: Path) -> None:
    sign_batch(job.output, chain.options)
    found = audit_batch(job.output, job.source)
    assert (found.luma_compared, found.luma_handed_on, found.findings) == (5, 1, [])
    assert restore_batch(job.output, tmp_path / "grey").restored == 1
    with Image.open(tmp_path / "grey" / "a.jpg") as grey, Image.open(job.source / "a.jpg") as source:
        np.testing.assert_array_equal(np.asarray(grey), np.asarray(source))


def test_times_that_were_preserved_stay(job: LocalJob, chain: Chain) -> None:
    for name in NAMES:
        os.utime(job.source / name, (1e9, 1e9))
    batch.run_batch(replace(job, preserve_times=True, trust_times=True))
    sign_batch(job.output, chain.options)
    assert {(job.output / name).stat().st_mtime for name in NAMES} == {1e9}


@pytest.mark.parametrize("after", [1, 2])
def test_it_can_be_stopped_and_continues(after: int, job: LocalJob, chain: Chain) -> None:
    stop = threading.Event()
    found = sign_batch(job.output, chain.options, jobs=1, stop=stop, progress=Listener(stop, after))
    assert found.stopped
    assert 1 <= found.signed < 4
    assert agree(job.output)
    again = sign_batch(job.output, chain.options)
    assert found.signed + again.signed == 4
    assert agree(job.output)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_around_the_writing_leaves_no_row_that_disagrees(
    when: str, job: LocalJob, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = LocalStore.write

    def killing(self: LocalStore, name: str, data: bytes, *, may_replace: bool) -> object:
        if name == "c.tif" and when == "before":
            raise Killed
        state = write(self, name, data, may_replace=may_replace)
        if name == "c.tif":
            raise Killed
        return state

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "write", killing)
        with pytest.raises(Killed):
            sign_batch(job.output, chain.options, jobs=1)
    written = (job.output / "c.tif").read_bytes()
    assert (credentials_of(written).claim is not None) == (when == "after")
    found = sign_batch(job.output, chain.options)
    assert agree(job.output)
    assert found.kept + found.signed == 4
    assert ((job.output / "c.tif").read_bytes() == written) == (when == "after")


def test_after_a_kill_a_run_too_knows_what_was_signed(
    job: LocalJob, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killing(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "append", killing)
        with pytest.raises(Killed):
            sign_batch(job.output, chain.options, jobs=1)
    signed = {name for name in NAMES if credentials_of((job.output / name).read_bytes()).claim}
    assert signed
    assert batch.run_batch(job).kept == 5
    assert agree(job.output)
    assert {name for name, row in rows(job.output).items() if row["c2pa"]} == signed


def test_nobody_signs_while_another_works_there(job: LocalJob, chain: Chain) -> None:
    with Manifest(LocalStore(job.output)), pytest.raises(OutputInUseError):
        sign_batch(job.output, chain.options)


def test_what_was_altered_is_not_signed(job: LocalJob, chain: Chain) -> None:
    (job.output / "a.jpg").write_bytes((job.output / "a.jpg").read_bytes() + b"x")
    (job.output / "b.png").unlink()
    with (job.source / "c.tif").open("ab") as file:
        file.write(b"x")
    found = sign_batch(job.output, chain.options, job.source)
    assert {name: reason.partition(":")[0] for name, reason in found.not_signed} == {
        "a.jpg": "the output was altered after it was made",
        "b.png": "the output cannot be read",
        "c.tif": "the source was altered after the output was made",
    }
    assert {name for name, row in rows(job.output).items() if row["c2pa"]} == {"d.webp"}


def test_a_folder_with_shards_or_without_rows_is_refused(job: LocalJob, chain: Chain, tmp_path: Path) -> None:
    from colorbatch.shard import Shard

    batch.run_batch(replace(job, shard=Shard(1, 2)))
    with pytest.raises(UsageError, match="not merged yet"):
        sign_batch(job.output, chain.options)
    with pytest.raises(UsageError, match=MANIFEST_NAME):
        sign_batch(tmp_path / "in", chain.options)


def test_an_output_that_a_killed_run_did_not_record_is_left_to_that_run(job: LocalJob, chain: Chain) -> None:
    other = job.output / "z.jpg"
    other.write_bytes(b"x")
    with Manifest(LocalStore(job.output)) as record:
        record.announce("z.jpg", hashlib.sha256(b"x").hexdigest())
    with pytest.raises(UsageError, match=r"killed .* before it recorded z.jpg"):
        sign_batch(job.output, chain.options)


@pytest.mark.parametrize("state", ["broken", "missing"])
def test_audit_finds_signatures_that_are_broken_or_missing(state: str, job: LocalJob, chain: Chain) -> None:
    sign_batch(job.output, chain.options)
    path = job.output / "a.jpg"
    if state == "broken":
        data = bytearray(path.read_bytes())
        data[-30] ^= 1
        path.write_bytes(data)
    else:
        with Image.open(path) as picture:
            picture.load()
        picture.save(path, "JPEG")
    found = audit_batch(job.output, trust_anchors=chain.root)
    assert found.signatures == (
        {"trusted": 3, "broken": 1, "missing": 1} if state == "broken" else {"trusted": 3, "missing": 2}
    )
    problems = [each.problem for each in found.findings if each.path == "a.jpg"]
    assert any(problem.startswith(f"its signature is {state}") for problem in problems)


def test_audit_finds_signatures_of_others(job: LocalJob, chain: Chain, tmp_path: Path) -> None:
    sign_batch(job.output, chain.options)
    found = audit_batch(job.output, trust_anchors=make_chain(tmp_path / "others").root)
    assert found.signatures == {"untrusted": 4, "missing": 1}
    assert {each.path for each in found.findings} == set(SIGNABLE)
    lines = (job.output / MANIFEST_NAME).read_text().splitlines()
    rows = [{**row, "c2pa": row["c2pa"] and "urn:c2pa:other"} for row in map(json.loads, lines)]
    (job.output / MANIFEST_NAME).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert all("that of the manifest urn:c2pa:other" in each.problem for each in audit_batch(job.output).findings)


def test_without_the_package_audit_says_that_nothing_was_checked(
    job: LocalJob, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_batch(job.output, chain.options)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = audit_batch(job.output, job.source)
    assert (found.signatures, found.findings) == ({"unchecked": 5}, [])
    with pytest.raises(MissingExtraError, match="c2pa"):
        audit_batch(job.output, trust_anchors=chain.root)


def test_an_unsigned_folder_costs_nothing(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert audit_batch(job.output).signatures == {}


def test_the_command(
    job: LocalJob, chain: Chain, command_line: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line("sign", job.output, *chain.arguments, "--json") == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (answer["signed"], answer["kept"], len(answer["unsupported"])) == (4, 0, 1)
    assert command_line("sign", job.output, *chain.arguments, "--sign-strict") == 1
    assert "Not signed: e.jp2" in capsys.readouterr().err
    assert command_line("sign", job.output) == 2
    assert command_line("sign", job.output, "--sign-cert", chain.folder / "none.pem") == 2
    assert command_line("audit", job.output, "--trust-anchors", chain.root) == 0
    assert "signature trusted" in capsys.readouterr().out
