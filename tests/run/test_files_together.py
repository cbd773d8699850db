"""An output, the copy of a sidecar beside it, and what an earlier run made under other names."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batches import rows, run_with, tree
from helpers import LocalJob
from PIL import Image

import colorbatch
from colorbatch.errors import UsageError
from colorbatch.operations.audit import audit_batch
from colorbatch.run import batch, gate
from colorbatch.store.local import LocalStore

CAPTION = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:a="http://a.example/" a:b="c"/></rdf:RDF></x:xmpmeta>'
)


@pytest.fixture
def copying(job: LocalJob) -> LocalJob:
    (job.source / "a.jpg.xmp").write_bytes(CAPTION)
    return replace(job, sidecars="copy")


def test_no_copy_of_a_sidecar_is_put_beside_a_file_of_others(copying: LocalJob) -> None:
    """A program that reads sidecars would take it for that of the other file."""
    copying.output.mkdir()
    (copying.output / "a.jpg").write_bytes(b"mine")
    assert batch.run_batch(copying).failed == 1
    assert (copying.output / "a.jpg").read_bytes() == b"mine"
    assert not (copying.output / "a.jpg.xmp").exists()


def test_nor_by_a_run_of_one_file(copying: LocalJob, tmp_path: Path) -> None:
    (tmp_path / "made.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="already exists"):
        colorbatch.colorize_file(copying.source / "a.jpg", tmp_path / "made.jpg", copying.model, sidecars="copy")
    assert not (tmp_path / "made.jpg.xmp").exists()


def test_a_copy_goes_with_the_name_of_its_output(copying: LocalJob, colour_source: Path) -> None:
    """``colour.bmp`` becomes a PNG if it is coloured, and stays a BMP if it is copied."""
    (colour_source / "colour.bmp.xmp").write_bytes(CAPTION)
    job = replace(copying, source=colour_source)
    run_with(job, already_color="recolor")
    assert {"colour.bmp.png", "colour.bmp.png.xmp"} <= tree(job.output).keys()
    found = run_with(job, already_color="copy")
    assert {name for name in tree(job.output) if "bmp" in name} == {"colour.bmp", "colour.bmp.xmp"}
    assert found["colour.bmp"]["warnings"] == []
    run_with(job, already_color="recolor")
    (job.output / "colour.bmp.png.xmp").write_bytes(b"mine")
    batch.run_batch(replace(job, already_color="copy"))
    assert (job.output / "colour.bmp.png.xmp").read_bytes() == b"mine"
    assert rows(job.output)["colour.bmp"]["warnings"] == [
        "an earlier output, colour.bmp.png.xmp, was not removed: it was altered"
    ]


def test_a_copy_whose_name_is_too_long_is_a_warning(copying: LocalJob) -> None:
    name = "n" * 248 + ".png"  # 255 bytes are allowed
    Image.fromarray(np.full((8, 8), 99, np.uint8)).save(copying.source / name)
    (copying.source / f"{name[:-4]}.xmp").write_bytes(CAPTION)
    found = run_with(copying)[name]
    assert (found["status"], found["output"], found["sidecar_output"]) == ("done", name, None)
    assert [each.startswith("its sidecar was not copied: ") for each in found["warnings"]] == [True]


def test_a_stop_between_an_output_and_its_copy_waits_for_both(
    copying: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the files would stay without a row."""
    write, stop = LocalStore.write, threading.Event()
    gates: list[gate.Gate] = []
    monkeypatch.setattr(gate.Gate, "__init__", _remembering(gate.Gate.__init__, gates))

    def stopping(self: LocalStore, name: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        state = write(self, name, *arguments, **options)
        if name in ("a.jpg", "a.jpg.xmp"):
            stop.set()
            for each in gates:
                each.is_closed = True
        return state

    monkeypatch.setattr(LocalStore, "write", stopping)
    batch.run_batch(replace(copying, jobs=1), stop=stop)
    assert {"a.jpg", "a.jpg.xmp"} <= tree(copying.output).keys()
    assert [each.path for each in audit_batch(copying.output).findings if each.path.startswith("a.jpg")] == []
    assert rows(copying.output)["a.jpg"]["sidecar_output"] == "a.jpg.xmp"


def _remembering(initialize: Any, gates: list[gate.Gate]) -> Any:  # noqa: ANN401
    def initialized(self: gate.Gate) -> None:
        initialize(self)
        gates.append(self)

    return initialized
