"""Write an output and what belongs to it, never over a file that colorbatch did not make."""

from collections.abc import Sequence
from dataclasses import replace

from colorbatch.errors import PictureError, UnsafeOutputError, reason_of
from colorbatch.formats import decode, mark
from colorbatch.records.row import Row
from colorbatch.run.colorize import Encoded
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.resume import Hashes
from colorbatch.run.work import Work
from colorbatch.store.store import Store
from colorbatch.text import printable, to_utf_8


def write_output(encoded: Encoded, namesakes: Sequence[str], work: Work, hashes: Hashes) -> None:
    """Write an output, but never over a file that colorbatch did not make.

    A run that was killed between output and row leaves an output without a row: since equal sources give equal bytes,
    it is recognized by its sha256 and kept. In a store where nothing is announced, an output of another model or other
    settings is recognized by its mark.
    """
    run, row = work.run, encoded.row
    name, sha256 = str(row.output), str(row.output_sha256)
    earlier = run.earlier.get(row.input)
    is_its_own = earlier is not None and earlier.output == name
    is_ours = is_its_own or (name in run.written and hashes.of_output(name) in run.written[name])
    with work.gate.passed(), work.stages.timed("write") as cost:
        work.announce(name, sha256)
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


def without_earlier_output(row: Row, planned: PlannedPicture, work: Work) -> Row:
    """Remove the output of an earlier run under the other name of a source that is copied or coloured now.

    Call it when the new one is in place, and before its row is written: the earlier row is all that says that the file
    is ours. One that is not as colorbatch made it stays, and is in the warnings of the row that is returned.
    """
    output, earlier = work.run.output, work.run.earlier.get(row.input)
    name = None if earlier is None else earlier.output
    if earlier is None or name is None or name == row.output or name not in planned.possible_outputs:
        return row
    with work.gate.passed():
        if output.state(name) is None:
            return row
        try:
            if output.sha256(name) == earlier.output_sha256 and not output.is_link(name):
                output.delete(name)
                return row
            problem = "it was altered"
        except OSError as error:
            problem = reason_of(error)
    return replace(row, warnings=(*row.warnings, f"an earlier output, {printable(name)}, was not removed: {problem}"))


def with_copy(encoded: Encoded, work: Work, hashes: Hashes) -> Row:
    """Write the copy of a sidecar, if there is one; return the row, with a warning if it cannot be written.

    The copy of an earlier run that is not made any more stays, on record.
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
        write_output(Encoded(copy, encoded.sidecar), (), work, hashes)
    except UnsafeOutputError as error:
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
