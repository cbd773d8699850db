"""Colour one file into one file, by the code of a run, without a manifest."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from colorbatch.errors import PictureError, UnreadablePictureError, UsageError, reason_of
from colorbatch.formats import format_written_as, sniff
from colorbatch.formats.kinds import KINDS, SNIFFED
from colorbatch.inference.colorizer import Colorizer, chosen_options, opened, refuse_other_hints
from colorbatch.inference.model_file import read_model_file
from colorbatch.job import AlreadyColor, BatchJob, DigitalSourceType, JpegLuma, Sidecars, refuse_other_than_flag
from colorbatch.location import LocationLike, as_path, is_local
from colorbatch.pixels.hint import Hint
from colorbatch.records.retouch import Retouch, RetouchLine
from colorbatch.records.row import Row
from colorbatch.run.colorize import Encoded, NoOutput, Recipe, colorize_source
from colorbatch.run.engines.local import open_session
from colorbatch.run.engines.provider_choice import choose_provider
from colorbatch.run.output import with_time
from colorbatch.run.plan import PlannedPicture, sidecars_beside
from colorbatch.run.sidecars import Sidecar, name_of_copy
from colorbatch.run.writing import is_made_of
from colorbatch.stages import StageTimer
from colorbatch.store import open_store
from colorbatch.store.local import LocalStore
from colorbatch.text import shell_quoted

_WRITTEN = " ".join(kind.extensions[0] for kind in KINDS.values() if format_written_as(kind.extensions[0]))


@dataclass(frozen=True)
class SourceFile:
    """A file that was read."""

    name: str
    """Its name, which the mark of the output states."""
    content: bytes
    modified: float | None = None
    """Time of its last change, in seconds since 1970; ``None``: unknown."""
    sidecars: tuple[Sidecar, ...] = ()
    """XMP files beside it, read."""


def colorize_file(
    source: LocationLike,
    output: LocationLike,
    model: Colorizer | str | os.PathLike[str] | None = None,
    *,
    hints: Sequence[Hint] = (),
    already_color: AlreadyColor = BatchJob.already_color,
    salvage: bool = BatchJob.salvage,
    jpeg_luma: JpegLuma = BatchJob.jpeg_luma,
    convert_profile: bool = BatchJob.convert_profile,
    sidecars: Sidecars = BatchJob.sidecars,
    digital_source_type: DigitalSourceType | None = BatchJob.digital_source_type,
    max_megapixels: float = BatchJob.max_megapixels,
    preserve_times: bool = BatchJob.preserve_times,
    overwrite: bool = False,
) -> Row:
    """Colour a picture file into another file, as ``colorbatch run SOURCE OUTPUT`` does, with metadata and mark.

    The extension of the output decides its format. If that is the format of a run over a folder, so are the bytes.

    Args:
        source: a file on this machine, or in a store.
        output: the file to write, on this machine; its folder is created if necessary.
        model: from :func:`colorbatch.open_model`; a name or a path, or ``None`` for the built-in one, is opened at each
            call.
        hints: colours that are known, for a model that supports them; for all pages.
        already_color: as in :class:`colorbatch.BatchJob`, like the following ones.
        salvage: likewise.
        jpeg_luma: likewise.
        convert_profile: likewise.
        sidecars: likewise.
        digital_source_type: likewise.
        max_megapixels: likewise.
        preserve_times: likewise.
        overwrite: whether to replace an existing file that differs from what is to be written.

    Returns:
        The row that a manifest would have. With the status ``skipped``, nothing was written, for the ``reason`` in it:
        the picture is in colour already.

    Raises:
        TypeError: an argument has another type; the message begins with its name.
        PictureError: the source cannot be coloured, or the format cannot hold it.
        UsageError: the source is missing; the output exists, is the source, or has another extension.
        OutputUnwritableError: the output cannot be written.
        ModelRefusedError, EnvironmentFailure: as :func:`colorbatch.open_model`.

    """
    started = time.perf_counter()
    path = as_path(output, "output")
    refuse_other_hints(hints)
    refuse_other_than_flag("overwrite", overwrite)
    job = BatchJob(
        source,
        path,
        already_color=already_color,
        salvage=salvage,
        jpeg_luma=jpeg_luma,
        convert_profile=convert_profile,
        sidecars=sidecars,
        digital_source_type=digital_source_type,
        max_megapixels=max_megapixels,
        preserve_times=preserve_times,
    )
    refuse_output(job.source, path)
    file = read_source(job.source, reads_sidecars=job.sidecars != "ignore")
    colorizer = opened(model)
    job = replace(job, options=chosen_options(colorizer))
    result = colorize_one(file, path.name, job, colorizer, hints)
    row = write(result, file, job, overwrite=overwrite) if isinstance(result, Encoded) else result.row
    return replace(row, seconds=round(time.perf_counter() - started, 4))


def open_colorizer(job: BatchJob) -> Colorizer:
    """Open the model of a job for one picture, which may use all cores.

    Raises:
        ModelRefusedError: the model does not keep the contract.
        EnvironmentFailure: ONNX Runtime or the provider is missing.
        UsageError: the options do not fit the model.

    """
    model = read_model_file(job.model)
    provider, _ = choose_provider(job, 1, model)
    return Colorizer(open_session(replace(job, provider=provider, jobs=1), model), job.options, timeout=job.timeout)


def refuse_output(source: LocationLike | None, output: Path) -> None:
    """Check that an output can be written without looking at what it would be.

    Args:
        source: the file that it is made from; ``None``: stdin.
        output: the file.

    Raises:
        UsageError: it has the extension of no format that is written, is a folder or the source, or cannot be accessed.

    """
    if format_written_as(output.suffix) is None:
        folder = "" if source is None else ", or give a folder: the output gets the name of its source there"
        raise UsageError(
            f"the extension of the output {output} is none that is written", advice=f"Write one of {_WRITTEN}{folder}."
        )
    already_exists = LocalStore(output).is_itself_a_file()
    if output.is_dir():
        raise UsageError(f"the output {output} is a folder", advice="Give the name of a file.")
    if already_exists and is_local(source) and source.exists() and output.samefile(source):
        raise UsageError(
            f"the output {output} is the source, or a link to it", advice="Choose another name for the output."
        )


def read_source(source: LocationLike, *, reads_sidecars: bool = False) -> SourceFile:
    """Read a file, and what is beside it.

    Raises:
        UsageError: there is none, or it is a folder, a pipe or a device.
        UnreadablePictureError: it cannot be read.
        StoreUnavailableError: its store does not respond, or denies access.

    """
    store = open_store(source)
    if not store.is_itself_a_file() or not store.is_file(""):
        raise UsageError(f"the source {store.shown} is no regular file")
    try:
        head = store.head("", SNIFFED)
        content = store.read("", head.size)
    except OSError as error:
        advice = "Check its permissions and the disk."
        raise UnreadablePictureError(f"cannot read the file: {reason_of(error)}", advice=advice) from error
    sidecars = sidecars_beside(store.base_name, store) if reads_sidecars else ()
    return SourceFile(store.base_name, content, head.modified, sidecars)


def colorize_one(
    source: SourceFile,
    output_name: str,
    job: BatchJob,
    colorizer: Colorizer,
    hints: Sequence[Hint] = (),
    stages: StageTimer | None = None,
) -> Encoded | NoOutput:
    """Return the output of a file, and its row.

    Args:
        source: the file.
        output_name: name of the output, whose extension decides the format; without one, the kind of the source does.
        job: the settings; its source and its output are not looked at.
        colorizer: the model.
        hints: colours that are known.
        stages: receives where the time was spent.

    Raises:
        PictureError: the source cannot be coloured, or the format cannot hold it.

    """
    kind, wanted = sniff(source.content[:SNIFFED]), format_written_as(Path(output_name).suffix)
    other = wanted if wanted is not None and kind is not None and wanted != kind.written_as else ""
    recipe = Recipe(job, colorizer.session.model, colorizer.options, other)
    planned = PlannedPicture(
        "",
        source.name,
        output_name,
        bytes=len(source.content),
        modified=source.modified,
        sidecars=source.sidecars,
        retouch=Retouch((RetouchLine(source.name, hints=tuple(hints)),)) if hints else None,
    )
    try:
        result = colorize_source(source.content, planned, recipe, colorizer, stages or StageTimer())
    except MemoryError as error:
        raise PictureError("not enough memory") from error
    if not isinstance(result, Encoded):
        return result
    copy = None if result.sidecar is None else name_of_copy(output_name)
    return replace(result, row=replace(result.row, output=output_name, sidecar_output=copy))


def write(result: Encoded, source: SourceFile, job: BatchJob, *, overwrite: bool) -> Row:
    """Write an output to ``job.output``; return its row.

    Raises:
        UsageError: another file exists there, and is not to be overwritten.
        OutputUnwritableError: it cannot be written.

    """
    output = cast("Path", job.output)
    files = [(output, result.content, str(result.row.output_sha256))]
    if result.sidecar is not None:
        copy = output.with_name(name_of_copy(output.name))
        files.append((copy, result.sidecar, str(result.row.sidecar_output_sha256)))
    if not overwrite:
        files = [each for each in files if not _is_there(job.source, each[0], each[2])]
    for path, content, sha256 in files:
        _write(job.source, path, content, sha256, overwrite=overwrite)
    planned = PlannedPicture("", source.name, output.name, modified=source.modified)
    return with_time(result.row, planned, job, LocalStore(output.parent))


def _is_there(source: LocationLike | None, output: Path, sha256: str) -> bool:
    """Return whether a file that is made from ``source`` is there already.

    Raises:
        UsageError: another one is.

    """
    if LocalStore(output.parent).state(output.name) is None:
        return False
    _refuse_other(source, output, sha256)
    return True


def _write(source: LocationLike | None, output: Path, content: bytes, sha256: str, *, overwrite: bool) -> None:
    """Write a file that is made from ``source``.

    Raises:
        UsageError: another one has been made meanwhile.
        OutputUnwritableError: it cannot be written.

    """
    try:
        LocalStore(output.parent).write(output.name, content, may_replace=overwrite)
    except FileExistsError:
        _refuse_other(source, output, sha256)


def _refuse_other(source: LocationLike | None, output: Path, sha256: str) -> None:
    """Check that an existing file is what would be written.

    Raises:
        UsageError: it is not.

    """
    store = LocalStore(output.parent)
    if store.sha256(output.name) == sha256 and not store.is_link(output.name):
        return
    advice = "Choose another name, or write over it with --overwrite."
    if (
        is_local(source)
        and source.is_file()
        and _is_picture(store, output.name)
        and not is_made_of(source.name, store, output.name)
    ):
        both = " ".join(shell_quoted(os.fspath(each)) for each in (source, output))
        advice = (
            "Two names mean one picture in, and one out: to write over the second, add --overwrite. To colour both, "
            f"give a folder for their outputs: colorbatch run {both} out/"
        )
    raise UsageError(f"{output} already exists, and is not what would be written", advice=advice)


def _is_picture(store: LocalStore, name: str) -> bool:
    try:
        return sniff(store.head(name, SNIFFED).start) is not None
    except OSError:
        return False
