"""The model contract, version 1: what a model file promises about itself, as it stands in its ``metadata_props``."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar, get_args

from colorbatch.errors import ModelRefusedError

VERSION = 1
PREFIX = "colorbatch."
INPUT_NAME = "luma"
"""float32 ``[N, 1, H, W]`` in 0..1; N, H and W dynamic, H and W multiples of ``size_multiple``."""
VIVIDNESS_NAME = "vividness"
"""Optional second input, a float32 scalar in 0..1."""
OUTPUT_NAME = "chroma"
"""float32 ``[N, 2, H, W]`` in -0.5..0.5."""
WEIGHT_PREFIX = "network."
"""An initializer of this and the name that a weight has in the network holds that weight, as it was trained."""

Tiling = Literal["whole", "tiles"]
TILINGS: tuple[Tiling, ...] = get_args(Tiling)
Precision = Literal["fp32", "fp16-weights", "fp16", "int8"]
"""``fp16-weights``: weights stored in half the bytes and computed with in float32; ``fp16``: all in float16, for GPUs;
``int8``: convolutions in 8 bits, their ranges calibrated on photographs."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ParityFigure = Literal["max_abs", "mean_rgb_levels"]
PARITY_FIGURES: tuple[ParityFigure, ...] = get_args(ParityFigure)
MAX_SIZE = 8192
"""Largest working size and size multiple a contract may ask for."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Parity:
    """How far ONNX Runtime was from PyTorch when the model was exported."""

    max_abs: float
    """Largest absolute difference of chroma, in units of chroma."""
    mean_abs: float
    max_rgb_levels: int
    """Largest difference of the coloured 8-bit RGB pictures, in levels."""
    tolerance: float
    """What the figure ``tolerance_of`` had to stay within."""
    tolerance_of: ParityFigure = "max_abs"
    mean_rgb_levels: float | None = None
    """Mean difference of the coloured 8-bit RGB photographs, in levels; ``None``: not measured."""


@dataclass(frozen=True)
class ModelContract:
    """What a model promises about itself."""

    name: str
    architecture: str
    size_multiple: int
    """Height and width of the input must be multiples of this."""
    working_size: int
    """Short side in pixels at which the network should see a picture, or the side of a tile."""
    tiling: Tiling
    """``whole``: the picture goes through the network once, small; ``tiles``: in squares at its own size."""
    precision: Precision
    checkpoint_sha256: str
    parity: Parity
    license: str
    training_data: str
    vividness: float | None = None
    """What a run gives the input ``vividness`` when it is not told; ``None``: the model has no such input."""

    def to_metadata(self) -> dict[str, str]:
        """Return the contract as ``metadata_props``."""
        values = {"contract": VERSION, **asdict(self), "parity": json.dumps(asdict(self.parity), sort_keys=True)}
        return {PREFIX + key: str(value) for key, value in values.items() if value is not None}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "ModelContract":
        """Read a contract back.

        Raises:
            ModelRefusedError: there is no contract, it is of another version, or a value makes no sense.

        """
        found = {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}
        version = found.get("contract")
        if version is None:
            raise ModelRefusedError("the model carries no colorbatch contract")
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
                vividness=_share(found, "vividness") if "vividness" in found else None,
            )
        except KeyError as error:
            raise ModelRefusedError(f"the model's contract lacks {PREFIX}{error.args[0]}") from None


def _positive(found: Mapping[str, str], key: str) -> int:
    text = found[key]
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_SIZE):
        raise ModelRefusedError(f"the model's {PREFIX}{key} is {text[:40]!r}, not a whole number from 1 to {MAX_SIZE}")
    return int(text)


def _share(found: Mapping[str, str], key: str) -> float:
    try:
        share = float(found[key])
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise ModelRefusedError(f"the model's {PREFIX}{key} is {found[key][:40]!r}, not a number from 0 to 1")
    return share


def _choice(found: Mapping[str, str], key: str, choices: tuple[_T, ...]) -> _T:
    for choice in choices:
        if found[key] == choice:
            return choice
    known = ", ".join(map(str, choices))
    raise ModelRefusedError(f"the model's {PREFIX}{key} is {found[key][:40]!r}; known are: {known}")


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
