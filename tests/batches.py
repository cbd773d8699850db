"""What the tests of runs over a folder share."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from helpers import LocalJob
from PIL import Image

from colorbatch.operations.audit import audit_batch
from colorbatch.progress import SilentProgress
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.run import batch


class Listener(SilentProgress):
    """Remembers what it was told, and may do something after a number of steps."""

    def __init__(self, stop: threading.Event | None = None, after: int = 0) -> None:
        self.messages: list[str] = []
        self.steps = 0
        self.total = 0
        self._stop = stop
        self._after = after

    def begin(self, total: int, label: str, weight: float | None = None) -> None:  # noqa: ARG002
        self.total = total

    def advance(self, steps: int = 1, **_: float | None) -> None:
        self.steps += steps
        if self._stop is not None and self.steps >= self._after:
            self._stop.set()

    def message(self, text: str) -> None:
        self.messages.append(text)


def make_tree(root: Path, *names: str) -> None:
    random = np.random.default_rng(0)
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(20, 230, (20 + number, 30), dtype=np.uint8)).save(path)


def tree(root: Path) -> dict[str, bytes]:
    """Return every file below ``root`` but the manifest."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != MANIFEST_NAME
    }


def rows(output: Path) -> dict[str, dict[str, object]]:
    read = [json.loads(line) for line in (output / MANIFEST_NAME).read_bytes().splitlines()]
    assert len({row["input"] for row in read}) == len(read)
    return {row["input"]: row for row in read}


def run_with(job: LocalJob, **changes: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401
    batch.run_batch(replace(job, **changes))
    assert audit_batch(job.output).is_sound
    return rows(job.output)
