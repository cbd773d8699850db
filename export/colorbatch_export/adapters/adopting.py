"""Adopt a published network: write a model with its weights that fulfils the contract, after comparing the two."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from colorbatch.errors import ModelRefusedError, UsageError
from colorbatch.file_type import CHECKPOINT, SNIFFED, file_type_of
from colorbatch.inference.contract import AdaptedFrom, Fit, ModelContract
from colorbatch.inference.provider import open_inference_session
from colorbatch.store.atomic import write_bytes
from colorbatch_export.adapters.checkpoint import is_safetensors, read_checkpoint
from colorbatch_export.adapters.foreign import Foreign, read_foreign
from colorbatch_export.adapters.gate import Reference, measure_adapted, references_of
from colorbatch_export.adapters.wrap import wrapped
from colorbatch_export.comparison import ParityReport, check
from colorbatch_export.exported import ExportResult, refuse_output
from colorbatch_export.metadata import stamp

logger = logging.getLogger(__name__)


def adopt_model(
    source: Path,
    output: Path,
    *,
    kind: str | None = None,
    fit: Fit = "stretch",
    name: str | None = None,
    working_size: int | None = None,
    model_license: str | None = None,
    training_data: str | None = None,
    on_kind: Callable[[str], None] | None = None,
    on_report: Callable[[ParityReport], None] | None = None,
) -> ExportResult:
    """Write the model of a published network, after verifying that it gives the colours that its authors' way gives.

    Args:
        source: an ONNX file of one of ``KINDS``, or a checkpoint of DDColor (``.pth`` or safetensors).
        output: the file to write; its name ends in ``.onnx``, and it must not exist.
        kind: which kind it is; ``None``: found out by what it takes and gives.
        fit: how a picture is brought to the shape that the network takes; ``stretch`` is the authors' way.
        name: name in the contract; by default the output's stem.
        working_size: for a file with dynamic sides; by default the size that the authors use.
        model_license: licence in the contract; by default that under which the authors published the network.
        training_data: likewise.
        on_kind: receives which kind it is, before the comparison, which takes minutes for a large network.
        on_report: receives the comparisons, even if they fail.

    Raises:
        UsageError: the output exists or is no name of a model, or the file takes no pictures of the working size.
        ModelRefusedError: the file is no network of these kinds.
        CheckpointRefusedError: the checkpoint contains code, or is of another network.
        MissingExtraError: a package that a checkpoint needs is not installed.
        ParityError: the two disagree; nothing is written.
        OutputUnwritableError: the model cannot be written.

    """
    refuse_output(output, source)
    if os.path.lexists(output):
        raise _exists(output)
    foreign = _read(source, kind, working_size)
    _refuse_other_size(source, foreign, working_size)
    if on_kind is not None:
        on_kind(foreign.kind.name)
    references = references_of(foreign, fit)
    foreign = replace(foreign, run=None)  # it is not needed any more, and large
    model, report = _compared(foreign, fit, references)
    check(report, on_report, f"{source}, so no model was written")
    contract = replace(
        _contract(foreign, fit, report),
        name=name or output.stem,
        working_size=min(foreign.size) if foreign.size else working_size or foreign.kind.working_size,
        license=model_license or foreign.kind.license,
        training_data=training_data or foreign.kind.training_data,
    )
    stamp(model, contract)
    try:
        write_bytes(output, _serialized(model, str(source)), may_replace=False)
    except FileExistsError as error:  # it has been made meanwhile
        raise _exists(output) from error
    return ExportResult(output, contract, report)


def _exists(output: Path) -> UsageError:
    return UsageError(f"{output} exists already", advice="Give another name with -o, or move that file away.")


def _refuse_other_size(source: Path, foreign: Foreign, working_size: int | None) -> None:
    """Raise UsageError if a network takes one size only, and another was asked for."""
    if working_size is not None and foreign.size is not None and working_size != min(foreign.size):
        raise UsageError(
            f"{source} was exported for {foreign.size[0]} x {foreign.size[1]}, and takes no other size",
            advice="Remove --working-size, or export it again.",
        )


def _contract(foreign: Foreign, fit: Fit, report: ParityReport) -> ModelContract:
    """Return the contract of a network that was compared; what the user may choose is that of its kind."""
    kind = foreign.kind
    return ModelContract(
        name=kind.name,
        architecture=kind.name,
        size_multiple=kind.size_multiple if foreign.size is None and fit == "pad" else 1,
        working_size=kind.working_size,
        tiling="whole",
        precision=foreign.precision,
        checkpoint_sha256=foreign.sha256,
        parity=report.summary,
        license=kind.license,
        training_data=kind.training_data,
        hints=foreign.takes_hints,
        resizes=foreign.size is not None or fit == "stretch",
        adapted_from=AdaptedFrom(kind.name, foreign.sha256, fit, foreign.values),
    )


def _read(source: Path, kind: str | None, working_size: int | None) -> Foreign:
    """Return the network in a file, which may be a checkpoint."""
    try:
        with source.open("rb") as file:
            head = file.read(SNIFFED)
    except OSError:
        head = b""
    if file_type_of(head) is CHECKPOINT or is_safetensors(head):
        return read_checkpoint(source, kind, working_size)
    return read_foreign(source, kind)


def _compared(foreign: Foreign, fit: Fit, references: Sequence[Reference]) -> tuple[onnx.ModelProto, ParityReport]:
    """Return the model, and how it compares with the original.

    A file that was exported for one picture may take several, or fail, or give them each other's colours: what does not
    pass is put into a loop.
    """
    for_several = _for_several(foreign, fit, references) if foreign.may_take_several else None
    if for_several is not None:
        return for_several
    model = wrapped(foreign, fit, "loop")
    return model, _measured(model, references)


def _for_several(
    foreign: Foreign, fit: Fit, references: Sequence[Reference]
) -> tuple[onnx.ModelProto, ParityReport] | None:
    """Return a model that takes several pictures at once, and how it compares; ``None``: it does not pass."""
    model = wrapped(foreign, fit, "dynamic")
    try:
        report = _measured(model, references)
    except ModelRefusedError as error:
        logger.info("It takes one picture at a time: %s", error)
        return None
    if not report.passed:
        logger.info("It takes one picture at a time: several differ %s", report.finding)
        return None
    return model, report


def _measured(model: onnx.ModelProto, references: Sequence[Reference]) -> ParityReport:
    """Return how a model compares with the original. Its content is not held while it runs."""
    session, _ = open_inference_session(_serialized(model, "the adapted model"), "cpu")
    return measure_adapted(references, session)


def _serialized(model: onnx.ModelProto, name: str) -> bytes:
    """Return the content of a model file.

    Raises:
        ModelRefusedError: it is larger than an ONNX file can be.

    """
    try:
        content: bytes = model.SerializeToString()
    except Exception as error:  # protobuf's own
        raise ModelRefusedError(f"{name} is too large for an ONNX file: {error}") from error
    return content
