"""One line of the record: the outcome for one source."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
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
    "colored_at",
    *("sidecars_sha256", "sidecars_etag", "sidecar_output", "sidecar_output_sha256"),
)
_TEXT_TYPES = {str, type(None)}
_NUMBER_TYPES = {int, float, bool}
_OUTPUTS = ("output", "sidecar_output")
"""Fields that are paths below the output folder."""
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
    sidecars: Sequence[str] = ()
    """Paths below the source of the XMP sidecars whose properties the output has, or that was copied."""
    sidecars_sha256: str | None = None
    """Hash of what the sidecars beside the source hold, used or not; ``None``: there is none."""
    sidecars_etag: str | None = None
    """Hash of their ETags; ``None``: not reported by the store."""
    sidecar_output: str | None = None
    """Path below the output folder of the copy of a sidecar; ``None``: there is none."""
    sidecar_output_sha256: str | None = None
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
    colored_at: str | None = None
    """Time of colouring, likewise, of an output that was signed later; ``None``: it was completed then."""
    version: str | None = None
    """Version of colorbatch."""
    schema: int = SCHEMA

    @property
    def is_salvaged(self) -> bool:
        """Whether parts of the source could not be read."""
        return any(warning.startswith(SALVAGED) for warning in self.warnings)

    @property
    def is_copy(self) -> bool:
        """Whether the output is the source, byte for byte."""
        return self.output is not None and self.output_sha256 == self.input_sha256

    @property
    def might_be_color(self) -> bool:
        """Whether it was coloured, but might have been a colour photograph."""
        return any(warning.startswith(MIGHT_BE_COLOR) for warning in self.warnings)

    @property
    def outputs(self) -> Sequence[tuple[str, str]]:
        """Names of its files in the output folder, with their sha256."""
        files = ((self.output, self.output_sha256), (self.sidecar_output, self.sidecar_output_sha256))
        return [(name, sha256) for name, sha256 in files if name is not None and sha256 is not None]

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
            sidecar_output=self.sidecar_output or earlier.sidecar_output,
            sidecar_output_sha256=self.sidecar_output_sha256 or earlier.sidecar_output_sha256,
            c2pa=earlier.c2pa,
        )

    def to_json(self) -> bytes:
        """Return the row as one line of ASCII JSON."""
        values = {**vars(self), "input": to_utf_8(self.input), "sidecars": [*map(to_utf_8, self.sidecars)]}
        for name in _OUTPUTS:
            values[name] = values[name] and to_utf_8(values[name])
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
        for unknown in values.keys() - _known_names():
            del values[unknown]
        values["input"] = to_locale(values["input"])
        for name in _OUTPUTS:
            output = values.get(name)
            values[name] = output and to_locale(output)
        values["warnings"] = tuple(values.get("warnings", ()))
        values["sidecars"] = tuple(map(to_locale, values.get("sidecars", ())))
        # as cls(**values), which sets all fields of a frozen class one by one: manifests are long
        row = cls.__new__(cls)
        vars(row).update(_defaults(), settings={})
        vars(row).update(values)
        return row


def _refuse_invalid(values: Mapping[str, object]) -> None:
    """Raise unless the fields of a row have values of their kinds; those that are left out have their defaults.

    Raises:
        ValueError: one has not.

    """
    if values.get("status", "skipped") not in _STATUSES or not _TEXT_TYPES.issuperset(
        map(type, map(values.get, _TEXTS))
    ):
        raise ValueError("a field has the wrong type")
    numbers = [value for value in map(values.get, _NUMBERS) if value is not None]
    if not _NUMBER_TYPES.issuperset(map(type, numbers)) or not all(0 <= value < 2**63 for value in numbers):  # type: ignore[operator]
        raise ValueError("a field is not a number")
    if not (values.get("input_modified") is None or _is_time(values["input_modified"])):
        raise ValueError("a time is not a number")
    if not isinstance(values.get("is_input_trusted", False), bool):
        raise ValueError("a field is neither true nor false")  # noqa: TRY004 (as for all others)
    if not isinstance(values.get("settings", {}), dict):
        raise ValueError("its settings are not an object")  # noqa: TRY004
    for name in ("warnings", "sidecars"):
        texts_in = values.get(name, ())
        if not isinstance(texts_in, list | tuple) or not all(isinstance(text, str) for text in texts_in):
            raise ValueError(f"its {name} are not strings")
    files = (values["input"], *(values.get(name) for name in _OUTPUTS))
    if not all(_is_inside(str(name)) for name in files if name is not None):
        raise ValueError("it names a file outside its folder")


@cache
def _known_names() -> frozenset[str]:
    return frozenset(each.name for each in fields(Row))


@cache
def _defaults() -> Mapping[str, object]:
    return {each.name: each.default for each in fields(Row) if each.default is not MISSING}


def _is_time(value: object) -> bool:
    """Return whether a value is a number of seconds since 1970, negative before."""
    return isinstance(value, int | float) and -(2**63) < value < 2**63


def _is_inside(name: str) -> bool:
    """Return whether a name from an untrusted manifest stays below its folder."""
    if name[:1] not in _UNSURE_STARTS and not any(each in name for each in _UNSURE):
        return True
    path = PurePath(name)
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in name
