"""The display of a dry run: what a run would do."""

import json
from collections import Counter
from collections.abc import Mapping

from rich.filesize import decimal

from colorbatch.cli import terminal
from colorbatch.cli.display import reporter
from colorbatch.job import BatchJob
from colorbatch.run.forecast import Forecast, forecast
from colorbatch.text import printable

_HAS_OUTPUT = ("colour", "again", "copied", "kept")


def show_plan(
    job: BatchJob, settings: Mapping[str, tuple[str, str]], *, look: bool, as_json: bool, quiet: bool
) -> None:
    """Print the plan of a run on stdout, one source per line, and a summary on stderr.

    Args:
        job: the run.
        settings: value and origin of each option.
        look: look at every source to colour.
        as_json: print all of it as one JSON object on stdout instead.
        quiet: print nothing on stderr.

    """
    with reporter(quiet=quiet) as progress:
        found = forecast(job, look=look, progress=progress)
    if as_json:
        terminal.answer(
            json.dumps(_facts(found) | {"settings": {name: value for name, (value, _) in settings.items()}})
        )
        return
    for planned, prospect in found.pictures:
        outcome = planned.output_name if prospect in _HAS_OUTPUT else planned.reason
        terminal.answer(f"{prospect}\t{printable(planned.input)}\t{printable(outcome)}")
    if not quiet:
        terminal.say("\n".join(_summary_lines(found, settings, finds_color=job.already_color != "recolor")))


def _facts(found: Forecast) -> dict[str, object]:
    return {
        "pictures": [
            {
                "input": planned.input,
                "prospect": prospect,
                "output": planned.output_name if prospect in _HAS_OUTPUT else None,
                "reason": planned.reason,
            }
            for planned, prospect in found.pictures
        ],
        "counts": dict(found.counts),
        "looked_at": found.is_looked_at,
        "bytes_to_read": found.bytes_to_read,
        "tried": found.tried,
        "seconds": found.seconds,
        "bytes_to_write": found.bytes_to_write,
        "bytes_free": found.bytes_free,
    }


def _summary_lines(found: Forecast, settings: Mapping[str, tuple[str, str]], *, finds_color: bool) -> list[str]:
    """Return what the run would do; ``finds_color``: it would not colour what turns out to be in colour."""
    counts = found.counts
    is_open = finds_color and not found.is_looked_at and counts["colour"] > 0
    copied = f"{counts['copied']} copied unchanged, " if counts["copied"] else ""
    up_to = "up to " if is_open else ""
    lines = [
        f"{len(found.pictures)} sources: {up_to}{counts['colour']} to colour, {counts['again']} to colour "
        f"again because they or the settings changed, {copied}{counts['kept']} kept, {counts['skipped']} skipped, "
        f"{counts['failed']} failed"
    ]
    reasons = Counter(planned.reason for planned, _ in found.pictures if planned.reason)
    lines += [f"  {count} {printable(reason)}" for reason, count in reasons.most_common()]
    if is_open:
        lines.append("  Pictures in colour are found while running, or with --look.")
    if found.is_looked_at:
        lines.append(
            "  This is as far as a look finds: what fails while it is coloured or written is found while running."
        )
    if found.seconds is not None and found.bytes_to_write is not None:
        free = "" if found.bytes_free is None else f"; {decimal(found.bytes_free)} free"
        lines.append(
            f"Estimate from {found.tried} of them: {terminal.about(found.seconds)} and "
            f"{decimal(found.bytes_to_write)} on disk{free}"
        )
    chosen = {name: (value, origin) for name, (value, origin) in settings.items() if origin != "default"}
    lines.append("Settings, besides the defaults:" if chosen else "Settings: the defaults")
    lines += [f"  {name.replace('_', '-')} = {value} ({origin})" for name, (value, origin) in chosen.items()]
    lines.append("Nothing was written.")
    return lines
