"""``colorbatch merge``: join the shards of a job."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from colorbatch.cli import options, terminal
from colorbatch.errors import ExitCode
from colorbatch.location import Location, shown
from colorbatch.text import printable

if TYPE_CHECKING:
    from colorbatch.operations.merge import Joined


@click.command("merge")
@click.argument("output", type=options.LOCATION)
@options.json_option
@options.quiet_option
@click.pass_context
def command(ctx: click.Context, /, output: Location, *, as_json: bool, quiet: bool) -> None:
    """Write the manifest of OUTPUT, a folder that the shards of a job (colorbatch run --shard) wrote to.

    Missing shards are listed; run them again, then merge again. The exit code is 0 if every shard finished and no
    picture failed, 1 otherwise.

    \b
    Example:
      colorbatch run --shard 1/2 old_photos/ out/
      colorbatch run --shard 2/2 old_photos/ out/
      colorbatch merge out/
    """
    from colorbatch.operations.merge import join_shards

    terminal.set_up_logging(verbose=False, quiet=quiet)
    joined = join_shards(output)
    if as_json:
        terminal.answer(json.dumps(asdict(joined) | {"whole": joined.is_whole}))
    if not quiet or not joined.is_whole:
        for line in _lines(joined, output):
            terminal.say(line)
    ctx.exit(ExitCode.OK if joined.is_whole and not joined.failed else ExitCode.PICTURES_FAILED)


def _lines(joined: "Joined", output: Location) -> list[str]:
    if not joined.shards:
        return [f"There are no shards to merge in {printable(shown(output))}: its manifest is complete."]
    lines = [
        *(f"Missing: shard {index}/{joined.shards} was killed or never started" for index in joined.missing),
        *(f"Missing: shard {index}/{joined.shards} was stopped before it finished" for index in joined.stopped),
    ]
    if lines:
        lines.append("Run these again with the same --shard, then merge again.")
    if joined.ways > 1:
        lines.append(f"The shards were made with {joined.ways} different combinations of model and settings.")
    there = joined.shards - len(joined.missing) - len(joined.stopped)
    counts = f"{joined.done} done, {joined.skipped} skipped, {joined.failed} failed"
    return [*lines, f"Merged {there} of {joined.shards} shards: {counts}"]
