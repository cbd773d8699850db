"""``colorbatch sign``: sign the outputs of a folder."""

import json
from dataclasses import asdict

import click

from colorbatch.cli import options, terminal
from colorbatch.errors import ExitCode, UsageError
from colorbatch.job import SignOptions
from colorbatch.location import Location
from colorbatch.text import printable


@click.command("sign")
@click.argument("output", type=options.LOCATION)
@options.sign_options
@click.option(
    "--source",
    type=options.LOCATION,
    metavar="DIR",
    help="Folder of the sources: what signed sources say of themselves becomes part of the signature.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of pictures signed at the same time. [default: one per core]",
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
    signing: SignOptions | None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Sign the outputs below OUTPUT, a folder that colorbatch run wrote to, with Content Credentials (C2PA).

    A signature states which model added colours to which source, and who says so. Outputs that are signed already are
    kept. After an interruption, the same command continues. The exit code is 1 if an output was not signed for another
    reason than its format, or with --sign-strict for any.

    \b
    Example:
      colorbatch sign out/ --sign-cert chain.pem --sign-key key.pem
      colorbatch audit out/ --trust-anchors root.pem
    """
    from colorbatch.cli.display import reporter
    from colorbatch.operations.sign import sign_batch

    if signing is None:
        raise UsageError("a signature needs a certificate", advice="Give its chain with --sign-cert.")
    terminal.set_up_logging(verbose=False, quiet=quiet)
    with terminal.interruptible() as interruption, reporter(quiet=quiet) as progress:
        listener = terminal.HoldingProgress(progress, interruption)
        found = sign_batch(output, signing, source, jobs=jobs, progress=listener, stop=interruption.event)
    unsigned = len(found.unsupported) + len(found.not_signed)
    if as_json:
        terminal.answer(json.dumps(asdict(found)))
    for name, reason in (*found.unsupported, *found.not_signed):
        terminal.say(f"Not signed: {printable(name)}: {printable(reason)}")
    if not quiet:
        terminal.say(f"{found.signed} signed, {found.kept} were signed before, {unsigned} not signed")
    if found.stopped and interruption.exit_code:
        ctx.exit(interruption.exit_code)
    has_failed = bool(found.not_signed or (found.unsupported and signing.strict))
    ctx.exit(ExitCode.PICTURES_FAILED if has_failed else ExitCode.OK)
