"""``colorbatch audit``: prove that nothing is missing and only colour was added."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colorbatch.cli import options, terminal
from colorbatch.errors import ExitCode
from colorbatch.location import Location
from colorbatch.text import printable

if TYPE_CHECKING:
    from colorbatch.operations.output_check import Signature


_SIGNATURES: "Mapping[Signature, str]" = {
    "trusted": "signature trusted",
    "valid": "signature valid, trust not judged",
    "untrusted": "signature untrusted",
    "broken": "signature broken",
    "missing": "signature missing",
    "unchecked": "signature not checked: pip install 'colorbatch[c2pa]'",
}


@click.command("audit")
@click.argument("output", type=options.LOCATION)
@click.option(
    "--source",
    type=options.LOCATION,
    metavar="DIR",
    help="Folder of the sources: the luma of each output is compared with that of its source.",
)
@options.jobs_option
@options.retouch_options
@click.option(
    "--trust-anchors",
    type=options.PATH,
    metavar="FILE",
    help="Certificates in PEM to which those of signatures must lead.",
)
@options.json_option
@options.quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    output: Location,
    source: Location | None,
    jobs: int | None,
    retouch: Path | None,
    trust_anchors: Path | None,
    *,
    ignore_retouch: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Check every file below OUTPUT, a folder that colorbatch run wrote to, against its manifest.

    Every output must have the bytes that were written, state that a model made its colours, and be made as the retouch
    record says. There must be no other files. With --source, every source must have a row, and its output must have its
    luma. Signatures are validated, with --trust-anchors also as to who signed. The exit code is 0 if all of that is
    true, else 1.

    \b
    Example:
      colorbatch audit out/ --source old_photos/
    """
    from colorbatch.cli.display import reporter
    from colorbatch.operations.audit import audit_batch

    terminal.set_up_logging(verbose=False, quiet=quiet)
    with reporter(quiet=quiet) as progress:
        found = audit_batch(
            output,
            source,
            jobs=jobs,
            retouch=retouch,
            ignore_retouch=ignore_retouch,
            trust_anchors=trust_anchors,
            progress=progress,
        )
    if as_json:
        terminal.answer(json.dumps(asdict(found) | {"sound": found.is_sound}))
    elif not quiet or not found.is_sound:
        rows = [
            ["rows", str(found.rows)],
            ["done", str(found.done)],
            ["skipped", str(found.skipped)],
            ["failed", str(found.failed)],
            ["marked as coloured by a model", str(found.marked)],
            ["unmarked", str(found.unmarked)],
            ["luma compared with the source's", str(found.luma_compared)],
            ["findings", str(len(found.findings))],
        ]
        if found.luma_compared:
            rows.insert(-1, ["of these, bit for bit (JPEG)", str(found.luma_handed_on)])
            rows.insert(-1, ["largest difference of the others, in levels", f"{found.largest_luma_difference:.2f}"])
        for state, number in sorted(found.signatures.items()):
            rows.insert(-1, [_SIGNATURES[state], str(number)])
        terminal.answer(terminal.table(["checked", "number"], rows))
        for finding in found.findings:
            terminal.answer(f"{printable(finding.path)}: {printable(finding.problem)}")
    ctx.exit(ExitCode.OK if found.is_sound else ExitCode.PICTURES_FAILED)
