"""The page of a report: its data as JSON for the script, and its HTML from a template that escapes all values."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from colorbatch.inference.model_names import named_models
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.records.row import Row
from colorbatch.report import previews, scores
from colorbatch.report.decisions import OWN_MODEL
from colorbatch.report.overview import Overview
from colorbatch.report.previews import Preview
from colorbatch.text import printable, to_utf_8
from colorbatch.version import __version__

ASSETS = ("report.css", "report.js")
_FAILURES_SHOWN = 100
"""Maximum number of failures in the summary; the filter finds the others."""
_SHARED_FIELDS = ("model", "model_sha256", "settings_sha256", "provider", "digital_source_type", "version")
"""Fields that most rows have in common: each combination is stored once in the data, and rows refer to its index."""
_ROW_FIELDS = (
    "reason",
    "input_sha256",
    "output_sha256",
    "input_bytes",
    "width",
    "height",
    "bits",
    "frames",
    "seconds",
    "confidence",
)


@dataclass(frozen=True)
class Shown:
    """A row with its preview and its concerns."""

    row: Row
    preview: Preview
    concerns: Mapping[scores.Concern, float]

    @property
    def first_look(self) -> tuple[int, float, float, str]:
        """Sort key of the order "look at this first".

        Failures come first, then rows with damaged or altered files, then pictures that might be colour photographs,
        then all measured ones by score and doubt, then the rest.
        """
        if self.row.status == "failed":
            group = 0
        elif self.preview.notes or self.row.is_salvaged:
            group = 1
        elif self.row.might_be_color:
            group = 2
        else:
            group = 3 if self.preview.measures else 4
        doubt = scores.doubt(self.preview.measures, self.row.confidence) if self.preview.measures else 0.0
        return group, -scores.score(self.concerns), -doubt, self.row.input


@dataclass(frozen=True)
class Subject:
    """Facts about the batch that the page shows."""

    title: str
    batch: str
    """Unique name of the batch, under which marks are stored."""
    source: str | None
    """Relative reference from the page to the sources; ``None``: not given."""
    shell_paths: Mapping[str, str]
    """Absolute paths, quoted for the shell, of the ``output`` and of the ``source`` if it is given."""
    model: str
    """Value of ``--model`` for a run with the model of the batch; empty: it need not be given."""
    retouch_lines: Sequence[str]
    """Lines of the retouch record of the output folder."""
    unfinished: bool
    """Whether a run is in progress or was killed."""
    without_row: int | None
    """Number of sources without a row; ``None``: unknown."""


def reference(name: str) -> str:
    """Return a path as a relative reference (RFC 3986), with bytes that a URL cannot contain percent-encoded."""
    return quote(os.fsencode(name))


def with_concerns(rows: Sequence[Row], shown: Sequence[Preview]) -> list[Shown]:
    """Return the rows with their concerns, in the order in which to look at them."""
    measured = [preview.measures for preview in shown if preview.measures]
    batch = scores.typical([each.colourfulness for each in measured])
    found = [
        Shown(row, preview, scores.concerns(preview.measures, batch, row.confidence) if preview.measures else {})
        for row, preview in zip(rows, shown, strict=True)
    ]
    return sorted(found, key=lambda each: each.first_look)


def data_of(shown: Sequence[Shown], subject: Subject) -> dict[str, Any]:
    """Return the data for the script of the page, with texts as in the manifest."""
    makers: dict[tuple[Any, ...], int] = {}
    pictures = []
    for each in shown:
        row, preview = each.row, each.preview
        facts: dict[str, Any] = {
            "input": to_utf_8(row.input),
            "status": row.status,
            **{name: getattr(row, name) for name in _ROW_FIELDS},
            "warnings": row.warnings,
            "finished_at": row.finished_at,
            "maker": makers.setdefault(tuple(getattr(row, name) for name in _SHARED_FIELDS), len(makers)),
            "preview": preview.name,
            "before": preview.before,
            "small": [preview.width, preview.height],
            "notes": preview.notes,
            "concerns": {concern: round(value, 2) for concern, value in each.concerns.items()},
            "score": round(100 * scores.score(each.concerns)),
        }
        if preview.measures:
            facts |= {"colourfulness": round(preview.measures.colourfulness, 1)}
        if printable(row.input) != facts["input"]:
            facts["name"] = printable(row.input)
        if row.output is not None:
            facts |= {"output": printable(row.output), "output_at": f"../{reference(row.output)}"}
        if subject.source is not None:
            facts["source_at"] = f"{subject.source}/{reference(row.input)}"
        pictures.append({name: value for name, value in facts.items() if value not in (None, "", (), [], {})})
    return {
        "batch": subject.batch,
        "title": printable(subject.title),
        "shell_paths": subject.shell_paths,
        "model": subject.model,
        "models": sorted(named_models()),
        "is_windows": os.name == "nt",
        "retouch": subject.retouch_lines,
        "makers": [dict(zip(_SHARED_FIELDS, maker, strict=True)) for maker in makers],
        "pictures": pictures,
    }


def render(shown: Sequence[Shown], overview: Overview, subject: Subject) -> bytes:
    """Return ``index.html``."""
    environment = Environment(
        loader=PackageLoader("colorbatch.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["printable"] = printable
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # and unsorted keys
    page = environment.get_template("index.html").render(
        subject=subject,
        retouch_name=RETOUCH_NAME,
        own_model=OWN_MODEL,
        overview=overview,
        failures=overview.failures[:_FAILURES_SHOWN],
        data=data_of(shown, subject),
        assets={name: f"{name}?{hashlib.sha256(asset(name)).hexdigest()[:12]}" for name in ASSETS},
        made_at=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        before=sorted({each.preview.before for each in shown if each.preview.before}),
        sides=(previews.SMALL_SIDE, previews.LARGE_SIDE),
        sizes=_sizes_in_words([each.preview for each in shown]),
    )
    return page.encode("utf-8")


def _sizes_in_words(shown: Sequence[Preview]) -> str:
    """Return the total size of all previews, and the mean per picture, as text."""
    sizes = [sum(size for _, size in preview.sizes) for preview in shown if preview.sizes]
    return f"{sum(sizes) / 1e6:,.1f} MB, {sum(sizes) / 1e3 / len(sizes):,.0f} kB per picture" if sizes else "nothing"


def asset(name: str) -> bytes:
    """Return the content of the script or the style sheet."""
    return (resources.files("colorbatch.report") / "static" / name).read_bytes()


def source_reference(source: Path, report: Path) -> str | None:
    """Return a relative reference from the page to the sources; ``None``: no relative path leads there."""
    folder = source.parent if source.is_file() else source
    try:
        return reference(Path(os.path.relpath(folder.resolve(), report.resolve())).as_posix())
    except (OSError, ValueError, RuntimeError):  # another drive; a link to itself
        return None
