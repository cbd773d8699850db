"""XMP sidecars, files beside a picture: what they say more than the picture is taken into its own XMP packet."""

from copy import deepcopy

from lxml import etree

from colorbatch.formats.outdated import current_xmp
from colorbatch.formats.xmp import EMPTY, packet_of, parsed, pop_property, rdf_of, subset, tag
from colorbatch.pixels.metadata import Turn

MAX_SIDECAR_BYTES = 2**22
"""Maximum size of a sidecar: parsed, the worst takes 40 times its size in memory."""
_LEFT = subset("crs crss xmpMM xmpNote acdsee-rs MP").values()
"""Namespaces left out: settings of Camera Raw, identifiers and history of another file, regions in its pixels."""
_DARKTABLE = "http://darktable.sf.net/"
"""The same of darktable: its settings, which are for the source."""
_LEFT_PROPERTIES = frozenset(
    map(
        tag,
        (
            *("dc:format", "xmp:CreatorTool", "xmp:Thumbnails", "mwg-rs:Regions", "Iptc4xmpExt:ImageRegion"),
            *("Iptc4xmpExt:DigitalSourceType", "Iptc4xmpExt:AISystemUsed", "Iptc4xmpExt:AISystemVersionUsed"),
            *("photoshop:SidecarForExtension", "photoshop:ColorMode", "photoshop:ICCProfile"),
            *("photoshop:DocumentAncestors", "photoshop:EmbeddedXMPDigest", "photoshop:TextLayers"),
        ),
    )
)
"""Other properties left out: they describe the file, its pixels, or how it was made."""
_OF_PIXELS = subset("tiff exif").values()
_SAID = frozenset(
    map(
        tag,
        (
            *("tiff:Artist", "tiff:Copyright", "tiff:DateTime", "tiff:ImageDescription", "tiff:Make", "tiff:Model"),
            *("exif:DateTimeDigitized", "exif:DateTimeOriginal", "exif:UserComment"),
        ),
    )
)
_PLACE = tag("exif:GPS")
"""Of the two namespaces that describe pixels, the properties that are taken: these, and those of the place."""
_SYNTAX = (tag("rdf:"), "{http://www.w3.org/XML/")
"""Beginnings of names that are those of no property."""
_UNTURNED = Turn(1, 0, 0)


def merged(packet: bytes, sidecar: bytes) -> tuple[bytes, bool]:
    """Return an XMP packet with the properties that it lacks and a sidecar has, and whether there were any.

    A property that the packet has stays as it is, as a whole: of a list, or a text in several languages, nothing is
    added. Left out are those that describe the file or its edits: see the tables above.

    Args:
        packet: of the picture; may be empty.
        sidecar: the content of the file.

    Raises:
        ValueError: one of them is not XMP.

    """
    root = parsed(packet) if packet else parsed(EMPTY)
    rdf = rdf_of(root)
    has = {name for description in rdf for name in _names(description)}
    found = list(rdf_of(parsed(current_xmp(sidecar, _UNTURNED, []))))
    about = rdf[0].get(tag("rdf:about"), "") if len(rdf) else ""
    prefixes = {prefix: uri for each in found for prefix, uri in each.nsmap.items() if prefix}
    target = etree.Element(tag("rdf:Description"), {tag("rdf:about"): about}, nsmap=prefixes)
    for description in found:
        _take(description, target, has)
    if not _names(target):
        return packet, False
    rdf.append(target)
    etree.cleanup_namespaces(target)
    return packet_of(root), True


def extension_meant(sidecar: bytes) -> str:
    """Return the extension of the picture that a sidecar says it is for, in lower case; empty: it does not say.

    Adobe's programs write it, since the names of their sidecars have no extension of a picture.
    """
    try:
        found = pop_property(list(rdf_of(parsed(sidecar))), "photoshop:SidecarForExtension")
    except ValueError:
        return ""
    return f".{found.lower().lstrip('.')}" if found else ""


def _take(description: etree._Element, target: etree._Element, has: set[str]) -> None:
    """Copy the properties of a description that are said of the photograph and not in ``has``, which grows."""
    new = {name for name in _names(description) if name not in has and _is_of_photograph(name)}
    for name, text in description.attrib.items():
        if name in new:
            target.set(name, text)
    for element in description:
        if element.tag in new:
            target.append(deepcopy(element))
            new.discard(element.tag)  # a second one of the same name is not valid
    has.update(_names(target))


def _names(description: etree._Element) -> set[str]:
    """Return the names of the properties of a description, be they attributes or elements."""
    names = map(str, (*description.attrib, *(each.tag for each in description)))
    return {name for name in names if name.startswith("{") and not name.startswith(_SYNTAX)}


def _is_of_photograph(name: str) -> bool:
    namespace = name[1:].partition("}")[0]
    if namespace in _OF_PIXELS:
        return name in _SAID or name.startswith(_PLACE)
    return namespace not in _LEFT and namespace != _DARKTABLE and name not in _LEFT_PROPERTIES
