"""Colour a picture: its luma goes through the network small, and chroma comes back; the luma itself is kept."""

import os
import time
from dataclasses import replace
from typing import overload

import numpy as np

from colorbatch import color, resize, tiling
from colorbatch.color import Plane
from colorbatch.contract import ModelContract
from colorbatch.errors import UsageError
from colorbatch.job import DEFAULT_MODEL, ColorOptions, ProviderName
from colorbatch.model_file import read_model_file
from colorbatch.picture import Frame, Picture, Pixels
from colorbatch.session import Session

MAX_STRENGTH = 2.0


class Colorizer:
    """An opened model that colours pictures of any size. May be used from several threads at once."""

    def __init__(self, session: Session, options: ColorOptions | None = None, *, timeout: float | None = None) -> None:
        """Colour with ``session``; ``options`` come before what the model's contract says.

        ``timeout`` is how many seconds the model may take for one frame.

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

    def colorize(self, picture: Picture) -> Picture:
        """Return the picture with every frame in colour: of the same size and depth, with the same luma and alpha.

        Raises:
            InferenceError: the model failed on it.

        """
        picture = self.predict(picture)
        return replace(picture, frames=tuple(frame.merged() for frame in picture.frames))

    def predict(self, picture: Picture) -> Picture:
        """Return the picture with the chroma of every frame beside its pixels, not yet merged: that takes memory.

        Raises:
            InferenceError: the model failed on it.

        """
        return replace(picture, frames=tuple(map(self._predict_frame, picture.frames)))

    def _predict_frame(self, frame: Frame) -> Frame:
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        return replace(frame, chroma=self.predict_chroma(frame.pixels, deadline))

    def predict_chroma(self, pixels: Pixels | Plane, deadline: float | None = None) -> Plane:
        """Return chroma ``[2, h, w]`` in about -0.5..0.5, at the size at which the network saw the picture.

        The picture goes through the network once, small, since colour needs the whole scene; one that is too long for
        that goes in overlapping tiles (:mod:`colorbatch.tiling`).

        Args:
            pixels: grey, RGB, or luma, as :func:`colorbatch.color.luma_of` takes them.
            deadline: one of ``time.monotonic``.

        Raises:
            InferenceError: the model failed on it, or took too long.

        """
        if self.session.contract.tiling == "tiles":
            small, side = color.luma_of(pixels), self.working_size
        else:
            height, width = pixels.shape[:2]
            size = resize.network_size(height, width, self.working_size)
            small, side = resize.shrink_luma(pixels, size), resize.MAX_ASPECT * self.working_size
        windows = tiling.windows_of(small.shape, side)
        tiles = ((window, self._run(small[window.slices], deadline)) for window in windows)
        return tiling.blend(small.shape, tiles)

    def _run(self, luma: Plane, deadline: float | None) -> Plane:
        """Return chroma ``[2, h, w]`` of luma ``[h, w]`` at the size that the network sees."""
        height, width = luma.shape
        padded = resize.pad_to_multiple(luma, self.session.contract.size_multiple)
        vividness, strength = self.options.vividness, self.options.strength
        chroma = self.session.predict_chroma(padded[None, None], vividness, deadline)[0]
        if self.options.tta:
            mirrored = np.ascontiguousarray(padded[:, ::-1])
            again = self.session.predict_chroma(mirrored[None, None], vividness, deadline)[0]
            chroma = (chroma + again[:, :, ::-1]) / 2
        scaled: Plane = chroma if strength == 1 else chroma * np.float32(strength)
        return scaled[:, :height, :width]


def resolved(options: ColorOptions, contract: ModelContract) -> ColorOptions:
    """Return the options with the contract's values for those left open.

    Raises:
        UsageError: they do not fit the model, or are out of range.

    """
    size, vividness = options.working_size, options.vividness
    if size is not None and size < contract.size_multiple:
        raise UsageError(f"the working size must be at least {contract.size_multiple} for the model {contract.name}")
    if vividness is not None and contract.vividness is None:
        raise UsageError(
            f"the model {contract.name} has no vividness",
            advice="Leave --vividness out, or scale its colours with --strength.",
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


def open_model(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    provider: ProviderName = "auto",
    options: ColorOptions | None = None,
    threads: int | None = None,
) -> Colorizer:
    """Open a built-in model by its name, or a model file by its path.

    Args:
        model: name or path.
        provider: ``auto``, ``cpu`` or ``cuda``; all but ``auto`` are used or refused, never replaced.
        options: how to colour; by default as the model's contract says.
        threads: of ONNX Runtime within one inference; ``None``: its own choice.

    Raises:
        ModelRefusedError: the file does not keep the contract.
        EnvironmentFailure: ONNX Runtime or the provider is missing.
        UsageError: the options do not fit the model.

    """
    return Colorizer(Session(read_model_file(os.fspath(model)), provider, threads), options)


@overload
def colorize(picture: Picture, model: Colorizer | None = None) -> Picture: ...
@overload
def colorize(picture: Pixels, model: Colorizer | None = None) -> Pixels: ...
def colorize(picture: Picture | Pixels, model: Colorizer | None = None) -> Picture | Pixels:
    """Colour one picture, or one array of 8 or 16 bits, grey ``[H, W]`` or RGB ``[H, W, 3]``.

    Args:
        picture: what to colour.
        model: from :func:`open_model`; ``None`` opens the built-in one, which costs time at every call.

    Returns:
        A picture for a picture, RGB ``[H, W, 3]`` of the same type for an array.

    Raises:
        UsageError: the array is not grey or RGB of 8 or 16 bits.
        InferenceError: the model failed on it.

    """
    colorizer = model or open_model()
    if isinstance(picture, Picture):
        return colorizer.colorize(picture)
    is_grey, is_rgb = picture.ndim == 2, picture.ndim == 3 and picture.shape[2] == 3
    if picture.dtype not in (np.uint8, np.uint16) or not (is_grey or is_rgb) or picture.size == 0:
        raise UsageError(f"expected uint8 or uint16 [H, W] or [H, W, 3], got {picture.dtype} {list(picture.shape)}")
    return colorizer.colorize(Picture((Frame(picture),))).first.pixels
