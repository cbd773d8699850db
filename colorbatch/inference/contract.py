"""The model contract, version 1: what a model file promises about itself, stored in its ``metadata_props``."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar, get_args

from colorbatch.errors import ModelRefusedError

VERSION = 1
PREFIX = "colorbatch."
INPUT_NAME = "luma"
"""Input, float32 ``[N, 1, H, W]`` in 0..1; N, H and W dynamic, H and W multiples of ``size_multiple``."""
VIVIDNESS_NAME = "vividness"
"""Optional second input, a float32 scalar in 0..1."""
HINTS_NAME = "hints"
"""Optional input that need not be fed, since the file contains a default: float32 ``[N, 3, H, W]``, Cb and Cr given by
a person, and their weight in 0..1. All zeros give the same output as not feeding it, bit for bit."""
OUTPUT_NAME = "chroma"
"""Output, float32 ``[N, 2, H, W]`` in -0.5..0.5."""
CONFIDENCE_NAME = "confidence"
"""Optional output, float32 ``[N]`` in 0..1: 10 / (10 + the expected mean CIEDE2000 of the picture)."""
HALF_CONFIDENT = 10.0
"""Expected CIEDE2000 at a confidence of 0.5."""
COLORS_NAME = "colors"
"""Optional output, float32 ``[N, B, H / 4, W / 4]``: the probability of each of B bins of chroma."""
COLORS_STRIDE = 4
"""Ratio of the sides of the input to those of ``colors``."""
WEIGHT_PREFIX = "network."
"""Prefix of the initializers that hold the weights as trained; the rest of the name is that in the network."""

Tiling = Literal["whole", "tiles"]
TILINGS: tuple[Tiling, ...] = get_args(Tiling)
Precision = Literal["fp32", "fp16-weights", "fp16", "int8"]
"""``fp16-weights``: weights stored in half the bytes, computation in float32; ``fp16``: all in float16, for GPUs;
``int8``: convolutions in 8 bits, with ranges calibrated on photographs."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ParityFigure = Literal["max_abs", "max_rgb_levels", "mean_rgb_levels"]
PARITY_FIGURES: tuple[ParityFigure, ...] = get_args(ParityFigure)
Fit = Literal["stretch", "pad"]
"""How a picture is brought to the shape that an adapted network takes: stretched to a square, or in its own shape, with
padding."""
FITS: tuple[Fit, ...] = get_args(Fit)
MAX_SIZE = 8192
"""Largest working size and size multiple that a contract may have."""

MAX_COLORS = 4096
"""Largest number of bins of ``colors``."""

_LONGEST_TEXT = 100
"""Maximum number of characters of each text in ``adapted_from``, which is written into every output."""

_T = TypeVar("_T")


def expected_ciede2000(confidence: float) -> float:
    """Return the expected mean CIEDE2000 of a confidence above 0 and up to 1."""
    return HALF_CONFIDENT / confidence - HALF_CONFIDENT


@dataclass(frozen=True)
class Parity:
    """Difference between the model and the network that it was made from, measured when it was exported or adapted."""

    max_abs: float
    """Largest absolute difference of chroma, in units of chroma."""
    mean_abs: float
    max_rgb_levels: int
    """Largest difference of the coloured 8-bit RGB pictures, in levels."""
    tolerance: float
    """Maximum allowed value of the figure ``tolerance_of``."""
    tolerance_of: ParityFigure = "max_abs"
    mean_rgb_levels: float | None = None
    """Mean difference of the coloured 8-bit RGB photographs, in levels; ``None``: not measured."""


@dataclass(frozen=True)
class AdaptedFrom:
    """The published network that a model was adapted from."""

    kind: str
    """Which network it is, such as ``ddcolor``."""
    sha256: str
    """Of the file that was given."""
    fit: Fit
    values: str
    """What its inputs and outputs mean, in words."""


@dataclass(frozen=True)
class ModelContract:
    """What a model promises about itself."""

    name: str
    architecture: str
    size_multiple: int
    """Height and width of the input must be multiples of this."""
    working_size: int
    """Short side in pixels at which the network should see a picture, or side of a tile."""
    tiling: Tiling
    """``whole``: the network sees the shrunk picture at once; ``tiles``: it sees squares at full size."""
    precision: Precision
    checkpoint_sha256: str
    parity: Parity
    license: str
    training_data: str
    vividness: float | None = None
    """Default value of the input ``vividness``; ``None``: the model has no such input."""
    hints: bool = False
    """Whether the model has the input ``hints``."""
    confidence: bool = False
    """Whether the model has the output ``confidence``."""
    colors: tuple[tuple[float, float], ...] | None = None
    """Cb and Cr of each bin of the output ``colors``; ``None``: the model has no such output."""
    resizes: bool = False
    """Whether the model itself brings a picture to the size that its network takes: any padding would be seen as a part
    of the picture."""
    adapted_from: AdaptedFrom | None = None
    """``None``: it is a network of colorbatch, or was wrapped by other means."""

    @property
    def credit(self) -> str:
        """The name, and the network that it was adapted from: what made the colours."""
        origin = self.adapted_from
        return self.name if origin is None else f"{self.name} (adapted from {origin.kind}, sha256:{origin.sha256})"

    def to_metadata(self) -> dict[str, str]:
        """Return the contract as ``metadata_props``."""
        values = {"contract": VERSION, **asdict(self), "parity": json.dumps(asdict(self.parity), sort_keys=True)}
        if self.colors is not None:
            values["colors"] = json.dumps(self.colors)
        if self.adapted_from is not None:
            values["adapted_from"] = json.dumps(asdict(self.adapted_from), sort_keys=True)
        present = {key: value for key, value in values.items() if value is not None and value is not False}
        return {PREFIX + key: "yes" if value is True else str(value) for key, value in present.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "ModelContract":
        """Parse a contract from ``metadata_props``.

        Raises:
            ModelRefusedError: there is no contract, it has another version, or a value is invalid.

        """
        found = {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}
        version = found.get("contract")
        if version is None:
            raise ModelRefusedError(
                "the model has no colorbatch contract",
                advice="If it is a published network, make a model of it with: colorbatch adopt FILE -o NEW.onnx",
            )
        if version != str(VERSION):
            raise ModelRefusedError(
                f"the model has contract version {version!r}; this colorbatch reads version {VERSION}",
                advice="Install a newer colorbatch, or export the model again with this one.",
            )
        try:
            return cls(
                name=found["name"],
                architecture=found["architecture"],
                size_multiple=_positive(found, "size_multiple"),
                working_size=_positive(found, "working_size"),
                tiling=_choice(found, "tiling", TILINGS),
                precision=_choice(found, "precision", PRECISIONS),
                checkpoint_sha256=found["checkpoint_sha256"],
                parity=_parity(found),
                license=found["license"],
                training_data=found["training_data"],
                vividness=_fraction(found, "vividness") if "vividness" in found else None,
                hints=_flag(found, "hints"),
                confidence=_flag(found, "confidence"),
                colors=_colors(found) if "colors" in found else None,
                resizes=_flag(found, "resizes"),
                adapted_from=_adapted_from(found) if "adapted_from" in found else None,
            )
        except KeyError as error:
            raise ModelRefusedError(f"the model's contract lacks {PREFIX}{error.args[0]}") from None


def _positive(found: Mapping[str, str], key: str) -> int:
    text = found[key]
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_SIZE):
        raise ModelRefusedError(f"the model's {PREFIX}{key} is {text[:40]!r}, not a whole number from 1 to {MAX_SIZE}")
    return int(text)


def _fraction(found: Mapping[str, str], key: str) -> float:
    try:
        fraction = float(found[key])
    except ValueError:
        fraction = math.nan
    if not 0 <= fraction <= 1:
        raise ModelRefusedError(f"the model's {PREFIX}{key} is {found[key][:40]!r}, not a number from 0 to 1")
    return fraction


def _flag(found: Mapping[str, str], key: str) -> bool:
    if found.get(key, "yes") != "yes":
        raise ModelRefusedError(f"the model's {PREFIX}{key} is {found[key][:40]!r}; it can only be 'yes' or absent")
    return key in found


def _colors(found: Mapping[str, str]) -> tuple[tuple[float, float], ...]:
    try:
        colors = tuple((float(cb), float(cr)) for cb, cr in json.loads(found["colors"]))
    except (ValueError, TypeError, OverflowError, RecursionError):
        colors = ()
    if not 1 <= len(colors) <= MAX_COLORS or not all(-1 <= value <= 1 for color in colors for value in color):
        raise ModelRefusedError(
            f"the model's {PREFIX}colors is not a JSON list of 1 to {MAX_COLORS} pairs of Cb and Cr from -1 to 1"
        )
    return colors


def _choice(found: Mapping[str, str], key: str, choices: tuple[_T, ...]) -> _T:
    for choice in choices:
        if found[key] == choice:
            return choice
    known = ", ".join(map(str, choices))
    raise ModelRefusedError(f"the model's {PREFIX}{key} is {found[key][:40]!r}; known are: {known}")


def _adapted_from(found: Mapping[str, str]) -> AdaptedFrom:
    try:
        values = json.loads(found["adapted_from"])
        texts = {name: str(values[name])[:_LONGEST_TEXT] for name in ("kind", "sha256", "values")}
        return AdaptedFrom(**texts, fit=_choice(values, "fit", FITS))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelRefusedError(f"the model's {PREFIX}adapted_from is not the JSON expected: {error}") from error


def _parity(found: Mapping[str, str]) -> Parity:
    try:
        values = json.loads(found["parity"])
        return Parity(
            float(values["max_abs"]),
            float(values["mean_abs"]),
            int(values["max_rgb_levels"]),
            float(values["tolerance"]),
            _choice(values, "tolerance_of", PARITY_FIGURES) if "tolerance_of" in values else "max_abs",
            None if values.get("mean_rgb_levels") is None else float(values["mean_rgb_levels"]),
        )
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ModelRefusedError(f"the model's {PREFIX}parity is not the JSON expected: {error}") from error
