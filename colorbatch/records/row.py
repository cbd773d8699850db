"""One line of the record: the outcome for one source."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import PurePath
from typing import get_args

from colorbatch.formats import SALVAGED
from colorbatch.job import Luma, Status
from colorbatch.text import to_locale, to_utf_8

SCHEMA = 1
NOT_REACHED = "not reached: the run was stopped before it"
"""Reason in the row of a source that is left for the next run."""
MIGHT_BE_COLOR = "it might be a colour photograph"
"""Reason in the row of a source that is not coloured for that; beginning of the warning of one that is."""
_TEXTS = (
    *("output", "reason", "input_sha256", "output_sha256", "model", "model_sha256", "settings_sha256", "provider"),
    *("retouch_sha256", "digital_source_type", "finished_at", "version", "input_etag", "output_etag", "luma"),
)
_NUMBERS = ("input_bytes", "output_bytes", "width", "height", "bits", "frames", "seconds", "confidence")


@dataclass(frozen=True)
class Row:
    """Outcome for one source."""

    input: str
    """Path below the source, POSIX style, with undecodable bytes as surrogate escapes."""
    output: str | None = None
    """Path below the output folder; ``None``: there is no output."""
    status: Status = "skipped"
    reason: str = ""
    """Why it was skipped or failed."""
    input_sha256: str | None = None
    output_sha256: str | None = None
    input_etag: str | None = None
    """ETag or generation of the source, which changes with its content; ``None``: not reported by the store."""
    output_etag: str | None = None
    """ETag or generation of the output, likewise."""
    input_bytes: int | None = None
    output_bytes: int | None = None
    input_modified: float | None = None
    """Time of the last change of the source, in seconds since 1970; ``None``: unknown, or too close to the time at
    which it was read to prove that it has not changed since."""
    is_input_trusted: bool = False
    """Whether the last run did not read the source, since its size and time were unchanged."""
    width: int | None = None
    height: int | None = None
    bits: int | None = None
    """Bits per channel of the output."""
    frames: int | None = None
    warnings: Sequence[str] = ()
    """What could not be kept from the source."""
    model: str | None = None
    model_sha256: str | None = None
    settings_sha256: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    """Settings that determine the output and were not left at their defaults."""
    retouch_sha256: str | None = None
    """Hash of what a person said about it in the retouch record; ``None``: nothing."""
    provider: str | None = None
    confidence: float | None = None
    """The model's confidence in its colours, 0..1: 10 / (10 + the mean CIEDE2000 that it expects); the lowest of all
    pages. ``None``: not reported."""
    luma: Luma | None = None
    """What became of the luma of the source; ``None``: not coloured, or made by an older version."""
    digital_source_type: str | None = None
    """IPTC NewsCode stored in the output; ``None``: it does not state that a model made its colours."""
    seconds: float | None = None
    finished_at: str | None = None
    """Time of completion, UTC, ISO 8601."""
    version: str | None = None
    """Version of colorbatch."""
    schema: int = SCHEMA

    @property
    def is_salvaged(self) -> bool:
        """Whether parts of the source could not be read."""
        return any(warning.startswith(SALVAGED) for warning in self.warnings)

    @property
    def might_be_color(self) -> bool:
        """Whether it was coloured, but might have been a colour photograph."""
        return any(warning.startswith(MIGHT_BE_COLOR) for warning in self.warnings)

    def with_output_of(self, earlier: "Row") -> "Row":
        """Return the row with the output of an earlier row."""
        return replace(
            self,
            output=earlier.output,
            output_sha256=earlier.output_sha256,
            output_bytes=earlier.output_bytes,
            output_etag=earlier.output_etag,
            input_sha256=self.input_sha256 or earlier.input_sha256,
            digital_source_type=earlier.digital_source_type,
        )

    def to_json(self) -> bytes:
        """Return the row as one line of ASCII JSON."""
        row = replace(self, input=to_utf_8(self.input), output=self.output and to_utf_8(self.output))
        return json.dumps(asdict(row), ensure_ascii=True, sort_keys=True).encode("ascii") + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> "Row":
        """Parse a row.

        Raises:
            ValueError: it is not a row of this schema.

        """
        values = json.loads(line)
        if not isinstance(values, dict) or values.get("schema") != SCHEMA or not isinstance(values.get("input"), str):
            raise ValueError(f"not a manifest row of schema {SCHEMA}")
        known = {field.name for field in fields(cls)}
        row = cls(**{key: value for key, value in values.items() if key in known})
        texts = [getattr(row, name) for name in _TEXTS]
        if row.status not in get_args(Status) or not all(isinstance(text, str | None) for text in texts):
            raise ValueError("a field has the wrong type")
        numbers = [getattr(row, name) for name in _NUMBERS]
        if not all(number is None or (isinstance(number, int | float) and 0 <= number < 2**63) for number in numbers):
            raise ValueError("a field is not a number")
        if not (row.input_modified is None or _is_time(row.input_modified)):
            raise ValueError("a time is not a number")
        if not isinstance(row.is_input_trusted, bool):
            raise ValueError("a field is neither true nor false")  # noqa: TRY004 (as for all others)
        if not isinstance(row.settings, dict):
            raise ValueError("its settings are not an object")  # noqa: TRY004
        if not all(isinstance(text, str) for text in row.warnings):
            raise ValueError("its warnings are not strings")
        if not all(_is_inside(name) for name in (row.input, row.output) if name is not None):
            raise ValueError("it names a file outside its folder")
        output = row.output and to_locale(row.output)
        return replace(row, input=to_locale(row.input), output=output, warnings=tuple(row.warnings))


def _is_time(value: object) -> bool:
    """Return whether a value is a number of seconds since 1970, negative before."""
    return isinstance(value, int | float) and -(2**63) < value < 2**63


def _is_inside(name: str) -> bool:
    """Return whether a name from an untrusted manifest stays below its folder."""
    path = PurePath(name)
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in name
