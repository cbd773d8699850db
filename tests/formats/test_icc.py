"""Grey ICC profiles, compared with the formulas of their curves and of sRGB (IEC 61966-2-1)."""

import struct

import numpy as np
import pytest
from icc_profiles import Curve, encoded, gamma, grey_profile

from colorbatch.formats.icc import to_srgb


def dot_gain(percent: float) -> tuple[bytes, Curve]:
    """Return a sampled curve: paper under dots that grow by so much at half tone."""
    ink = 1 - np.linspace(0, 1, 256)
    grown = np.minimum(1, ink + 4 * percent / 100 * ink * (1 - ink))
    samples = np.round((1 - grown) * 65535)
    curve = b"curv" + bytes(4) + struct.pack(">I", 256) + samples.astype(">u2").tobytes()
    return grey_profile(curve), lambda level: np.interp(level, np.linspace(0, 1, 256), samples / 65535)


PROFILES = {
    "linear": gamma(1.0),
    "1.8": gamma(1.8),
    "2.2": gamma(2.2),
    "2.4": gamma(2.4),
    "dot gain 15 %": dot_gain(15),
    "dot gain 30 %": dot_gain(30),
}


@pytest.mark.parametrize("name", PROFILES)
def test_every_grey_of_16_bits_is_within_3_levels(name: str) -> None:
    profile, curve = PROFILES[name]
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    warnings: list[str] = []
    found = to_srgb(levels, profile, warnings).astype(np.float64)
    assert warnings == []
    assert found.shape == (256, 256, 3)
    expected = encoded(curve(levels / 65535)) * 65535
    # light has 16 bits in a sampled curve; half a step of it is 6.5 levels of sRGB near black, where that is steepest
    assert np.abs(found - expected[..., None]).max() <= (8 if "gain" in name else 3)


@pytest.mark.parametrize("name", PROFILES)
def test_every_grey_of_8_bits_is_the_nearest_level(name: str) -> None:
    profile, curve = PROFILES[name]
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    warnings: list[str] = []
    found = to_srgb(levels, profile, warnings).astype(np.float64)
    assert warnings == []
    expected = encoded(curve(levels / 255)) * 255
    assert np.abs(found - expected[..., None]).max() <= 0.51
