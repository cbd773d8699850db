"""One picture coloured in several ways, side by side on a sheet, so that one is chosen before a long run."""

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
from colorbatch.operations.sheet import Cell, draw_sheet
from colorbatch.pixels import color
from colorbatch.pixels.metadata import Metadata
from colorbatch.pixels.picture import Frame, Picture, Pixels
from colorbatch.pixels.toning import measure_tone
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.text import printable

_LEVELS = (0.0, 0.4, 1.0)
"""Of vividness that are shown, beside the model's own, when nothing is given to choose from."""
_STRENGTHS = (0.6, 1.0, 1.4)
"""Shown instead for a model without vividness."""
_MOST_MEGAPIXELS = 200
"""Of a sheet."""
_MODEL = "model"
_STANDARD = ColorOptions()


@dataclass(frozen=True)
class Choices:
    """What to choose from; the sheet shows every combination. Empty: what the model says, or ``run`` does."""

    models: Sequence[str] = ()
    """Names of built-in models, or paths of model files."""
    vividness: Sequence[float] = ()
    strengths: Sequence[float] = ()
    working_sizes: Sequence[int] = ()

    @property
    def varied(self) -> dict[str, int]:
        """How many values there are of what has several, by the words that the sheet uses."""
        given = {
            _MODEL: self.models,
            "vividness": self.vividness,
            "strength": self.strengths,
            "working size": self.working_sizes,
        }
        return {word: len(set(values)) for word, values in given.items() if len(set(values)) > 1}


@dataclass(frozen=True)
class _Way:
    """One way to colour the picture."""

    model: str
    colorizer: Colorizer

    @property
    def settings(self) -> dict[str, object]:
        """What decides the colours, by the words that the sheet uses."""
        options = self.colorizer.options
        return {
            _MODEL: self.model,
            "vividness": options.vividness,
            "strength": options.strength,
            "working size": options.working_size,
        }

    def told(self, name: str) -> str:
        """Return one of the settings in words."""
        contract, value = self.colorizer.session.contract, self.settings[name]
        if value is None:
            return f"no {name}"
        standards = {
            _MODEL: DEFAULT_MODEL,
            "vividness": contract.vividness,
            "strength": _STANDARD.strength,
            "working size": contract.working_size,
        }
        shown = f"{value:g}" if isinstance(value, float) else printable(str(value))
        return f"{name} {shown}{' (the default)' if value == standards[name] else ''}"


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

    Each is coloured at full size, as a run does it, and then shrunk. Of a picture of several pages the first is shown.

    Args:
        data: a picture file.
        name: of it, for the title.
        choices: to choose from.
        provider: where the models run.
        side: longest side in pixels of each picture on the sheet.
        progress: hears of it.

    Raises:
        PictureError: the file cannot be coloured.
        UsageError: the choices do not fit the models, or are too many for one sheet.
        ModelRefusedError, EnvironmentFailure: as :func:`colorbatch.inference.colorizer.open_model`.

    """
    progress = progress or SilentProgress()
    models = dict.fromkeys(choices.models or (DEFAULT_MODEL,))
    sessions = {model: Session(read_model_file(model), provider) for model in models}
    choices = _with_something_to_choose(choices, [session.contract for session in sessions.values()])
    ways = list(_ways(choices, sessions))
    if (len(ways) + 1) * side**2 / 1e6 > _MOST_MEGAPIXELS:
        raise UsageError(
            f"{len(ways)} pictures of {side} pixels are too many for one sheet",
            advice="Give fewer values, or a smaller --cell.",
        )
    picture = decode(data)
    frame = picture.first
    original = Cell(
        _shrunk(color.to_levels(color.luma_of(frame.pixels))[..., None].repeat(3, 2), frame, side), _told_of(frame)
    )
    progress.begin(len(ways), "Colouring")
    cells = []
    for way in ways:
        coloured = way.colorizer.colorize(Picture((frame,))).first.pixels
        cells.append((way, Cell(_shrunk(coloured, frame, side), [way.told(word) for word in choices.varied])))
        progress.advance(megapixels=frame.width * frame.height / 1e6)
    progress.end()
    pages = f", page 1 of {len(picture.frames)}" if len(picture.frames) > 1 else ""
    title = [f"{printable(name)}{pages}, {frame.width} x {frame.height} pixels; the colours were made by a model"]
    fixed = [_told_of_all(word, ways) for word in ways[0].settings if word not in choices.varied]
    sheet = draw_sheet([*title, ", ".join(fixed)], _rows(original, cells, choices.varied), side)
    return Picture((Frame(sheet, metadata=Metadata(xmp=_mark(data, name, ways))),))


def _ways(choices: Choices, sessions: Mapping[str, Session]) -> Iterator[_Way]:
    """Yield every combination, each once."""
    have_vividness = any(session.contract.vividness is not None for session in sessions.values())
    seen = set()
    for model, session in sessions.items():
        # Beside one that has it, a model without vividness is shown once; alone, it is refused as by a run.
        levels = choices.vividness if session.contract.vividness is not None or not have_vividness else ()
        for vividness, strength, size in product(
            levels or (None,), choices.strengths or (_STANDARD.strength,), choices.working_sizes or (None,)
        ):
            way = _Way(model, Colorizer(session, ColorOptions(size, vividness, strength)))
            if (model, way.colorizer.options) not in seen:
                seen.add((model, way.colorizer.options))
                yield way


def _with_something_to_choose(choices: Choices, contracts: Sequence[ModelContract]) -> Choices:
    """Return the choices; where there is none among them, with the levels that are most worth comparing."""
    if choices.varied:
        return choices
    own = contracts[0].vividness
    if own is not None and not choices.vividness:
        return replace(choices, vividness=sorted({*_LEVELS, own}))
    if own is None and not choices.strengths:
        return replace(choices, strengths=_STRENGTHS)
    return choices


def _rows(original: Cell, cells: Sequence[tuple[_Way, Cell]], varied: Mapping[str, int]) -> list[list[Cell]]:
    """Lay out: what varies most from left to right, the rest from top to bottom, and the original before each row.

    Where only one thing varies, or none, the sheet is about as many cells wide as high.
    """
    if len(varied) < 2:
        flat = [original, *(cell for _, cell in cells)]
        across = math.ceil(math.sqrt(len(flat)))
        return [flat[start : start + across] for start in range(0, len(flat), across)]
    along = max(varied, key=lambda word: varied[word])
    rows: dict[tuple[object, ...], list[Cell]] = {}
    for way, cell in cells:
        rows.setdefault(tuple(way.settings[word] for word in varied if word != along), [original]).append(cell)
    return list(rows.values())


def _told_of_all(word: str, ways: Sequence[_Way]) -> str:
    told = {way.told(word) for way in ways}
    return told.pop() if len(told) == 1 else f"default {word} of each model"


def _told_of(frame: Frame) -> list[str]:
    if frame.pixels.ndim == 2:
        return ["the original"]
    return [f"the original's luma{' (already in colour)' if measure_tone(frame.pixels).is_color else ''}"]


def _shrunk(pixels: Pixels, frame: Frame, side: int) -> NDArray[np.uint8]:
    """Return RGB ``[h, w, 3]`` of 8 bits, no side longer than ``side``; what alpha hides is white."""
    image = Image.fromarray(color.to_8_bits(pixels))
    if frame.alpha is not None:
        alpha = Image.fromarray(color.to_8_bits(frame.alpha))
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _mark(data: bytes, name: str, ways: Sequence[_Way]) -> bytes:
    """Return XMP that says that models made the colours of the sheet, and which."""
    models = {way.model: way.colorizer.session for way in ways}
    settings = repr([way.settings for way in ways]).encode()
    origin = mark.Origin(
        name,
        hashlib.sha256(data).hexdigest(),
        ", ".join(session.contract.name for session in models.values()),
        ", ".join(session.model.sha256 for session in models.values()),
        hashlib.sha256(settings).hexdigest(),
        "compositeWithTrainedAlgorithmicMedia",
    )
    return mark.marked(b"", origin)
