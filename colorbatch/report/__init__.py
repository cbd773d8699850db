"""The before/after report of an output folder: a page for people, made from the manifest and the outputs."""

from colorbatch.report.folder import refuse_foreign_folder
from colorbatch.report.writing import Report, write_report

__all__ = ["Report", "refuse_foreign_folder", "write_report"]
