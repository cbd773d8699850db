"""From a checkpoint to an ONNX model that fulfils colorbatch's contract, with the proof that both compute the same.

What needs PyTorch is imported when it is asked for: adapting an ONNX file of others does without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colorbatch_export.comparison import Comparison, ParityReport
    from colorbatch_export.exported import ExportResult
    from colorbatch_export.exporting import Verification, export_model, verify_model
    from colorbatch_export.parity import TOLERANCES

__all__ = ["TOLERANCES", "Comparison", "ExportResult", "ParityReport", "Verification", "export_model", "verify_model"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any of these)
    for module in ("comparison", "exported", "exporting", "parity"):
        if name in __all__ and hasattr(found := import_module(f"colorbatch_export.{module}"), name):
            return getattr(found, name)
    raise AttributeError(name)
