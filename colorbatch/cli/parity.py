"""The display of a parity report, for ``export``, ``adopt`` and ``verify``."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from colorbatch.cli import terminal
from colorbatch.text import printable, shell_quoted

if TYPE_CHECKING:
    from colorbatch_export import Comparison, ParityReport


def show(report: "ParityReport") -> None:
    """Print the worst figures of each kind of input, over all sizes and batches, and the verdict, on stderr."""
    of = {
        "max_abs": "",
        "max_rgb_levels": f" levels of RGB, mean {report.mean_tolerance:g}",
        "mean_rgb_levels": " levels of RGB, mean over all pictures",
    }[report.tolerance_of]
    compared = f"{report.reference} against ONNX Runtime on {report.provider}"
    verdict = "passed" if report.passed else "FAILED"
    shown = terminal.table(
        ["input", "vivid", "hints", "shapes", "max |diff|", "mean |diff|", "levels", "mean"],
        [_row(list(group)) for _, group in groupby(sorted(report.comparisons, key=_kind), key=_kind)],
        title=f"{compared}: {verdict} (tolerance {report.tolerance:g}{of})",
    )
    terminal.say(shown)


def verdict(report: "ParityReport") -> str:
    """Return the result of a report as one line."""
    if report.tolerance_of == "mean_rgb_levels":
        found = f"mean {report.summary.mean_rgb_levels:.2g} levels of RGB (limit {report.tolerance:g})"
    elif report.tolerance_of == "max_rgb_levels":
        mean, mean_limit = report.summary.mean_rgb_levels, report.mean_tolerance
        found = (
            f"max {report.summary.max_rgb_levels} levels of RGB (limit {report.tolerance:g}), "
            f"mean {mean:.2g} (limit {mean_limit:g})"
        )
    else:
        found = f"max {_short(report.summary.max_abs)} (limit {_short(report.tolerance)})"
    return f"{'PASS' if report.passed else 'FAIL'}: {found}"


def show_result(path: Path, report: "ParityReport") -> None:
    """Say which model was written and how to use it, and the verdict, on stderr."""
    shown, argument = printable(str(path)), shell_quoted(str(path))
    size = path.stat().st_size / 1e6
    terminal.say(f"Wrote {shown} ({size:.1f} MB). Use it with: colorbatch run --model {argument} SOURCE OUTPUT")
    terminal.say(verdict(report))


def _short(number: float) -> str:
    """Return a number with at most two digits, such as ``1.8e-7``."""
    mantissa, _, exponent = f"{number:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}" if exponent else mantissa


def _kind(comparison: "Comparison") -> tuple[str, float, bool]:
    return comparison.content, -1.0 if comparison.vividness is None else comparison.vividness, comparison.hinted


def _row(alike: Sequence["Comparison"]) -> list[str]:
    first = alike[0]
    return [
        first.content,
        "" if first.vividness is None else f"{first.vividness:g}",
        "yes" if first.hinted else "no",
        str(len({each.shape for each in alike})),
        f"{max(each.max_abs for each in alike):.2e}",
        f"{max(each.mean_abs for each in alike):.2e}",
        str(max(each.max_rgb_levels for each in alike)),
        f"{fmean(each.mean_rgb_levels for each in alike):.2f}",
    ]
