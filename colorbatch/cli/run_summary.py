"""The summary at the end of ``colorbatch run``."""

import logging
from collections.abc import Mapping
from typing import get_args

from colorbatch.cli import terminal
from colorbatch.file_type import file_type_named
from colorbatch.job import BatchJob, BatchSummary, Luma
from colorbatch.location import Location, is_local, shown
from colorbatch.text import printable, shell_quoted

logger = logging.getLogger(__name__)

_FAILURES_SHOWN = 10
_REASONS_SHOWN = 5


def show(summary: BatchSummary, job: BatchJob, *, quiet: bool, verbose: bool, wants_report: bool) -> None:
    """Log the summary; print it too, as a table and with what to do next on a terminal.

    With ``quiet`` it is printed only after failures.
    """
    is_terminal = terminal.is_terminal()
    last = []
    if quiet:  # they were not shown when they happened
        named = summary.failures[:_FAILURES_SHOWN]
        last += [f"  failed: {printable(name)}: {printable(reason)}" for name, reason in named]
        if summary.failed > len(named):
            last.append(f"  and {summary.failed - len(named)} more, all in the manifest")
    if summary.luma:
        last.append(luma_sentence(summary.luma))
    if summary.doubtful:
        last.append(doubt_sentence(summary.doubtful))
    if summary.stopped:
        last.append(f"Stopped: {summary.not_reached} left. Run the same command again to resume.")
    if job.shard is None:
        last.append(f"Manifest: {printable(shown(job.output / 'colorbatch-manifest.jsonl'))}")
    else:
        last.append(f"This was shard {job.shard}. When all are done: colorbatch merge {_argument(job.output)}")
    if not quiet or summary.failed:
        first = terminal.aligned(_table(summary)) if is_terminal else _line(summary)
        skipped = skipped_lines(summary, with_hints=is_terminal)
        next_step = _next_step(summary, job) if is_terminal and not wants_report else []
        terminal.say("\n".join([first, *skipped, *(_stages(summary) if verbose else ()), *last, *next_step]))
    for line in [_line(summary), *skipped_lines(summary), *_stages(summary), *last]:
        logger.debug("%s", line.strip())


def _next_step(summary: BatchSummary, job: BatchJob) -> list[str]:
    """Return the command that shows the outputs, if there are some that a report can show."""
    if summary.stopped or not summary.done or job.shard is not None or not is_local(job.output):
        return []
    has_folder = is_local(job.source) and job.files is None
    source = f" --source {_argument(job.source)}" if has_folder else ""
    return [f"See them before and after: colorbatch report {_argument(job.output)}{source} --open"]


def _argument(place: Location) -> str:
    """Return a place as it is typed on a command line."""
    return shell_quoted(shown(place))


def _line(summary: BatchSummary) -> str:
    """Return the result of a run as one line, for logs."""
    copied = f"{summary.copied} copied, " if summary.copied else ""
    return (
        f"{summary.coloured} coloured, {summary.kept} kept, {copied}"
        f"{summary.skipped - summary.not_reached} skipped, {summary.failed} failed in {summary.seconds:.1f} s "
        f"({_rates(summary)}, {summary.megapixels:.1f} MP, model {summary.model} on {_provider(summary)})"
    )


def luma_sentence(numbers: Mapping[Luma, int]) -> str:
    """Return what became of the luma of the pictures that were coloured, as a sentence."""
    exact, rounded, encoded = (numbers.get(each, 0) for each in get_args(Luma))
    sentences = []
    if exact or rounded:
        ways = [f"{exact} bit for bit"] * bool(exact) + [f"{rounded} within 1 level"] * bool(rounded)
        of_all = f" of {exact + rounded + encoded}" if encoded else ""
        photographs = "photograph" if exact + rounded == 1 and not encoded else "photographs"
        sentences.append(f"{exact + rounded}{of_all} {photographs}: every grey value unchanged ({', '.join(ways)})")
    if encoded:
        sentences.append(f"{encoded} JPEG{'s' * (encoded > 1)}: luma was encoded again")
    return "; ".join(sentences)


def doubt_sentence(count: int) -> str:
    """Return how many of the pictures that were coloured might be colour photographs, and what to do."""
    if count == 1:
        found = "1 coloured picture might be a colour photograph: see its warning, or the report, which begins with it"
    else:
        found = (
            f"{count} coloured pictures might be colour photographs: see their warnings, or the report, which begins "
            "with them"
        )
    return f"{found}; with --doubtful-color skip or copy, such pictures are not coloured"


def _table(summary: BatchSummary) -> dict[str, str]:
    """Return the result of a run as a table, for a terminal."""
    counts = {
        "Coloured": summary.coloured,
        "Kept": summary.kept,
        "Copied": summary.copied,
        "Skipped": summary.skipped - summary.not_reached,
        "Failed": summary.failed,
    }
    width = len(str(max(counts.values())))
    return {
        **{name: f"{count:{width}}" for name, count in counts.items()},
        "Time": f"{terminal.duration(summary.seconds)}, {_rates(summary)}",
        "Model": f"{printable(summary.model)} on {_provider(summary)}",
    }


def skipped_lines(summary: BatchSummary, *, with_hints: bool = False) -> list[str]:
    """Return a line for each reason for which sources were skipped, the most frequent first.

    Args:
        summary: of the run.
        with_hints: name the option that changes it.

    """
    from colorbatch.records.row import MIGHT_BE_COLOR, NOT_REACHED
    from colorbatch.run.plan import NOT_SUPPORTED
    from colorbatch.run.treatment import IN_COLOR

    reasons = {reason: count for reason, count in summary.skip_reasons.items() if reason != NOT_REACHED}
    lines = []
    shown_reasons = _most_frequent(reasons)
    for reason, count in shown_reasons:
        kinds = [f"{number} {printable(kind)}" for kind, number in _most_frequent(summary.unsupported)]
        if len(kinds) < len(summary.unsupported):
            kinds.append("others")
        detail = f" ({', '.join(kinds)})" if reason == NOT_SUPPORTED else ""
        if with_hints and reason == IN_COLOR:
            detail = " (--already-color recolor colours them too)"
        if with_hints and reason == MIGHT_BE_COLOR:
            detail = " (--doubtful-color color colours them too)"
        lines.append(f"  {count} skipped: {printable(reason).removeprefix('it is ')}{detail}")
        if reason == NOT_SUPPORTED:
            lines += _advice_for(summary.unsupported)
    others = len(reasons) - len(shown_reasons)
    return (
        [*lines, f"  and for {others} other {'reason' if others == 1 else 'reasons'}, all in the manifest"]
        if others
        else lines
    )


def _advice_for(unsupported: Mapping[str, int]) -> list[str]:
    """Return a line for each type of file among those skipped for which it is known what to do with it."""
    found = (file_type_named(f"x{kind}") for kind, _ in _most_frequent(unsupported))
    return [f"    {each.name}: {each.advice}" for each in dict.fromkeys(found) if each is not None]


def _most_frequent(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the first of the counts, the highest first, and equal ones by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_REASONS_SHOWN]


def _provider(summary: BatchSummary) -> str:
    return f"{summary.provider}: {summary.provider_reason}" if summary.provider_reason else summary.provider


def _rates(summary: BatchSummary) -> str:
    seconds = summary.seconds or float("inf")
    return f"{summary.coloured / seconds:.1f} pictures/s, {summary.megapixels / seconds:.1f} MP/s"


def _stages(summary: BatchSummary) -> list[str]:
    """Return a line for each stage: its cost in all threads together."""
    return [
        f"  {stage}: {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} s of CPU time, {cost.megabytes:.0f} MB"
        for stage, cost in summary.stages.items()
    ]
