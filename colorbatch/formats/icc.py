"""ICC profiles: convert the colours of a picture to sRGB, with perceptual intent."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from colorbatch.pixels.picture import Pixels

_INTENT = ImageCms.Intent.PERCEPTUAL
_DATE = slice(24, 36)
"""Creation date of an ICC profile (ICC.1, section 7.2): zeroed, so that equal runs give equal bytes."""
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
        space = str(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space).strip()
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


def _transform_levels(pixels: Pixels, profile: bytes) -> Pixels:
    """Return RGB of the same depth for grey pixels: each level is converted once, in floating point.

    With integers, LittleCMS makes a table of a few points of the curve, which is off by up to 2,482 of 65,535 for a
    linear one.
    """
    import imagecodecs

    top = np.iinfo(pixels.dtype).max
    levels = np.arange(top + 1, dtype=np.float32)[None] / np.float32(top)
    converted = imagecodecs.cms_transform(
        levels,
        profile,
        srgb_profile(),
        colorspace="minisblack",
        outcolorspace="rgb",
        outdtype=np.float32,
        intent=int(_INTENT),
    )
    rgb: Pixels = np.round(np.clip(converted[0], 0, 1) * top).astype(pixels.dtype)
    return rgb[pixels]


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


def _is_identity(profile: bytes, channels: int) -> bool:
    """Return whether a profile leaves levels unchanged, judged by its effect on a chart, since names mislead."""
    ramp = np.arange(256, dtype=np.uint8)[None]
    if channels == 1:
        chart, converted = ramp[..., None], _transform_levels(ramp, profile)
    else:
        chart = np.dstack([ramp, np.roll(ramp, 40), np.roll(ramp, 90)])
        converted = _transform(chart, profile, "RGB")
    return bool(np.abs(converted.astype(int) - chart).max() <= 1)
