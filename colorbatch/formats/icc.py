"""ICC profiles: convert the colours of a picture to sRGB, with perceptual intent."""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from colorbatch.pixels.picture import Pixels

_INTENT = ImageCms.Intent.PERCEPTUAL
_DATE = slice(24, 36)
"""Creation date of an ICC profile (ICC.1, section 7.2): zeroed, so that equal runs give equal bytes."""
_LEVELS = 256
_SRGB_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Shares of red, green and blue in luminance (IEC 61966-2-1, section 5.3)."""
_D65 = (0.3127, 0.3290, 1.0)
_SRGB_PRIMARIES = (0.64, 0.33, 1.0, 0.30, 0.60, 1.0, 0.15, 0.06, 1.0)
"""Chromaticities x and y of red, green and blue, each followed by a luminance (IEC 61966-2-1, section 4.2)."""
_STEEPEST = 8.0
"""Limit of the slope of a curve, where it is nearly vertical."""
_CHANNELS = {"GRAY": 1, "RGB": 3, "CMYK": 4}


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return an sRGB ICC profile, always the same bytes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DATE] = bytes(12)
    return bytes(profile)


def to_srgb(pixels: Pixels, profile: bytes, warnings: list[str]) -> Pixels:
    """Return pixels in sRGB; unchanged if the profile is already sRGB, does not fit them, or is damaged.

    Args:
        pixels: grey ``[H, W]``, RGB ``[H, W, 3]`` or CMYK ``[H, W, 4]`` of 8 or 16 bits.
        profile: of the file.
        warnings: receives the reason why a profile was not used.

    """
    try:
        space = _space_of(profile)
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        if space == "RGB" and channels == 1:
            return pixels  # grey in an RGB working space: its levels are kept
        if _CHANNELS.get(space) != channels:
            warnings.append(f"the ICC profile is for {space}, not for {channels} channels, and was ignored")
            return pixels
        if space != "CMYK" and _is_identity(profile, channels):
            return pixels
        if channels == 1:
            return _transform_levels(pixels, profile)
        return _transform(pixels, profile, space)
    except Exception as error:  # noqa: BLE001 (the two colour management modules raise errors of many kinds)
        warnings.append(f"the ICC profile is damaged and was ignored: {error}")
        return pixels


def in_color(profile: bytes) -> bytes:
    """Return an RGB profile with the tone curve of another for its greys, and the primaries of sRGB.

    So grey levels that get colours need not be converted: they look the same in both profiles.

    Args:
        profile: grey or RGB.

    Raises:
        ValueError: greys would differ by more than a level of 255 in sRGB.

    """
    return _with_tones_of(profile, "RGB")


def in_grey(profile: bytes) -> bytes:
    """Return a grey profile with the tone curve of another for its greys, as :func:`in_color`."""
    return _with_tones_of(profile, "GRAY")


def _with_tones_of(profile: bytes, space: str) -> bytes:
    import imagecodecs

    greys = _greys_in_srgb(profile, _space_of(profile), _LEVELS)
    curve = np.round(_linear(greys) @ _SRGB_LUMINANCE * 65535).astype(np.uint16)
    primaries = _SRGB_PRIMARIES if space == "RGB" else None
    built = bytearray(
        imagecodecs.cms_profile(space.lower(), whitepoint=_D65, primaries=primaries, transferfunction=curve)
    )
    built[_DATE] = bytes(12)
    if np.abs(_greys_in_srgb(bytes(built), space, _LEVELS) - greys).max() > 1 / 255:
        raise ValueError("no profile has its tone curve")
    return bytes(built)


def slope_of(profile: bytes) -> NDArray[np.float32]:
    """Return how fast the levels of an RGB profile grow with those of sRGB, ``[256]`` by level."""
    srgb = _greys_in_srgb(profile, "RGB", _LEVELS).mean(axis=1)
    rise = np.gradient(srgb.astype(np.float64)) * (_LEVELS - 1)
    slope: NDArray[np.float32] = (1 / np.maximum(rise, 1 / _STEEPEST)).astype(np.float32)
    return slope


def _linear(srgb: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return linear light of sRGB (IEC 61966-2-1, section 5.2)."""
    levels = srgb.astype(np.float64)
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def _space_of(profile: bytes) -> str:
    return str(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space).strip()


def _transform_levels(pixels: Pixels, profile: bytes) -> Pixels:
    """Return RGB of the same depth for grey pixels: each level is converted once, in floating point.

    With integers, LittleCMS makes a table of a few points of the curve, which is off by up to 2,482 of 65,535 for a
    linear one.
    """
    top = np.iinfo(pixels.dtype).max
    rgb: Pixels = np.round(_greys_in_srgb(profile, "GRAY", top + 1) * top).astype(pixels.dtype)
    return rgb[pixels]


def _greys_in_srgb(profile: bytes, space: str, count: int) -> NDArray[np.float32]:
    """Return sRGB ``[count, 3]`` in 0..1 of greys from black to white, computed in floating point.

    Args:
        profile: in which their levels grow evenly.
        space: of the profile, ``GRAY`` or ``RGB``.
        count: number of greys.

    """
    import imagecodecs

    levels = np.linspace(0, 1, count, dtype=np.float32)[None]
    converted = imagecodecs.cms_transform(
        levels if space == "GRAY" else np.dstack([levels] * 3),
        profile,
        srgb_profile(),
        colorspace="minisblack" if space == "GRAY" else "rgb",
        outcolorspace="rgb",
        outdtype=np.float32,
        intent=int(_INTENT),
    )
    return np.clip(converted[0], np.float32(0), np.float32(1))  # type: ignore[no-any-return]


def _transform(pixels: Pixels, profile: bytes, space: str) -> Pixels:
    """Return RGB of the same depth; 16-bit pixels need imagecodecs, since Pillow's transforms have 8 bits."""
    if pixels.dtype == np.uint8:
        converted = ImageCms.profileToProfile(
            Image.frombytes(space, (pixels.shape[1], pixels.shape[0]), np.ascontiguousarray(pixels).tobytes()),
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=_INTENT,
            outputMode="RGB",
        )
        assert converted is not None  # it is None only if the image is converted in place
        return np.asarray(converted)
    import imagecodecs

    transformed: Pixels = imagecodecs.cms_transform(
        pixels,
        profile,
        srgb_profile(),
        colorspace=space.lower(),
        outcolorspace="rgb",
        outdtype=np.uint16,
        intent=int(_INTENT),
    )
    return transformed


def is_srgb(profile: bytes) -> bool:
    """Return whether an RGB profile leaves the levels of sRGB unchanged.

    Raises:
        ValueError, OSError: it is damaged.

    """
    return _space_of(profile) == "RGB" and _is_identity(profile, 3)


def _is_identity(profile: bytes, channels: int) -> bool:
    """Return whether a profile leaves levels unchanged, judged by its effect on a chart, since names mislead."""
    ramp = np.arange(256, dtype=np.uint8)[None]
    if channels == 1:
        chart, converted = ramp[..., None], _transform_levels(ramp, profile)
    else:
        chart = np.dstack([ramp, np.roll(ramp, 40), np.roll(ramp, 90)])
        converted = _transform(chart, profile, "RGB")
    return bool(np.abs(converted.astype(int) - chart).max() <= 1)
