"""Colour folders of black-and-white photographs with a verified model, and prove that only colour was added.

The API that the command line uses::

    import colorbatch

    model = colorbatch.open_model()  # the built-in one, or the path of an .onnx file
    rgb = colorbatch.colorize(grey_array, model)  # uint8 [H, W] -> uint8 [H, W, 3]
    row = colorbatch.colorize_file("photo.jpg", "coloured.jpg", model)  # with metadata, and a mark
    summary = colorbatch.run_batch(colorbatch.BatchJob("old_photos", "out"))

Every failure is a :class:`colorbatch.ColorbatchError`. The names are imported when first used, so that
``import colorbatch`` costs nothing.
"""

from typing import TYPE_CHECKING

from colorbatch.version import __version__

if TYPE_CHECKING:
    from colorbatch.errors import ColorbatchError, ExitCode
    from colorbatch.formats import decode, encode
    from colorbatch.inference.colorizer import Colorizer, colorize, open_model
    from colorbatch.job import BatchJob, BatchSummary, ColorOptions, RayOptions, SignOptions
    from colorbatch.operations.audit import Audit, audit_batch
    from colorbatch.operations.merge import Joined, join_shards
    from colorbatch.operations.one_file import colorize_file
    from colorbatch.operations.package import Packaged, PackageJob, package_batch
    from colorbatch.operations.restore import restore_batch
    from colorbatch.operations.sign import SignSummary, sign_batch
    from colorbatch.pixels.hint import Hint
    from colorbatch.pixels.picture import Frame, Picture
    from colorbatch.records.row import Row
    from colorbatch.report import Report, write_report
    from colorbatch.run.batch import run_batch
    from colorbatch.shard import Shard

__all__ = [
    "Audit",
    "BatchJob",
    "BatchSummary",
    "ColorOptions",
    "ColorbatchError",
    "Colorizer",
    "ExitCode",
    "Frame",
    "Hint",
    "Joined",
    "PackageJob",
    "Packaged",
    "Picture",
    "RayOptions",
    "Report",
    "Row",
    "Shard",
    "SignOptions",
    "SignSummary",
    "__version__",
    "audit_batch",
    "colorize",
    "colorize_file",
    "decode",
    "encode",
    "join_shards",
    "open_model",
    "package_batch",
    "restore_batch",
    "run_batch",
    "sign_batch",
    "write_report",
]

_MODULES = {
    "Audit": "operations.audit",
    "BatchJob": "job",
    "BatchSummary": "job",
    "ColorbatchError": "errors",
    "ColorOptions": "job",
    "Colorizer": "inference.colorizer",
    "ExitCode": "errors",
    "Frame": "pixels.picture",
    "Hint": "pixels.hint",
    "Joined": "operations.merge",
    "PackageJob": "operations.package",
    "Packaged": "operations.package",
    "Picture": "pixels.picture",
    "RayOptions": "job",
    "Report": "report",
    "Row": "records.row",
    "Shard": "shard",
    "SignOptions": "job",
    "SignSummary": "operations.sign",
    "audit_batch": "operations.audit",
    "colorize": "inference.colorizer",
    "colorize_file": "operations.one_file",
    "decode": "formats",
    "encode": "formats",
    "join_shards": "operations.merge",
    "open_model": "inference.colorizer",
    "package_batch": "operations.package",
    "restore_batch": "operations.restore",
    "run_batch": "run.batch",
    "sign_batch": "operations.sign",
    "write_report": "report",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
