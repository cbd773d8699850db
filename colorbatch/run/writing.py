"""Write an output and what belongs to it, never over a file that colorbatch did not make."""

import errno
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from colorbatch.errors import OutputUnwritableError, PictureError, UnsafeOutputError, reason_of
from colorbatch.formats import decode, mark
from colorbatch.records.row import Row
from colorbatch.run.colorize import Encoded, now
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.resume import Hashes
from colorbatch.run.work import Work
from colorbatch.store.store import Store
from colorbatch.text import printable, to_utf_8

_FATAL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
"""Write errors that the next picture would meet as well."""


def is_fatal(error: OutputUnwritableError) -> bool:
    """Return whether the next picture would meet an error as well."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _FATAL_ERRNOS


def write_files(encoded: Encoded, planned: PlannedPicture, work: Work, hashes: Hashes) -> Row:
    """Write an output, and then the copy of a sidecar; remove what an earlier run wrote under other names.

    A stop waits for all of it. Without the output, there is no copy: it would be beside a file that is not ours.

    Returns:
        The row, with a warning if the copy was not written, or an earlier file not removed.

    Raises:
        UnsafeOutputError: a file that colorbatch did not make is at the path of the output; nothing was written.
        OutputUnwritableError: the output cannot be written.

    """
    with work.gate.passed():
        _write(encoded, planned.namesakes, work, hashes, announced=encoded.row)
        row = _with_copy(encoded, work, hashes)
        names = {name for name, _ in (*encoded.row.outputs, *row.outputs)}
        return _without_earlier_files(row, names, planned, work)


def write_output(encoded: Encoded, namesakes: Sequence[str], work: Work, hashes: Hashes) -> None:
    """Write an output alone.

    Raises:
        UnsafeOutputError, OutputUnwritableError: as :func:`write_files`.

    """
    with work.gate.passed():
        _write(encoded, namesakes, work, hashes, announced=encoded.row)


def _write(
    encoded: Encoded, namesakes: Sequence[str], work: Work, hashes: Hashes, announced: Row | None = None
) -> None:
    """Write an output, but never over a file that colorbatch did not make.

    A run that was killed between output and row leaves an output without a row. What was ``announced`` says which row
    that is, or at least its sha256, by which it is recognized and kept. In a store where nothing is announced, an
    output of another model or other settings is recognized by its mark.
    """
    run, row = work.run, encoded.row
    name, sha256 = str(row.output), str(row.output_sha256)
    earlier = run.earlier.get(row.input)
    is_its_own = earlier is not None and earlier.output == name
    known = {*run.written.get(name, ()), *(sha256 for other, sha256 in _outputs_of(earlier) if other == name)}
    is_ours = is_its_own or (bool(known) and hashes.of_output(name) in known)
    with work.stages.timed("write") as cost:
        if announced is not None:
            announced = replace(announced, output_bytes=len(encoded.content), finished_at=now())
        work.announce(name, sha256, announced)
        work.announced[name] = sha256
        cost.megabytes = len(encoded.content) / 1e6
        try:
            run.output.write(name, encoded.content, may_replace=is_ours)
        except FileExistsError as error:
            if hashes.of_output(name) == sha256 and not run.output.is_link(name):
                return
            if namesake := next((each for each in namesakes if _is_output(each, name, work)), None):
                raise UnsafeOutputError(
                    f"its output has the same name there as that of another source, {printable(namesake)}",
                    advice="Rename one of the two, or choose an output folder that tells upper and lower case apart.",
                ) from error
            if not (run.output.is_remote and is_made_of(row.input, run.output, name)):
                raise UnsafeOutputError(
                    "a file that colorbatch did not make exists at the path of the output"
                ) from error
            run.output.write(name, encoded.content, may_replace=True)


def _without_earlier_files(row: Row, names: AbstractSet[str], planned: PlannedPicture, work: Work) -> Row:
    """Remove what an earlier run wrote under the other name of a source that is copied or coloured now.

    The earlier row is all that says that those files are ours: the new ones are in place, and their row is not written
    yet. One that is not as colorbatch made it stays, and is in the warnings of the row that is returned.

    Args:
        row: the new one.
        names: those of the present output and the copy of its sidecar.
        planned: the source.
        work: of the run.

    """
    for name, sha256 in _outputs_of(work.run.earlier.get(row.input)):
        if name in names or name not in planned.possible_outputs:
            continue
        if problem := _problem_of_removing(name, sha256, work.run.output):
            warning = f"an earlier output, {printable(name)}, was not removed: {problem}"
            row = replace(row, warnings=(*row.warnings, warning))
    return row


def _outputs_of(row: Row | None) -> Sequence[tuple[str, str]]:
    return () if row is None else row.outputs


def _problem_of_removing(name: str, sha256: str, output: Store) -> str:
    """Remove a file of that content, if there is one; return why not, or nothing."""
    if output.state(name) is None:
        return ""
    try:
        if output.sha256(name) != sha256 or output.is_link(name):
            return "it was altered"
        output.delete(name)
    except OSError as error:
        return reason_of(error)
    return ""


def _with_copy(encoded: Encoded, work: Work, hashes: Hashes) -> Row:
    """Write the copy of a sidecar, if there is one; return the row, with a warning if it cannot be written.

    The copy of an earlier run that is not made any more stays, on record.

    Raises:
        OutputUnwritableError: nor can anything else.

    """
    row, run = encoded.row, work.run
    earlier = run.earlier.get(row.input)
    if encoded.sidecar is None:
        if earlier is None or earlier.sidecar_output is None or run.output.state(earlier.sidecar_output) is None:
            return row
        warnings = (*row.warnings, "the copy of a sidecar of an earlier run is still there")
        name, sha256 = earlier.sidecar_output, earlier.sidecar_output_sha256
        return replace(row, warnings=warnings, sidecar_output=name, sidecar_output_sha256=sha256)
    copy = replace(row, output=row.sidecar_output, output_sha256=row.sidecar_output_sha256)
    try:
        _write(Encoded(copy, encoded.sidecar), (), work, hashes)
    except (UnsafeOutputError, OutputUnwritableError) as error:
        if isinstance(error, OutputUnwritableError):
            run.output.refuse_lost()
            if is_fatal(error):
                raise
        warnings = (*row.warnings, f"its sidecar was not copied: {error}")
        return replace(row, warnings=warnings, sidecars=(), sidecar_output=None, sidecar_output_sha256=None)
    return row


def _is_output(namesake: str, name: str, work: Work) -> bool:
    """Return whether a name leads to the output of another source, which has another spelling of that name."""
    sha256 = work.run.output.sha256(name)
    return sha256 is not None and sha256 in {work.announced.get(namesake), *work.run.written.get(namesake, ())}


def is_made_of(source: str, output: Store, name: str) -> bool:
    """Return whether the mark of a file in the output folder says that colorbatch made it from that source."""
    try:
        picture = decode(output.read(name))
        return all(mark.is_made_of(frame.metadata.xmp, to_utf_8(source)) for frame in picture.frames)
    except (OSError, PictureError, ValueError):
        return False
