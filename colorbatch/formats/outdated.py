"""XMP that is no longer true of the output, which is coloured and upright: it is brought up to date, or left out."""

from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from colorbatch.formats.xmp import PREFIXES, add, packet_of, parsed, pop_property, rdf_of, tag
from colorbatch.pixels.metadata import Turn

REGIONS_DROPPED = "regions in XMP, such as faces, were dropped"
"""Start of the warning about regions that could not be turned with the picture."""
_SETTINGS = frozenset({"crs", "crss"})
"""Prefixes of Camera Raw, which would apply its settings once more, and turn the output grey."""
_ELSEWHERE = frozenset({"Container", "GContainer", "GCamera", "GDepth", "GImage", "GAudio", "hdrgm", "HDRGainMap"})
"""Prefixes of depth and gain maps and of motion photos: what they describe is behind the picture, or is a grey copy."""
_REGIONS = "mwg-rs:Regions"
_OTHER_REGIONS = frozenset({"MP:RegionInfo", "Iptc4xmpExt:ImageRegion", "acdsee-rs:Regions"})
_SWAPPED = (
    ("tiff:ImageWidth", "tiff:ImageLength"),
    ("tiff:XResolution", "tiff:YResolution"),
    ("exif:PixelXDimension", "exif:PixelYDimension"),
)
"""Properties that change places when width and height do."""
_GREY_VALUES: dict[str, Callable[[str], bool]] = {
    "photoshop:ColorMode": lambda text: text in ("0", "1", "2", "8"),  # bitmap, grey, palette, duotone
    "photoshop:ICCProfile": lambda text: "sRGB" not in text,
    "exif:ColorSpace": lambda text: text != "1",
    "tiff:PhotometricInterpretation": lambda text: text not in ("2", "6"),  # RGB, YCbCr
    "tiff:SamplesPerPixel": lambda text: text != "3",
    "tiff:BitsPerSample": lambda text: len(text.split()) != 3,
}
"""Properties that describe the pixels, with the values that are wrong of RGB in sRGB (XMP specification, part 2)."""


def current_xmp(packet: bytes, turn: Turn, warnings: list[str]) -> bytes:
    """Return a packet for the output; the same bytes if nothing in it is outdated, or it is damaged.

    Args:
        packet: of the source.
        turn: of its pixels.
        warnings: receives what was left out.

    """
    try:
        root = parsed(packet)
        descriptions = list(rdf_of(root))
    except ValueError:
        return packet
    dropped = _drop(descriptions, turn, warnings)
    is_changed = turn.orientation != 1 and _turn(descriptions, turn, warnings)
    return packet_of(root) if dropped or is_changed else packet


def _drop(descriptions: list[etree._Element], turn: Turn, warnings: list[str]) -> bool:
    """Remove outdated properties; return whether there were any."""
    kinds: list[tuple[str, Callable[[_Property], bool]]] = [
        ("a grey thumbnail in XMP was dropped", _is_thumbnail),
        ("XMP about depth, gain or motion, which the output does not have, was dropped", _is_elsewhere),
        ("the address of Content Credentials, which are those of the source, was dropped", _is_credentials),
        ("settings of Camera Raw, which would be applied once more, were dropped", _is_setting),
    ]
    if turn.orientation != 1:
        kinds.append((f"{REGIONS_DROPPED}: the picture was turned", _is_other_region))
    found = False
    for warning, is_outdated in kinds:
        if _pop_all(descriptions, is_outdated):
            found = True
            _warn(warnings, warning)
    if untrue := _pop_all(descriptions, _is_untrue):
        _warn(warnings, f"XMP that is no longer true was dropped: {', '.join(sorted(untrue))}")
    return found or bool(untrue)


def _warn(warnings: list[str], text: str) -> None:
    """Warn once of what all pages of a TIFF may have."""
    if text not in warnings:
        warnings.append(text)


@dataclass(frozen=True)
class _Property:
    """A property of a description, whether an attribute or an element."""

    key: str
    """Such as ``tiff:Orientation``, with this package's prefix, whatever the packet's; empty if it has none."""
    text: str
    element: etree._Element | None


def _is_thumbnail(each: _Property) -> bool:
    has_image = each.element is not None and next(each.element.iter(tag("xmpGImg:image")), None) is not None
    return has_image or each.key == "xmp:Thumbnails"


def _is_elsewhere(each: _Property) -> bool:
    return each.key.partition(":")[0] in _ELSEWHERE


def _is_credentials(each: _Property) -> bool:
    """Return whether a property says where Content Credentials are (C2PA specification 2.2)."""
    return each.key == "dcterms:provenance"


def _is_setting(each: _Property) -> bool:
    return each.key.partition(":")[0] in _SETTINGS


def _is_other_region(each: _Property) -> bool:
    return each.key in _OTHER_REGIONS


def _is_untrue(each: _Property) -> bool:
    return each.key in _GREY_VALUES and _GREY_VALUES[each.key](each.text)


def _pop_all(descriptions: list[etree._Element], is_outdated: Callable[[_Property], bool]) -> set[str]:
    """Remove some properties; return their names."""
    found = set()
    for description in descriptions:
        for name, text in list(description.attrib.items()):
            each = _Property(_key_of(name), str(text).strip(), None)
            if is_outdated(each):
                del description.attrib[name]
                found.add(each.key)
        for element in list(description):
            each = _Property(_key_of(element.tag), " ".join(" ".join(element.itertext()).split()), element)
            if is_outdated(each):
                description.remove(element)
                found.add(each.key)
    return found


_KEYS = {f"{{{namespace}}}": prefix for prefix, namespace in PREFIXES.items()}


def _key_of(name: object) -> str:
    """Return a qualified name with this package's prefix; empty if it has none."""
    namespace, bracket, local = str(name).rpartition("}")
    prefix = _KEYS.get(namespace + bracket)
    return f"{prefix}:{local}" if prefix else ""


def _turn(descriptions: list[etree._Element], turn: Turn, warnings: list[str]) -> bool:
    """Bring sizes and regions up to date; return whether there were any."""
    is_changed = False
    for keys in _SWAPPED if turn.swaps_sides else ():
        values = [pop_property(descriptions, key) for key in keys]
        for key, value in zip(keys, reversed(values), strict=True):
            add(descriptions[0], key, value)
        is_changed |= any(values)
    for description in descriptions:
        for regions in description.findall(tag(_REGIONS)):
            is_changed = True
            try:
                _turn_regions(regions, turn)
            except ValueError as error:
                description.remove(regions)
                _warn(warnings, f"{REGIONS_DROPPED}: {error}")
    return is_changed


def _turn_regions(regions: etree._Element, turn: Turn) -> None:
    """Turn the regions (Metadata Working Group, Guidelines 2.0, section 5.9): centre and size of each, 0..1.

    They lie in the stored pixels, unless the size that they were drawn on says that those were upright.

    Raises:
        ValueError: they are damaged, or not relative to the size.

    """
    sizes = [_Fields(each, "stDim") for each in regions.iter(tag("mwg-rs:AppliedToDimensions"))]
    if turn.swaps_sides and any(size.is_nearer_to(turn.height, turn.width) for size in sizes):
        return
    for area in [_Fields(each, "stArea") for each in regions.iter(tag("mwg-rs:Area"))]:
        if area.text("unit", "normalized") != "normalized":
            raise ValueError(f"their unit is {area.text('unit')}")
        x, y = turn.point(area.number("x"), area.number("y"))
        area.set(x=x, y=y)
        if turn.swaps_sides and area.text("w"):
            area.set(w=area.number("h"), h=area.number("w"))
    for size in sizes if turn.swaps_sides else ():
        size.set(w=size.number("h"), h=size.number("w"))


class _Fields:
    """Fields of a structure, which are attributes or elements, of it or of a description in it."""

    def __init__(self, structure: etree._Element, prefix: str) -> None:
        inner = structure.find(tag("rdf:Description"))
        self._holder = structure if inner is None else inner
        self._prefix = prefix

    def text(self, name: str, default: str = "") -> str:
        """Return the text of a field."""
        key = tag(f"{self._prefix}:{name}")
        return str(self._holder.get(key) or self._holder.findtext(key) or default).strip()

    def number(self, name: str) -> float:
        """Return the number in a field.

        Raises:
            ValueError: there is none.

        """
        return float(self.text(name))

    def set(self, **numbers: float) -> None:
        """Set fields that are there."""
        for name, number in numbers.items():
            key, text = tag(f"{self._prefix}:{name}"), f"{number:.9g}"
            element = self._holder.find(key)
            if element is None:
                self._holder.set(key, text)
            else:
                element.text = text

    def is_nearer_to(self, width: int, height: int) -> bool:
        """Return whether the fields ``w`` and ``h`` are more like these sides than like the other way round.

        Raises:
            ValueError: they are no numbers.

        """
        w, h = self.number("w"), self.number("h")
        return abs(w * height - h * width) < abs(w * width - h * height)
