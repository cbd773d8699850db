"""Colour pictures: the network predicts chroma from shrunk luma; the luma of the picture itself is kept."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, overload

import numpy as np
from PIL import Image

from colorbatch.errors import UsageError
from colorbatch.inference.contract import COLORS_STRIDE, ModelContract
from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.session import Predictor, Session
from colorbatch.job import DEFAULT_MODEL, MAX_STRENGTH, ColorOptions, ProviderName
from colorbatch.pixels import canvas, color, resize, tiling
from colorbatch.pixels.color import Plane
from colorbatch.pixels.hint import Hint, hint_planes, kept_local
from colorbatch.pixels.picture import Frame, Picture, Pixels


class Colorizer:
    """An opened model that colours pictures of any size. May be used from several threads at once."""

    def __init__(
        self, session: Predictor, options: ColorOptions | None = None, *, timeout: float | None = None
    ) -> None:
        """Colour with ``session``; ``options`` override the values of the model's contract.

        ``timeout`` is the maximum number of seconds for one frame.

        Raises:
            UsageError: the options do not fit the model, or are out of range.

        """
        self.session = session
        self.options = resolved(options or ColorOptions(), session.contract)
        self._timeout = timeout

    @property
    def working_size(self) -> int:
        """Short side in pixels that the network sees."""
        return self.options.working_size or self.session.contract.working_size

    def with_options(self, *, vividness: float | None = None, strength: float | None = None) -> "Colorizer":
        """Return a colorizer of the same session with other options; ``None``: unchanged.

        Raises:
            UsageError: they do not fit the model, or are out of range.

        """
        options = replace(
            self.options,
            vividness=self.options.vividness if vividness is None else vividness,
            strength=self.options.strength if strength is None else strength,
        )
        return Colorizer(self.session, options, timeout=self._timeout)

    def colorize(self, picture: Picture, hints: Sequence[Hint] = ()) -> Picture:
        """Return the picture with every frame in colour, of the same size, depth, luma and alpha.

        Args:
            picture: what to colour.
            hints: for its first frame.

        Raises:
            InferenceError: the model failed on it, or does not support hints.

        """
        first, *others = picture.frames
        frames = (self.predict_frame(first, hints), *map(self.predict_frame, others))
        return replace(picture, frames=tuple(frame.merged() for frame in frames))

    def predict(self, picture: Picture) -> Picture:
        """Return the picture with chroma added to every frame, but not yet merged, which would take memory.

        Raises:
            InferenceError: the model failed on it.

        """
        return replace(picture, frames=tuple(map(self.predict_frame, picture.frames)))

    def predict_frame(self, frame: Frame, hints: Sequence[Hint] = ()) -> Frame:
        """Return a frame with chroma, not yet merged, and the confidence of the model.

        Raises:
            InferenceError: the model failed on it, or does not support hints.

        """
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        prediction = self.predict_hinted(frame.pixels, hints, deadline)
        return replace(frame, chroma=prediction.chroma, confidence=prediction.confidence)

    def predict_hinted(
        self,
        pixels: Pixels | Plane,
        hints: Sequence[Hint] = (),
        deadline: float | None = None,
        plain: "PixelPrediction | None" = None,
    ) -> "PixelPrediction":
        """Return chroma with the effect of hints on the things that they are on, and the confidence of the model.

        Args:
            pixels: as for :meth:`predict_pixels`.
            hints: of a person; with some, the model runs twice.
            deadline: time of ``time.monotonic``, in seconds.
            plain: the prediction without hints, if it is known; it saves one of the runs.

        Raises:
            InferenceError: the model failed on it, took too long, or does not support hints.

        """
        plain = plain or self.predict_pixels(pixels, deadline)
        if not hints:
            return plain
        planes = hint_planes(hints, self.network_size(*pixels.shape[:2]), self.options.strength)
        hinted = self.predict_pixels(pixels, deadline, planes)
        luma = self._shrunk(pixels)
        return hinted._replace(chroma=kept_local(plain.chroma, hinted.chroma, hints, planes[2], luma))

    def predict_pixels(
        self, pixels: Pixels | Plane, deadline: float | None = None, hints: Plane | None = None
    ) -> "PixelPrediction":
        """Return chroma at the size at which the network saw the picture, and the confidence of the model.

        The network sees the shrunk picture as a whole, since colour depends on the whole scene; one that is too long
        for that is split into overlapping tiles (:mod:`colorbatch.pixels.tiling`).

        Args:
            pixels: grey, RGB, or luma, as for :func:`colorbatch.pixels.color.luma_of`.
            deadline: time of ``time.monotonic``, in seconds.
            hints: ``[3, h, w]`` of :meth:`network_size`: Cb, Cr and weight in 0..1.

        Raises:
            InferenceError: the model failed on it, took too long, or does not support hints.

        """
        size = self.network_size(*pixels.shape[:2])
        small = self._shrunk(pixels)
        side = self.working_size * (1 if self.session.contract.tiling == "tiles" else resize.MAX_ASPECT)
        confidences: list[float] = []
        areas: list[int] = []

        def tiles() -> Iterator[tuple[tiling.Window, Plane]]:
            for window in tiling.windows_of(size, side):
                rows, columns = window.slices
                luma = small[rows, columns]
                chroma, confidence = self._run(luma, deadline, None if hints is None else hints[:, rows, columns])
                if confidence is not None:
                    confidences.append(confidence)
                    areas.append(luma.size)
                yield window, chroma

        chroma = tiling.blend(size, tiles())
        return PixelPrediction(chroma, float(np.average(confidences, weights=areas)) if confidences else None)

    def predict_colors(self, pixels: Pixels | Plane, hints: Plane | None = None) -> Plane:
        """Return the probability of each bin of the contract's ``colors``, ``[B, h / 4, w / 4]``, rounded down.

        Args:
            pixels: as for :meth:`predict_pixels`, of a picture that the network sees whole.
            hints: likewise.

        Raises:
            InferenceError: the model failed on it, does not support hints, or has no such output.

        """
        size = self.network_size(*pixels.shape[:2])
        luma, padded_hints = self._pad(resize.shrink_luma(pixels, size), hints)
        height, width = (side // COLORS_STRIDE for side in size)
        return self.session.predict_colors(luma, padded_hints)[0, :, :height, :width]

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width at which the network sees a picture of this height and width."""
        if self.session.contract.tiling == "tiles":
            return height, width
        return resize.network_size(height, width, self.working_size)

    def _shrunk(self, pixels: Pixels | Plane) -> Plane:
        """Return the luma that the network sees, ``[h, w]``."""
        if self.session.contract.tiling == "tiles":
            return color.luma_of(pixels)
        return resize.shrink_luma(pixels, self.network_size(*pixels.shape[:2]))

    def _run(self, luma: Plane, deadline: float | None, hints: Plane | None) -> tuple[Plane, float | None]:
        """Return chroma ``[2, h, w]`` of luma ``[h, w]`` at the size that the network sees, and the confidence."""
        height, width = luma.shape
        padded, padded_hints = self._pad(luma, hints)
        vividness, strength = self.options.vividness, self.options.strength
        prediction = self.session.predict(padded, vividness, deadline, padded_hints)
        chroma, confidence = prediction.chroma[0], prediction.confidence
        if self.options.tta:
            mirrored = np.ascontiguousarray(padded[..., ::-1])
            mirrored_hints = None if padded_hints is None else np.ascontiguousarray(padded_hints[..., ::-1])
            again = self.session.predict(mirrored, vividness, deadline, mirrored_hints)
            chroma = (chroma + again.chroma[0, :, :, ::-1]) / 2
        scaled: Plane = chroma if strength == 1 else chroma * np.float32(strength)
        return scaled[:, :height, :width], None if confidence is None else float(confidence[0])

    def _pad(self, luma: Plane, hints: Plane | None) -> tuple[Plane, Plane | None]:
        """Return luma ``[1, 1, H, W]`` and hints ``[1, 3, H, W]``, with sides that the model accepts."""
        contract = self.session.contract
        if self.session.on_gpu and not contract.resizes:
            size = canvas.canvas_of(
                (luma.shape[0], luma.shape[1]),
                self.working_size,
                contract.size_multiple,
                is_tile=contract.tiling == "tiles",
            )
            padded = canvas.lay_on(size, luma)
        else:
            padded = resize.pad_to_multiple(luma, contract.size_multiple)
        if hints is None:
            return padded[None, None], None
        below, right = (padded.shape[axis] - luma.shape[axis] for axis in (0, 1))
        return padded[None, None], np.pad(hints, ((0, 0), (0, below), (0, right)))[None]


class PixelPrediction(NamedTuple):
    """Prediction of a model for one image."""

    chroma: Plane
    """``[2, h, w]`` in about -0.5..0.5, at the size at which the network saw it."""
    confidence: float | None
    """0..1, see :data:`colorbatch.inference.contract.CONFIDENCE_NAME`; ``None``: not reported."""


def resolved(options: ColorOptions, contract: ModelContract) -> ColorOptions:
    """Return the options with those that are ``None`` replaced by the values of the contract.

    Raises:
        UsageError: they do not fit the model, or are out of range.

    """
    size, vividness = options.working_size, options.vividness
    if size is not None and size < contract.size_multiple:
        raise UsageError(f"the working size must be at least {contract.size_multiple} for the model {contract.name}")
    if vividness is not None and contract.vividness is None:
        raise UsageError(
            f"the model {contract.name} has no vividness",
            advice="Remove --vividness, or scale the colours with --strength.",
        )
    if vividness is not None and not 0 <= vividness <= 1:
        raise UsageError(f"the vividness must be from 0 to 1, not {vividness}")
    if not 0 <= options.strength <= MAX_STRENGTH:
        raise UsageError(f"the strength must be from 0 to {MAX_STRENGTH:g}, not {options.strength}")
    return replace(
        options,
        working_size=size or contract.working_size,
        vividness=contract.vividness if vividness is None else vividness,
    )


def chosen_options(colorizer: Colorizer) -> ColorOptions:
    """Return the options of a colorizer that are not those of its model's contract; all others are left open."""
    usual = resolved(ColorOptions(), colorizer.session.contract)
    chosen = {name: value for name, value in vars(colorizer.options).items() if value != getattr(usual, name)}
    return ColorOptions(**chosen)


def open_model(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    provider: ProviderName = "auto",
    options: ColorOptions | None = None,
    threads: int | None = None,
) -> Colorizer:
    """Open a model by its name, built-in or in a folder of ``COLORBATCH_MODELS``, or a model file by its path.

    Args:
        model: name or path.
        provider: ``auto``, ``cpu`` or ``cuda``; without ``auto`` there is no fallback to another one.
        options: how to colour; by default as in the model's contract.
        threads: of ONNX Runtime within one inference; ``None``: its own choice.

    Raises:
        ModelRefusedError: the file does not fulfil the contract.
        EnvironmentFailure: ONNX Runtime or the provider is missing.
        UsageError: the options do not fit the model.

    """
    return Colorizer(Session(read_model_file(model), provider, threads), options)


@overload
def colorize(
    picture: Picture, model: Colorizer | str | os.PathLike[str] | None = None, hints: Sequence[Hint] = ()
) -> Picture: ...
@overload
def colorize(
    picture: Image.Image, model: Colorizer | str | os.PathLike[str] | None = None, hints: Sequence[Hint] = ()
) -> Image.Image: ...
@overload
def colorize(
    picture: Pixels, model: Colorizer | str | os.PathLike[str] | None = None, hints: Sequence[Hint] = ()
) -> Pixels: ...
def colorize(
    picture: Picture | Image.Image | Pixels,
    model: Colorizer | str | os.PathLike[str] | None = None,
    hints: Sequence[Hint] = (),
) -> Picture | Image.Image | Pixels:
    """Colour one picture, one image of Pillow, or one array of 8 or 16 bits, grey ``[H, W]`` or RGB ``[H, W, 3]``.

    An image of Pillow is coloured as its pixels lie in memory: its orientation (EXIF) and its ICC profile are not
    applied, and its metadata is not in the result. :func:`colorbatch.colorize_file` does all of that.

    Args:
        picture: what to colour; an image must have the mode ``L``, ``RGB`` or ``I;16``.
        model: from :func:`open_model`; a name or a path, or ``None`` for the built-in one, is opened at every call.
        hints: colours that are known, for a model that supports them; of a picture with several frames, for the first.

    Returns:
        A picture for a picture, RGB ``[H, W, 3]`` of the same type for an array. For an image, one of the mode ``RGB``:
        8 bits, also for ``I;16``, since Pillow has no RGB of 16 bits.

    Raises:
        TypeError: an argument has another type; the message begins with its name.
        UsageError: the array is not grey or RGB of 8 or 16 bits, or the image has another mode.
        InferenceError: the model failed on it, or does not support hints.

    """
    colorizer = opened(model)
    refuse_other_hints(hints)
    if isinstance(picture, Picture):
        return colorizer.colorize(picture, hints)
    if isinstance(picture, Image.Image):
        pixels = _colorize_pixels(_pixels_of(picture), colorizer, hints)
        return Image.fromarray(
            pixels if pixels.dtype == np.uint8 else color.rounded_to_8_bits(pixels.astype(np.uint16))
        )
    if not isinstance(picture, np.ndarray):
        raise TypeError(f"picture: expected an array, an image of Pillow or a Picture, found {type(picture).__name__}")
    return _colorize_pixels(picture, colorizer, hints)


def opened(model: Colorizer | str | os.PathLike[str] | None) -> Colorizer:
    """Return a model as it is given, or opened; ``None``: the built-in one.

    Raises:
        TypeError: it is no model, no name and no path.
        ModelRefusedError, EnvironmentFailure: as :func:`open_model`.

    """
    if isinstance(model, Colorizer):
        return model
    if not (model is None or isinstance(model, str | os.PathLike)):
        raise TypeError(f"model: expected an opened model, a name or a path, found {model!r}")
    return open_model(model or DEFAULT_MODEL)


def refuse_other_hints(hints: Sequence[Hint]) -> None:
    """Check that hints are some.

    Raises:
        TypeError: they are not.

    """
    if not isinstance(hints, Sequence) or not all(isinstance(each, Hint) for each in hints):
        raise TypeError(f"hints: expected a list of Hint, found {hints!r}")


def _colorize_pixels(pixels: Pixels, colorizer: Colorizer, hints: Sequence[Hint]) -> Pixels:
    """Return RGB of the same type.

    Raises:
        UsageError: the pixels are not grey or RGB of 8 or 16 bits.

    """
    is_grey, is_rgb = pixels.ndim == 2, pixels.ndim == 3 and pixels.shape[2] == 3
    if pixels.dtype not in (np.uint8, np.uint16) or not (is_grey or is_rgb) or pixels.size == 0:
        raise UsageError(f"expected uint8 or uint16 [H, W] or [H, W, 3], got {pixels.dtype} {list(pixels.shape)}")
    return colorizer.colorize(Picture((Frame(pixels),)), hints).first.pixels


def _pixels_of(image: Image.Image) -> Pixels:
    """Return the pixels of an image of Pillow.

    Raises:
        UsageError: its mode is not supported.

    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode not in ("L", "RGB"):
        raise UsageError(
            f"expected an image of the mode L, RGB or I;16, got {image.mode}",
            advice='Convert it first, with image.convert("L") or image.convert("RGB").',
        )
    return np.asarray(image)
