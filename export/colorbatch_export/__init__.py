"""From a checkpoint to an ONNX model that fulfils colorbatch's contract, with the proof that both compute the same."""

from colorbatch_export.exporting import ExportResult, Verification, export_model, verify_model
from colorbatch_export.parity import TOLERANCES, Comparison, ParityReport

__all__ = ["TOLERANCES", "Comparison", "ExportResult", "ParityReport", "Verification", "export_model", "verify_model"]
