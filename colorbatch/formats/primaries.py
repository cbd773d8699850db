"""Colour descriptions that are not ICC profiles, as profiles: gamma with chromaticities, and code points of video."""

from collections.abc import Sequence

import numpy as np

from colorbatch.errors import UnsupportedPictureError

_SRGB_GAMMA = 0.45455
_SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""x and y of white, red, green and blue."""
_LIKE_SRGB = 0.05
"""Difference of a gamma, as a share, up to which levels are taken as those of sRGB, as in libpng and most viewers."""
_LIKE_SRGB_XY = 0.01
"""The same for a chromaticity."""
_GAMMAS = (0.01, 10.0)
"""Gammas outside of this range are errors: everything would be black or white."""
_PRIMARIES = {
    1: _SRGB,
    2: _SRGB,  # unspecified
    5: (0.3127, 0.329, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (0.3127, 0.329, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (0.3127, 0.329, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    12: (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
"""Chromaticities by their code points (ITU-T H.273, table 2)."""
_SRGB_TRANSFERS = frozenset({1, 2, 6, 13, 14, 15})
"""Code points of transfers (ITU-T H.273, table 3) that viewers of still pictures treat as that of sRGB."""
_POWER_TRANSFERS = {4: 1 / 2.2, 5: 1 / 2.8, 8: 1.0}


def profile_of_gamma(gamma: float, chromaticities: Sequence[float] | None, *, is_grey: bool) -> bytes | None:
    """Return an ICC profile of levels that are light to the power of ``gamma`` (PNG specification, section 11.3.2.2).

    Args:
        gamma: of the file; 0.45455 for those of sRGB.
        chromaticities: x and y of white, red, green and blue; ``None``: those of sRGB.
        is_grey: whether the pixels have one channel.

    Returns:
        The profile; ``None``: the levels are those of sRGB.

    Raises:
        ValueError: there are no such colours.

    """
    if not _GAMMAS[0] <= gamma <= _GAMMAS[1]:
        raise ValueError(f"a gamma of {gamma}")
    has_srgb_tones = abs(gamma / _SRGB_GAMMA - 1) <= _LIKE_SRGB
    xy = _SRGB if chromaticities is None or _is_like_srgb(chromaticities) else tuple(chromaticities)
    if has_srgb_tones and (is_grey or xy == _SRGB):
        return None
    if not is_grey and not (all(0 <= value <= 1 for value in xy) and xy[1] > 0):
        raise ValueError("chromaticities beyond those of light")
    return _profile(_SRGB if is_grey else xy, None if has_srgb_tones else gamma, is_grey=is_grey)


def profile_of_code_points(primaries: int, transfer: int, *, is_grey: bool) -> bytes | None:
    """Return an ICC profile of a colour space of ITU-T H.273; ``None``: the levels are those of sRGB.

    Raises:
        UnsupportedPictureError: it is one of high dynamic range, or otherwise unknown.

    """
    if primaries not in _PRIMARIES or transfer not in _SRGB_TRANSFERS | set(_POWER_TRANSFERS):
        raise UnsupportedPictureError(
            f"its colour space is not supported: primaries {primaries} and transfer {transfer} of ITU-T H.273",
            advice="Convert a copy to sRGB.",
        )
    xy, gamma = _PRIMARIES[primaries], _POWER_TRANSFERS.get(transfer)
    if gamma is None and (is_grey or xy == _SRGB):
        return None
    return _profile(xy, gamma, is_grey=is_grey)


def _is_like_srgb(chromaticities: Sequence[float]) -> bool:
    return all(abs(one - other) <= _LIKE_SRGB_XY for one, other in zip(chromaticities, _SRGB, strict=True))


def _profile(xy: Sequence[float], gamma: float | None, *, is_grey: bool) -> bytes:
    """Return a profile, with the tones of sRGB if there is no gamma."""
    import imagecodecs

    white, *colors = ((x, y, 1.0) for x, y in zip(xy[::2], xy[1::2], strict=True))
    try:
        return bytes(
            imagecodecs.cms_profile(
                "gray" if is_grey else "rgb",
                whitepoint=white,
                primaries=None if is_grey else [value for color in colors for value in color],
                gamma=None if gamma is None else 1 / gamma,
                transferfunction=_srgb_tones() if gamma is None else None,
            )
        )
    except Exception as error:  # it raises errors of its own
        raise ValueError(str(error)) from error


def _srgb_tones() -> "np.ndarray[tuple[int], np.dtype[np.uint16]]":
    """Return the light of 4096 levels of sRGB, of 65535 (IEC 61966-2-1, section 5.2)."""
    levels = np.linspace(0, 1, 4096)
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return np.round(light * 65535).astype(np.uint16)
