"""Damage beside the sound pixels of a TIFF: the output has the pixels, and Pillow and tifffile read it."""

import io
import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin, TiffTags
from saved_pictures import IIM, RESOURCES, XMP, coloured

from colorbatch.errors import UnreadablePictureError
from colorbatch.formats import SALVAGED, decode

Levels = NDArray[Any]
Extra = tuple[int, int, int, Any, bool]
OF_PIXELS = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320),
    *(322, 323, 324, 325, 330, 338, 339, 347, *range(512, 522), 529, 530, 531, 532, 32997, 32998),
}
"""Tags that say what a page is, how its pixels are stored and how they lie (TIFF 6.0, sections 8 and 15 to 22)."""
EXIF, GPS, PROFILE = 34665, 34853, 34675
BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8, 13: 4, 16: 8}
"""Bytes of a value, by the types of the sources."""
ENTRY = {False: ("HHI", "I", "H"), True: ("HHQ", "Q", "Q")}
"""An entry up to its value, an offset, and the number of entries, in a TIFF and in a BigTIFF."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Leave out what the readers say of the damage."""
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def levels(kind: type[np.generic]) -> Levels:
    slope = np.add.outer(np.arange(40) * 2, np.arange(56) * 3)
    found: Levels = (slope.astype(kind) * (257 if kind is np.uint16 else 1)).astype(kind)
    return found


def by_pillow(*, big: bool, kind: type[np.generic], order: str = "<") -> bytes:
    """Return a page with EXIF and GPS directories, XMP, IPTC, image resources, texts, resolution and a profile."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[315], tags[305] = "Grandmother, 1931", "A photographer of a long name", "s"
    for code, block in ((700, XMP), (33723, IIM), (34377, RESOURCES)):
        tags.tagtype[code] = TiffTags.BYTE
        tags[code] = block
    tags[EXIF] = {36867: "1931:05:01 12:00:00", 37500: b"maker note" * 3, 33437: (28, 10), 40965: {1: "R98"}}
    tags[GPS] = {1: "N", 2: (50.0, 5.0, 11.25)}
    for code in (EXIF, GPS):
        tags.tagtype[code] = TiffTags.LONG
    buffer = io.BytesIO()
    image = Image.fromarray(levels(kind) if order == "<" else levels(kind).astype(">u2"))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(buffer, "TIFF", tiffinfo=tags, dpi=(300, 300), big_tiff=big, icc_profile=profile)
    return buffer.getvalue()


def by_tifffile(kind: type[np.generic], *, byteorder: Any, bigtiff: bool, **how: Any) -> bytes:  # noqa: ANN401
    """Return a page with XMP, IPTC, texts, numbers and resolution."""
    buffer = io.BytesIO()
    extra: list[Extra] = [
        *((code, 1, len(block), block, True) for code, block in ((700, XMP), (33723, IIM), (34377, RESOURCES))),
        *((code, 2, 0, text, True) for code, text in ((270, "Grandmother, 1931"), (315, "A photographer"), (316, "h"))),
        (297, 3, 2, (0, 1), True),
        (33550, 12, 3, (1.5, 2.5, 0.0), True),
    ]
    with tifffile.TiffWriter(buffer, byteorder=byteorder, bigtiff=bigtiff) as writer:
        writer.write(levels(kind), extratags=extra, metadata=None, resolution=(300, 300), resolutionunit=2, **how)
    return buffer.getvalue()


def sources() -> list[bytes]:
    return [
        by_pillow(big=False, kind=np.uint8),
        by_pillow(big=True, kind=np.uint8),
        by_pillow(big=False, kind=np.uint16),
        by_pillow(big=False, kind=np.uint16, order=">"),
        by_tifffile(np.uint8, byteorder=">", bigtiff=False, rowsperstrip=7),
        by_tifffile(np.uint8, byteorder="<", bigtiff=False, tile=(16, 16), compression="lzw", predictor=True),
        by_tifffile(np.uint16, byteorder=">", bigtiff=True, tile=(32, 16), compression="zlib"),
        by_tifffile(np.uint16, byteorder="<", bigtiff=True, rowsperstrip=9),
    ]


class Parts:
    """Where entries and values are in a file, found by hand (TIFF 6.0, section 2)."""

    def __init__(self, data: bytes) -> None:
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = data[2:4] in (b"+\0", b"\0+")
        self.entry, self.pointer, self.count = (self.order + each for each in ENTRY[self.big])
        self.data = data
        (first,) = struct.unpack_from(self.pointer, data, 8 if self.big else 4)
        page = self.entries(first)
        self.places = {code: place for code, place in page if code not in OF_PIXELS}
        self.inner = [
            place for code, place in page if code in (EXIF, GPS) for _, place in self.entries(self.value(place))
        ]

    def entries(self, directory: int) -> list[tuple[int, int]]:
        """Return code and position of each entry."""
        (count,) = struct.unpack_from(self.count, self.data, directory)
        start, size = directory + struct.calcsize(self.count), struct.calcsize(self.entry) + len(self.bytes(0))
        places = range(start, start + count * size, size)
        return [(struct.unpack_from(self.order + "H", self.data, place)[0], place) for place in places]

    def value(self, place: int) -> int:
        """Return the value of an entry that is an offset."""
        return int(struct.unpack_from(self.pointer, self.data, place + struct.calcsize(self.entry))[0])

    def bytes(self, value: int) -> bytes:
        return struct.pack(self.pointer, value)


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Return a file with damage in an entry of metadata, in an entry of its EXIF or GPS directory, or in a value."""
    parts, changed = Parts(data), bytearray(data)
    places = [*parts.places.values(), *parts.inner]
    place = places[random.integers(len(places))]
    code, kind, count = struct.unpack_from(parts.entry, data, place)
    most = 2 ** (64 if parts.big else 32) - 1
    at_value = place + struct.calcsize(parts.entry)

    def one_of(*numbers: int) -> int:
        return numbers[random.integers(len(numbers))]

    match random.choice(["code", "kind", "count", "offset", "bytes"]):
        case "code":
            new = int(random.integers(2**16))
            struct.pack_into(f"{parts.order}H", changed, place, 65_000 if new in OF_PIXELS | {PROFILE} else new)
        case "kind":
            struct.pack_into(f"{parts.order}H", changed, place + 2, one_of(*range(20), 255, 65535))
        case "count":
            new = one_of(0, 1, 2, count + 1, count * 2, 2**16, 2**31, most)
            struct.pack_into(parts.entry, changed, place, code, kind, new)
        case "offset":
            new = one_of(0, 1, len(data) - 2, len(data), 2**31, most, int(random.integers(len(data))))
            struct.pack_into(parts.pointer, changed, at_value, new)
        case _ if code != PROFILE:
            is_inline = count * BYTES[kind] <= len(parts.bytes(0))
            start, size = (at_value, len(parts.bytes(0))) if is_inline else (parts.value(place), count * BYTES[kind])
            for position in random.integers(0, size, 3):
                changed[start + position] ^= int(random.integers(1, 256))
    return bytes(changed)


def read_elsewhere(data: bytes) -> Iterator[Levels]:
    """Yield the pixels that Pillow and tifffile read, if they do."""
    readers: list[Callable[[Any], Levels]] = [lambda file: np.asarray(Image.open(file)), tifffile.imread]
    for read in readers:
        try:
            yield read(io.BytesIO(data))
        except Exception:  # noqa: BLE001, S112 (on damaged files, they raise errors of any kind)
            continue


def check(seed: int) -> bool:
    """Check one damaged file; return whether another reader can read it."""
    random = np.random.default_rng(seed)
    originals = sources()
    original = originals[seed % len(originals)]
    want = tifffile.imread(io.BytesIO(original))
    data = damaged(original, random)
    if not any(np.array_equal(each, want) for each in read_elsewhere(data)):
        return False
    np.testing.assert_array_equal(decode(data).first.pixels, want, err_msg=f"seed {seed}")
    output = coloured(data)
    rgb = np.dstack([want] * 3)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(output)), rgb, err_msg=f"seed {seed}")
    with Image.open(io.BytesIO(output)) as image:  # Pillow reads 16-bit RGB as 8 bits
        assert image.size == want.shape[::-1]
        np.testing.assert_array_equal(np.asarray(image), rgb if rgb.dtype == np.uint8 else rgb >> 8)
    return True


def test_sound_pixels_beside_damaged_metadata_are_decoded_and_encoded() -> None:
    assert sum(map(check, range(40))) > 35


@pytest.mark.slow
def test_sound_pixels_beside_damaged_metadata_are_decoded_and_encoded_300_times() -> None:
    assert sum(map(check, range(1000, 1300))) > 280


def with_entry(data: bytes, tag: int, **fields: int) -> bytes:
    """Return a file whose first page has other numbers in the entry of a tag: code, kind, count or value."""
    parts, changed = Parts(data), bytearray(data)
    found = dict(zip(("code", "kind", "count"), struct.unpack_from(parts.entry, data, parts.places[tag]), strict=True))
    value = fields.pop("value", parts.value(parts.places[tag]))
    struct.pack_into(parts.entry, changed, parts.places[tag], *{**found, **fields}.values())
    struct.pack_into(parts.pointer, changed, parts.places[tag] + struct.calcsize(parts.entry), value)
    return bytes(changed)


@pytest.mark.parametrize(
    "fields", [{"value": 10**6}, {"count": 2**31}, {"count": 0}, {"kind": 99}], ids=lambda fields: next(iter(fields))
)
def test_a_damaged_tag_is_left_out_and_named(fields: dict[str, int]) -> None:
    data = with_entry(by_pillow(big=False, kind=np.uint8), 33723, **fields)
    assert decode(data).warnings == ("damaged tags were dropped: 33723 (IPTCNAA)",)
    with tifffile.TiffFile(io.BytesIO(coloured(data))) as output:
        tags = output.pages[0].tags
        assert 33723 not in tags
        assert (tags.valueof(270), tags.valueof(700)) == ("Grandmother, 1931", XMP)
        assert tags.valueof(EXIF)["DateTimeOriginal"] == "1931:05:01 12:00:00"


def test_many_damaged_tags_are_one_short_warning() -> None:
    data = by_pillow(big=False, kind=np.uint8)
    for code in (270, 305, 315, 700, 33723, 34377, EXIF, GPS, PROFILE):
        data = with_entry(data, code, kind=99)
    (warning,) = decode(data).warnings
    assert warning.startswith("damaged tags were dropped: 270 (ImageDescription), 305 (Software), ")
    assert warning.endswith(" and 1 more")


@pytest.mark.parametrize("unit", [0, 9])
def test_of_a_resolution_without_a_unit_the_figures_are_kept(unit: int) -> None:
    data = with_entry(by_pillow(big=False, kind=np.uint8), 296, value=unit)
    assert decode(data).warnings == ("the damaged unit of the resolution was dropped",)
    with tifffile.TiffFile(io.BytesIO(coloured(data))) as output:
        tags = output.pages[0].tags
        assert (tags.valueof(282), tags.valueof(283), tags.valueof(296)) == ((300, 1), (300, 1), 1)


def test_a_damaged_resolution_is_a_warning() -> None:
    data = with_entry(by_pillow(big=False, kind=np.uint8), 282, kind=10)  # a signed fraction
    assert decode(data).warnings == ("the damaged resolution was dropped",)
    assert tifffile.imread(io.BytesIO(coloured(data))).shape == (40, 56, 3)


def test_a_damaged_profile_is_a_warning() -> None:
    data = with_entry(by_pillow(big=False, kind=np.uint8), PROFILE, count=10**7)
    assert decode(data).warnings == ("damaged tags were dropped: 34675 (InterColorProfile)",)


def test_of_a_damaged_exif_directory_the_sound_tags_are_kept() -> None:
    data = bytearray(by_pillow(big=False, kind=np.uint8))
    parts = Parts(bytes(data))
    exif = dict(parts.entries(parts.value(parts.places[EXIF])))
    struct.pack_into("<I", data, exif[36867] + 8, 10**6)
    struct.pack_into("<I", data, exif[40965] + 8, 10**6)
    assert decode(bytes(data)).warnings == (
        "damaged tags of the EXIF directory were dropped: 36867 (DateTimeOriginal)",
        "the damaged interoperability directory was dropped: the directory is outside the file",
    )
    with tifffile.TiffFile(io.BytesIO(coloured(bytes(data)))) as output:
        kept = output.pages[0].tags.valueof(EXIF)
        assert kept == {"FNumber": (28, 10), "MakerNote": b"maker note" * 3}
        assert output.pages[0].tags.valueof(GPS)["GPSLatitudeRef"] == "N"


def test_an_offset_to_a_directory_of_an_unknown_kind_is_left_out() -> None:
    """In the output, it would lead to a place where there is no directory."""
    data = with_entry(by_pillow(big=False, kind=np.uint8), 305, code=50_000, kind=13, count=1, value=8)
    assert decode(data).warnings == ("directories of an unknown kind were dropped: 50000",)
    with tifffile.TiffFile(io.BytesIO(coloured(data))) as output:
        assert 50_000 not in output.pages[0].tags


@pytest.mark.parametrize("offset", [10**6, 2**32 - 1])
def test_a_page_that_is_cut_off_is_missed(offset: int) -> None:
    """libtiff writes a directory behind the pixels of its page: in a file cut short, it is not there."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for _ in range(2):
            writer.write(levels(np.uint8), metadata=None)
    with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as file:
        second = file.pages[1].offset
    data = buffer.getvalue().replace(struct.pack("<I", second), struct.pack("<I", offset))
    with pytest.raises(UnreadablePictureError, match="truncated: of page 2, the directory is outside the file"):
        decode(data)
    picture = decode(data, salvage=True)
    assert len(picture.frames) == 1
    assert picture.warnings[0].startswith(SALVAGED)
