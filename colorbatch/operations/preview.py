"""One picture coloured in several ways, on a sheet to choose from before a long run; or in one, on a card to show."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import UsageError
from colorbatch.formats import decode, mark
from colorbatch.inference.colorizer import Colorizer
from colorbatch.inference.contract import ModelContract
from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.session import Session
from colorbatch.job import DEFAULT_MODEL, ColorOptions, ProviderName
from colorbatch.operations.sheet import Cell, draw_card, draw_sheet
from colorbatch.pixels import color
from colorbatch.pixels.hint import Hint
from colorbatch.pixels.metadata import Metadata
from colorbatch.pixels.own_color import OwnColor, find_own_color
from colorbatch.pixels.picture import Frame, Picture, Pixels
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.text import printable

_VIVIDNESS_LEVELS = (0.0, 0.2, 0.8, 1.0)
"""Levels of vividness that are shown, besides the model's own, if no choices are given."""
_STRENGTHS = (0.6, 1.0, 1.4)
"""Strengths that are shown instead for a model without vividness."""
_MAX_MEGAPIXELS = 200
"""Maximum size of a sheet."""
_CAPTION = "Colours guessed by a model (colorbatch)"
_MODEL = "model"
_DEFAULT_OPTIONS = ColorOptions()


@dataclass(frozen=True)
class Choices:
    """Values to choose from; the sheet shows every combination. Empty: the default of the model, or of ``run``."""

    models: Sequence[str] = ()
    """Names of models, or paths of model files."""
    vividness: Sequence[float] = ()
    strengths: Sequence[float] = ()
    working_sizes: Sequence[int] = ()
    hints: Sequence[Hint] = ()
    """Colours that are known; every combination gets all of them."""

    @property
    def varied(self) -> dict[str, int]:
        """Number of values of each setting that has several, by its name on the sheet."""
        given = {
            _MODEL: self.models,
            "vividness": self.vividness,
            "strength": self.strengths,
            "working size": self.working_sizes,
        }
        return {word: len(set(values)) for word, values in given.items() if len(set(values)) > 1}


@dataclass(frozen=True)
class _Variant:
    """One way to colour the picture."""

    model: str
    colorizer: Colorizer

    @property
    def settings(self) -> dict[str, object]:
        """Settings that determine the colours, by their names on the sheet."""
        options = self.colorizer.options
        return {
            _MODEL: self.model,
            "vividness": options.vividness,
            "strength": options.strength,
            "working size": options.working_size,
        }

    def describe(self, name: str) -> str:
        """Return one of the settings as text for a label."""
        contract, value = self.colorizer.session.contract, self.settings[name]
        if value is None:
            return f"no {name}"
        defaults = {
            _MODEL: DEFAULT_MODEL,
            "vividness": contract.vividness,
            "strength": _DEFAULT_OPTIONS.strength,
            "working size": contract.working_size,
        }
        shown = f"{value:g}" if isinstance(value, float) else printable(str(value))
        return f"{name} {shown}{' (the default)' if value == defaults[name] else ''}"


def preview(
    data: bytes,
    name: str,
    choices: Choices,
    *,
    provider: ProviderName = "auto",
    side: int = 640,
    progress: ProgressReporter | None = None,
) -> Picture:
    """Return a sheet that shows the original in grey, and every way to colour it that the choices allow.

    Each is coloured at full size, as in a run, and then reduced. Of a picture with several pages the first is shown.

    Args:
        data: a picture file.
        name: its name, for the title.
        choices: values to choose from.
        provider: where the models run.
        side: longest side in pixels of each picture on the sheet.
        progress: receives updates.

    Raises:
        PictureError: the file cannot be coloured.
        UsageError: the choices do not fit the models, or are too many for one sheet.
        ModelRefusedError, EnvironmentFailure: as :func:`colorbatch.inference.colorizer.open_model`.

    """
    progress = progress or SilentProgress()
    sessions = _sessions(choices, provider)
    choices = _with_default_choices(choices, [session.contract for session in sessions.values()])
    variants = list(_variants(choices, sessions))
    if (len(variants) + 1) * side**2 / 1e6 > _MAX_MEGAPIXELS:
        raise UsageError(
            f"{len(variants)} pictures of {side} pixels are too many for one sheet",
            advice="Give fewer values, or a smaller --cell.",
        )
    picture = decode(data)
    own_color = find_own_color(picture.first.pixels)
    frame = replace(picture.first, own_color=own_color.objects)
    original = Cell(
        _shrunk(color.to_levels(color.luma_of(frame.pixels)), frame, side),
        _label_of(frame, own_color),
    )
    progress.begin(len(variants), "Colouring")
    cells = []
    for variant in variants:
        coloured = variant.colorizer.colorize(Picture((frame,)), choices.hints).first.pixels
        label = [variant.describe(word) for word in choices.varied]
        cells.append((variant, Cell(_shrunk(coloured, frame, side), label)))
        progress.advance(megapixels=frame.width * frame.height / 1e6)
    progress.end()
    pages = f", page 1 of {len(picture.frames)}" if len(picture.frames) > 1 else ""
    title = [f"{printable(name)}{pages}, {frame.width} x {frame.height} pixels; the colours were made by a model"]
    fixed = [_describe_common(word, variants) for word in variants[0].settings if word not in choices.varied]
    sheet = draw_sheet([*title, ", ".join(fixed)], _rows(original, cells, choices.varied), side)
    return Picture((Frame(sheet, metadata=Metadata(xmp=_mark(data, name, variants, choices.hints))),))


def card(
    data: bytes,
    name: str,
    choices: Choices,
    *,
    provider: ProviderName = "auto",
    side: int = 1080,
    progress: ProgressReporter | None = None,
) -> Picture:
    """Return a card that shows the picture as it is, and coloured as a run would colour it.

    Args:
        data: as for :func:`preview`, like the others, but there must be at most one of each of the choices.
        name: likewise.
        choices: likewise.
        provider: likewise.
        side: longest side in pixels of each of both pictures.
        progress: receives updates.

    Raises:
        PictureError, UsageError, ModelRefusedError, EnvironmentFailure: as :func:`preview`.

    """
    if choices.varied:
        raise UsageError(
            f"a card shows one result, but several values are given: {', '.join(choices.varied)}",
            advice="Give one value of each, or leave out --card for a sheet of all of them.",
        )
    progress = progress or SilentProgress()
    (variant,) = _variants(choices, _sessions(choices, provider))
    frame = decode(data).first
    progress.begin(1, "Colouring")
    frame = replace(frame, own_color=find_own_color(frame.pixels).objects)
    coloured = variant.colorizer.colorize(Picture((frame,)), choices.hints).first.pixels
    progress.advance(megapixels=frame.width * frame.height / 1e6)
    progress.end()
    drawn = draw_card(_shrunk(frame.pixels, frame, side), _shrunk(coloured, frame, side), _CAPTION)
    return Picture((Frame(drawn, metadata=Metadata(xmp=_mark(data, name, [variant], choices.hints))),))


def _sessions(choices: Choices, provider: ProviderName) -> dict[str, Session]:
    models = dict.fromkeys(choices.models or (DEFAULT_MODEL,))
    return {model: Session(read_model_file(model), provider) for model in models}


def _variants(choices: Choices, sessions: Mapping[str, Session]) -> Iterator[_Variant]:
    """Yield every combination, each once."""
    have_vividness = any(session.contract.vividness is not None for session in sessions.values())
    seen = set()
    for model, session in sessions.items():
        # Beside a model with vividness, one without it is shown once; alone, it is refused, as in a run.
        levels = choices.vividness if session.contract.vividness is not None or not have_vividness else ()
        for vividness, strength, size in product(
            levels or (None,), choices.strengths or (_DEFAULT_OPTIONS.strength,), choices.working_sizes or (None,)
        ):
            variant = _Variant(model, Colorizer(session, ColorOptions(size, vividness, strength)))
            if (model, variant.colorizer.options) not in seen:
                seen.add((model, variant.colorizer.options))
                yield variant


def _with_default_choices(choices: Choices, contracts: Sequence[ModelContract]) -> Choices:
    """Return the choices; if nothing varies, with the levels that are most worth comparing."""
    if choices.varied:
        return choices
    own = contracts[0].vividness
    if own is not None and not choices.vividness:
        return replace(choices, vividness=sorted({*_VIVIDNESS_LEVELS, own}))
    if own is None and not choices.strengths:
        return replace(choices, strengths=_STRENGTHS)
    return choices


def _rows(original: Cell, cells: Sequence[tuple[_Variant, Cell]], varied: Mapping[str, int]) -> list[list[Cell]]:
    """Lay out the cells: what varies most in rows, the rest in columns, and the original at the start of each row.

    If at most one setting varies, the sheet is about as many cells wide as high.
    """
    if len(varied) < 2:
        flat = [original, *(cell for _, cell in cells)]
        across = math.ceil(math.sqrt(len(flat)))
        return [flat[start : start + across] for start in range(0, len(flat), across)]
    along = max(varied, key=lambda word: varied[word])
    rows: dict[tuple[object, ...], list[Cell]] = {}
    for variant, cell in cells:
        rows.setdefault(tuple(variant.settings[word] for word in varied if word != along), [original]).append(cell)
    return list(rows.values())


def _describe_common(word: str, variants: Sequence[_Variant]) -> str:
    texts = {variant.describe(word) for variant in variants}
    return texts.pop() if len(texts) == 1 else f"default {word} of each model"


def _label_of(frame: Frame, own_color: OwnColor) -> list[str]:
    if frame.pixels.ndim == 2:
        return ["the original"]
    if own_color.is_widespread:
        return ["the original in grey (already in colour)"]
    return [f"the original in grey{' (might be in colour)' if own_color.is_doubtful else ''}"]


def _shrunk(pixels: Pixels, frame: Frame, side: int) -> NDArray[np.uint8]:
    """Return RGB ``[h, w, 3]`` of 8 bits, no side longer than ``side``, with white where alpha hides the picture."""
    image = Image.fromarray(color.to_8_bits(pixels)).convert("RGB")
    if frame.alpha is not None:
        alpha = Image.fromarray(color.to_8_bits(frame.alpha))
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _mark(data: bytes, name: str, variants: Sequence[_Variant], hints: Sequence[Hint]) -> bytes:
    """Return XMP that states that models made the colours of the sheet, and which."""
    models = {variant.model: variant.colorizer.session for variant in variants}
    settings = repr([variant.settings for variant in variants]).encode() + b"".join(
        repr(each).encode() for each in hints
    )
    origin = mark.Origin(
        name,
        hashlib.sha256(data).hexdigest(),
        ", ".join(session.contract.name for session in models.values()),
        ", ".join(session.model.sha256 for session in models.values()),
        hashlib.sha256(settings).hexdigest(),
        "compositeWithTrainedAlgorithmicMedia",
        hints=len(hints),
    )
    return mark.marked(b"", origin)
