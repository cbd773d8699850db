"""What people have decided about sources so far, for a page that saves it together with new decisions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from colorbatch.errors import UsageError, reason_of
from colorbatch.inference.model_file import name_with
from colorbatch.job import BatchJob
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.records.row import Row
from colorbatch.store.regular_files import read_regular

OWN_MODEL = "MODEL"
"""Stands for the path of a model that has no name here: rows tell no paths."""


def retouch_lines(folder: Path) -> Sequence[str]:
    """Return the lines of the retouch record of an output folder, whatever is in them, without line breaks.

    Bytes that are not UTF-8 are surrogates, as in the names of the manifest.

    Raises:
        UsageError: there is one that cannot be read, so that a page would save decisions without those in it.

    """
    path = folder / RETOUCH_NAME
    try:
        text = read_regular(path).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"cannot read {path}: {reason_of(error)}") from error
    return [line for line in text.split("\n") if line.strip()]


def model_of(rows: Iterable[Row]) -> str:
    """Return the value of ``--model`` with which most outputs were made; empty: it need not be given."""
    made = Counter((row.model, row.model_sha256) for row in rows if row.status == "done" and row.model)
    if not made:
        return ""
    ((likely, sha256), _) = made.most_common(1)[0]
    name = name_with(sha256, likely)
    if name is None:
        return OWN_MODEL
    return "" if name == BatchJob.model else name
