"""A model that was written."""

from dataclasses import dataclass
from pathlib import Path

from colorbatch.errors import UsageError
from colorbatch.inference.contract import ModelContract
from colorbatch_export.comparison import ParityReport


@dataclass(frozen=True)
class ExportResult:
    """A model that was written, and its parity."""

    path: Path
    contract: ModelContract
    report: ParityReport


def refuse_output(output: Path, source: Path) -> None:
    """Check that a model may be written to a path, before the work for it is done.

    Raises:
        UsageError: it is the source itself, or a folder, or does not end in ``.onnx``.

    """
    if output.suffix.lower() != ".onnx" or output.is_dir():
        raise UsageError(f"cannot write the model to {output}", advice="Give -o a file name that ends in .onnx.")
    if output.resolve() == source.resolve():
        raise UsageError(f"cannot write the model to {output}, from which it is made", advice="Give -o another name.")
