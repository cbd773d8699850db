"""Finished output folders that were made without a model, for tests of what happens to them afterwards."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.row import Row


def done_row(name: str, source: bytes, output: bytes, **changes: object) -> Row:
    """Return the row of a picture that was coloured."""
    values: dict[str, object] = {
        "output": name,
        "status": "done",
        "input_sha256": hashlib.sha256(source).hexdigest(),
        "output_sha256": hashlib.sha256(output).hexdigest(),
        "input_bytes": len(source),
        "output_bytes": len(output),
        "width": 40,
        "height": 30,
        "bits": 8,
        "frames": 1,
        "model": "default",
        "model_sha256": "0" * 64,
        "digital_source_type": "compositeWithTrainedAlgorithmicMedia",
        "finished_at": "2026-03-01T21:14:09+00:00",
        "version": "0.1.0",
    }
    return Row(name, **(values | changes))  # type: ignore[arg-type]


def finished_folder(root: Path, outputs: Mapping[str, bytes]) -> tuple[Path, Path]:
    """Write a folder of scans, and one of their outputs with its manifest; return both."""
    rows = []
    for name, output in outputs.items():
        source = b"grey " + output
        for folder, data in (("in", source), ("out", output)):
            path = root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        rows.append(done_row(name, source, output))
    (root / "out" / MANIFEST_NAME).write_bytes(b"".join(row.to_json() for row in rows))
    return root / "in", root / "out"
