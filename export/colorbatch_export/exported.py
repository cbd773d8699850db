"""A model that was written."""

from dataclasses import dataclass
from pathlib import Path

from colorbatch.inference.contract import ModelContract
from colorbatch_export.comparison import ParityReport


@dataclass(frozen=True)
class ExportResult:
    """A model that was written, and its parity."""

    path: Path
    contract: ModelContract
    report: ParityReport
