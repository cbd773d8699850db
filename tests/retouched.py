"""What tests of runs share in which a person said something about pictures."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from batches import rows
from helpers import LocalJob
from numpy.typing import NDArray
from PIL import Image

from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.run.batch import run_batch

GREEN = {"x": 0.5, "y": 0.5, "radius": 0.5, "color": "#00a000"}


def say(job: LocalJob, *lines: Mapping[str, object]) -> None:
    job.output.mkdir(exist_ok=True)
    text = "".join(json.dumps({"schema": 1, **line}) + "\n" for line in lines)
    (job.output / RETOUCH_NAME).write_text(text, encoding="utf-8")


def redone(job: LocalJob) -> set[str]:
    """Run again, and return the sources whose rows are new."""
    before = rows(job.output)
    run_batch(job)
    return {name for name, row in rows(job.output).items() if row["finished_at"] != before[name]["finished_at"]}


def chroma_of(path: Path, page: int = 0) -> NDArray[np.float64]:
    """Return Cb and Cr, as Pillow converts RGB to them, ``[H, W, 2]``."""
    with Image.open(path) as image:
        image.seek(page)
        return np.asarray(image.convert("RGB").convert("YCbCr"), float)[..., 1:] - 128


def events(path: Path) -> Sequence[str]:
    return re.findall(r"<stEvt:parameters>([^<]*)", path.read_bytes().decode("latin-1"))
