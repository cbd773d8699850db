"""Channels of a TIFF beside its colours, and photometric interpretations: the same at 8 and at 16 bits."""

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from saved_pictures import coloured

from colorbatch.errors import UnsupportedPictureError
from colorbatch.formats import decode, encode
from colorbatch.inference.colorizer import Colorizer

Levels = NDArray[Any]
DEPTHS = [np.uint8, np.uint16]
COLORS = {"minisblack": 1, "rgb": 3, "separated": 4}


def planes(kind: type[np.generic], count: int) -> Levels:
    """Return ``[C, 33, 53]``, each channel another."""
    numbers: Levels = np.random.default_rng(7).integers(0, 2**16, (count, 33, 53)).astype(kind)
    return numbers


def tiff(samples: Levels, photometric: str, extra: list[int] | None, *, planar: bool = False, **how: Any) -> bytes:  # noqa: ANN401
    """Return a TIFF of ``[C, H, W]``; ``extra`` is the value of ExtraSamples, ``None`` that there is no such tag."""
    buffer = io.BytesIO()
    count = len(samples) - COLORS[photometric]
    tifffile.imwrite(
        buffer,
        samples if planar else np.moveaxis(samples, 0, -1),
        photometric=photometric,
        planarconfig="separate" if planar else "contig",
        extrasamples=extra or [0] * count,
        metadata=None,
        **how,
    )
    data = bytearray(buffer.getvalue())
    if extra is None:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            struct.pack_into(f"{file.byteorder}H", data, file.pages[0].tags[338].offset, 339 - 300)
    return bytes(data)


def read(data: bytes) -> tuple[Levels, tuple[int, ...]]:
    """Return samples and ExtraSamples of the first page."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        return page.asarray(), tuple(map(int, page.extrasamples))


@pytest.mark.parametrize("kind", DEPTHS)
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
@pytest.mark.parametrize("extra", [[0], None])
def test_a_channel_without_a_stated_meaning_is_kept_bit_for_bit(
    kind: type[np.generic],
    planar: bool,  # noqa: FBT001
    photometric: str,
    extra: list[int] | None,
) -> None:
    """VueScan writes infrared as such a channel."""
    samples = planes(kind, COLORS[photometric] + 1)
    data = tiff(samples, photometric, extra, planar=planar)
    picture = decode(data)
    assert picture.warnings == ()
    np.testing.assert_array_equal(picture.first.pixels, np.moveaxis(samples[:-1], 0, -1).squeeze())
    found, kinds = read(coloured(data))
    assert (found.shape, kinds) == ((33, 53, 4), (0,))
    assert found.dtype == kind
    np.testing.assert_array_equal(found[..., 3], samples[-1])
    assert picture.first.alpha is None


@pytest.mark.parametrize("kind", DEPTHS)
@pytest.mark.parametrize("extra", [[2, 0], [0, 2]])
def test_alpha_and_a_channel_without_a_stated_meaning_are_both_kept(kind: type[np.generic], extra: list[int]) -> None:
    samples = planes(kind, 5)
    found, kinds = read(coloured(tiff(samples, "rgb", extra)))
    assert kinds == (2, 0)
    np.testing.assert_array_equal(found[..., 3], samples[3 + extra.index(2)])
    np.testing.assert_array_equal(found[..., 4], samples[3 + extra.index(0)])


@pytest.mark.parametrize("kind", DEPTHS)
def test_they_are_kept_beside_inks_and_as_grey(kind: type[np.generic]) -> None:
    samples = planes(kind, 5)
    found, kinds = read(encode(decode(tiff(samples, "separated", [0]))))
    assert (found.shape[2], kinds) == (4, (0,))
    np.testing.assert_array_equal(found[..., 3], samples[4])
    grey = encode(decode(tiff(samples[:3], "minisblack", [2, 0])))
    np.testing.assert_array_equal(read(grey)[0], np.moveaxis(samples[:3], 0, -1))


def test_they_are_turned_and_coloured_with_the_picture(colorizer: Colorizer) -> None:
    samples = planes(np.uint16, 2)
    data = tiff(samples, "minisblack", [0], extratags=[(274, 3, 1, 6, True)])
    found, _ = read(encode(colorizer.predict(decode(data))))
    np.testing.assert_array_equal(found[..., 3], np.rot90(samples[1], -1))
    luma = found[..., :3] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma - np.rot90(samples[0], -1)).max() <= 1


@pytest.mark.parametrize("kind", DEPTHS)
@pytest.mark.parametrize(("photometric", "extra"), [("minisblack", [0, 0]), ("rgb", [0, 0]), ("rgb", [2, 2])])
def test_more_of_them_are_refused(kind: type[np.generic], photometric: str, extra: list[int]) -> None:
    with pytest.raises(UnsupportedPictureError, match="2 extra channels without a stated meaning"):
        decode(tiff(planes(kind, COLORS[photometric] + 2), photometric, extra))


@pytest.mark.parametrize("kind", DEPTHS)
@pytest.mark.parametrize("name", ["icclab", "itulab", "logluv"])
def test_other_photometric_interpretations_are_refused_by_their_number(kind: type[np.generic], name: str) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((9, 9, 3), kind), photometric=name, planarconfig="contig", metadata=None)
    bits = np.iinfo(kind).bits  # type: ignore[type-var]
    number = int(tifffile.PHOTOMETRIC[name.upper()])
    with pytest.raises(UnsupportedPictureError, match=f"photometric {number} with 3 channels of {bits} bits"):
        decode(buffer.getvalue())


@pytest.mark.parametrize("kind", DEPTHS)
def test_a_palette_with_an_extra_channel_is_refused(kind: type[np.generic]) -> None:
    colors = [0] * 3 * 2 ** (8 * np.dtype(kind).itemsize)
    data = bytearray(tiff(planes(kind, 2), "minisblack", [0], extratags=[(320, 3, len(colors), colors, True)]))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        struct.pack_into("<H", data, file.pages[0].tags[262].valueoffset, tifffile.PHOTOMETRIC.PALETTE)
    with pytest.raises(UnsupportedPictureError, match="photometric 3 with 2 channels"):
        decode(bytes(data))


def test_cie_lab_of_8_bits_is_converted() -> None:
    """L* of 49.8 without chroma is level 118 in sRGB (CIE 15; IEC 61966-2-1)."""
    buffer = io.BytesIO()
    lab = np.zeros((9, 9, 3), np.uint8)
    lab[..., 0] = 127
    tifffile.imwrite(buffer, lab, photometric="cielab", metadata=None)
    np.testing.assert_allclose(decode(buffer.getvalue()).first.pixels, 118, atol=1)


def test_signed_samples_of_8_bits_are_stretched_like_those_of_16() -> None:
    levels = np.arange(-100, 101, dtype=np.int8).reshape(3, 67)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, levels, metadata=None)
    np.testing.assert_allclose(decode(buffer.getvalue()).first.pixels, (levels + 100.0) * 65535 / 200, atol=0.51)


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
def test_samples_of_few_bits_are_scaled_to_8(bits: int) -> None:
    top = 2**bits - 1
    levels = (np.arange(33 * 48 * 3) % (top + 1)).astype(np.uint8).reshape(33, 48, 3)
    for samples, photometric in ((levels[..., 0].copy(), "minisblack"), (levels, "rgb")):
        buffer = io.BytesIO()
        how: dict[str, Any] = {"photometric": photometric, "bitspersample": bits, "metadata": None}
        if bits == 1:  # tifffile packs the bits of RGB otherwise than TIFF 6.0, section 6 has it
            strip = np.packbits(samples.reshape(33, -1), axis=1).tobytes()
            tifffile.imwrite(buffer, iter([strip]), shape=samples.shape, dtype=bool, rowsperstrip=33, **how)
        else:
            tifffile.imwrite(buffer, samples, **how)
        np.testing.assert_array_equal(decode(buffer.getvalue()).first.pixels, np.round(samples * (255 / top)))
