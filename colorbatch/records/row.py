"""One line of the record: the outcome for one source."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import PurePath
from typing import get_args

from colorbatch.formats import SALVAGED
from colorbatch.job import Luma, Status
from colorbatch.text import to_locale, to_utf_8

SCHEMA = 1
_STATUSES = get_args(Status)
_UNSURE_STARTS = ("", ".", "/", "\\")
_UNSURE = ("..", ":", "\0")
"""Starts and parts of names that may lead out of a folder; for all others, nothing has to be taken apart."""
NOT_REACHED = "not reached: the run was stopped before it"
"""Reason in the row of a source that is left for the next run."""
MIGHT_BE_COLOR = "it might be a colour photograph"
"""Reason in the row of a source that is not coloured for that; beginning of the warning of one that is."""
_TEXTS = (
    *("output", "reason", "input_sha256", "output_sha256", "model", "model_sha256", "settings_sha256", "provider"),
    *("retouch_sha256", "digital_source_type", "finished_at", "version", "input_etag", "output_etag", "luma", "c2pa"),
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
    c2pa: str | None = None
    """Identifier of the signed claim in the output (C2PA); ``None``: it is not signed."""
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
            c2pa=earlier.c2pa,
        )

    def to_json(self) -> bytes:
        """Return the row as one line of ASCII JSON."""
        output = self.output and to_utf_8(self.output)
        values = {**vars(self), "input": to_utf_8(self.input), "output": output}
        return json.dumps(values, ensure_ascii=True, sort_keys=True).encode("ascii") + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> "Row":
        """Parse a row.

        Raises:
            ValueError: it is not a row of this schema.

        """
        values = json.loads(line)
        if not isinstance(values, dict) or values.get("schema") != SCHEMA or not isinstance(values.get("input"), str):
            raise ValueError(f"not a manifest row of schema {SCHEMA}")
        _refuse_invalid(values)
        output = values.get("output")
        for unknown in values.keys() - _known_names():
            del values[unknown]
        values["input"] = to_locale(values["input"])
        values["output"] = output and to_locale(output)
        values["warnings"] = tuple(values.get("warnings", ()))
        return cls(**values)


def _refuse_invalid(values: Mapping[str, object]) -> None:
    """Raise unless the fields of a row have values of their kinds; those that are left out have their defaults.

    Raises:
        ValueError: one has not.

    """
    texts = [values.get(name) for name in _TEXTS]
    if values.get("status", "skipped") not in _STATUSES or not all(_is_text(text) for text in texts):
        raise ValueError("a field has the wrong type")
    if not all(_is_number(values.get(name)) for name in _NUMBERS):
        raise ValueError("a field is not a number")
    if not (values.get("input_modified") is None or _is_time(values["input_modified"])):
        raise ValueError("a time is not a number")
    if not isinstance(values.get("is_input_trusted", False), bool):
        raise ValueError("a field is neither true nor false")  # noqa: TRY004 (as for all others)
    if not isinstance(values.get("settings", {}), dict):
        raise ValueError("its settings are not an object")  # noqa: TRY004
    warnings = values.get("warnings", ())
    if not isinstance(warnings, list | tuple) or not all(isinstance(text, str) for text in warnings):
        raise ValueError("its warnings are not strings")
    if not all(_is_inside(str(name)) for name in (values["input"], values.get("output")) if name is not None):
        raise ValueError("it names a file outside its folder")


@cache
def _known_names() -> frozenset[str]:
    return frozenset(each.name for each in fields(Row))


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and 0 <= value < 2**63)


def _is_time(value: object) -> bool:
    """Return whether a value is a number of seconds since 1970, negative before."""
    return isinstance(value, int | float) and -(2**63) < value < 2**63


def _is_inside(name: str) -> bool:
    """Return whether a name from an untrusted manifest stays below its folder."""
    if name[:1] not in _UNSURE_STARTS and not any(each in name for each in _UNSURE):
        return True
    path = PurePath(name)
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in name
