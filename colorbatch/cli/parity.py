"""How a parity report looks, for ``export`` and ``verify``."""

from typing import TYPE_CHECKING

from colorbatch.cli import terminal

if TYPE_CHECKING:
    from colorbatch_export import ParityReport


def show(report: "ParityReport") -> None:
    """Print every comparison and the verdict on stderr."""
    has_vividness = any(each.vividness is not None for each in report.comparisons)
    rows = [
        [
            each.content,
            *([f"{each.vividness:g}"] if has_vividness else []),
            " x ".join(map(str, each.shape)),
            f"{each.max_abs:.2e}",
            f"{each.mean_abs:.2e}",
            str(each.max_rgb_levels),
            f"{each.mean_rgb_levels:.2f}",
        ]
        for each in report.comparisons
    ]
    of = " levels of RGB, the mean of all pictures" if report.tolerance_of == "mean_rgb_levels" else ""
    verdict = "passed" if report.passed else "FAILED"
    shown = terminal.table(
        [
            "input",
            *(["vividness"] if has_vividness else []),
            "shape",
            "max |diff|",
            "mean |diff|",
            "RGB levels",
            "mean",
        ],
        rows,
        title=f"PyTorch against ONNX Runtime on {report.provider}: {verdict} (tolerance {report.tolerance:g}{of})",
    )
    terminal.say(shown)
