"""A retouch session over a folder whose sidecars were copied beside the outputs."""

from dataclasses import replace
from typing import get_args

import pytest
from helpers import LocalJob
from retouching import OpenSession

from colorbatch.job import Sidecars
from colorbatch.operations.audit import audit_batch
from colorbatch.run.batch import run_batch


def caption(text: str) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:a="http://a.example/" a:b="{text}"/></rdf:RDF></x:xmpmeta>'
    ).encode()


def test_a_sidecar_that_changes_again_and_again_is_copied_each_time(
    new_job: LocalJob, open_session: OpenSession
) -> None:
    (new_job.source / "a.png.xmp").write_bytes(caption("first"))
    job = replace(new_job, sidecars="copy")
    run_batch(job)
    session = open_session(job)
    for number, text in enumerate(("second", "third", "fourth")):
        (job.source / "a.png.xmp").write_bytes(caption(text))
        line = replace(session.line("a.png", 1), strength=0.5 + number / 10)
        assert session.save([line], 1).made
        row = session.row("a.png")
        assert row is not None
        assert row.warnings == ()
        assert (job.output / "a.png.xmp").read_bytes() == caption(text)
    (job.output / "a.png.xmp").write_bytes(b"mine")
    assert session.save([replace(session.line("a.png", 1), strength=0.9)], 1).made
    session.close()
    assert (job.output / "a.png.xmp").read_bytes() == b"mine"
    assert [each.path for each in audit_batch(job.output, job.source).findings] == ["a.png.xmp"]


@pytest.mark.parametrize("sidecars", get_args(Sidecars))
@pytest.mark.parametrize("before", get_args(Sidecars))
def test_sidecars_are_used_as_by_the_last_run(
    new_job: LocalJob, open_session: OpenSession, before: Sidecars, sidecars: Sidecars
) -> None:
    """The rows of pictures without sidecars do not tell: they were kept."""
    (new_job.source / "sub" / "b.jpg.xmp").write_bytes(caption("private"))
    run_batch(replace(new_job, sidecars=before))
    job = replace(new_job, sidecars=sidecars)
    run_batch(job)
    session = open_session(job)
    for name in ("a.png", "sub/b.jpg"):
        assert session.save([replace(session.line(name, 1), strength=0.5)], 1).made
    session.close()
    output = (job.output / "sub" / "b.jpg").read_bytes()
    assert (b"private" in output) == (sidecars == "merge")
    found = run_batch(job)
    assert (found.done, found.kept) == (2, 2)
    assert (job.output / "sub" / "b.jpg").read_bytes() == output
